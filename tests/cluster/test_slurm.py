"""`cluster/slurm.sbatch` with a stand-in for SLURM: two nodes that are this machine, real Ray."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from mlflow_server import free_port
from real_runs import board, finished, told_once, until

from sslsearch.search.board import COLUMNS

SCRIPT = Path(__file__).parents[2] / "cluster" / "slurm.sbatch"
SRUN = """#!/bin/sh
# Runs the command here, as srun would on the node; a second node needs ports of its own.
while [ "${1#--}" != "$1" ]; do
  case $1 in --nodelist=*) echo "${1#*=}" >>"$SEEN/nodes" ;; esac
  shift
done
exec "$@"
"""
SCONTROL = """#!/bin/sh
case $1 in
  show) printf 'a\\nb\\n' ;;
  requeue) echo "$2" >>"$SEEN/requeued" ;;
esac
"""
HOSTNAME = """#!/bin/sh
echo "127.0.0.1 "
"""


@pytest.fixture
def slurm() -> Iterator[dict[str, str]]:
    """The environment of a job's script on the first of its nodes."""
    root = Path(tempfile.mkdtemp(prefix="ssl", dir="/tmp"))  # sockets below it: short
    for name, text in (("srun", SRUN), ("scontrol", SCONTROL), ("hostname", HOSTNAME)):
        (root / name).write_text(text)
        (root / name).chmod(0o755)
    yield {
        **os.environ,
        "PATH": f"{root}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "SEEN": str(root),
        "SLURM_JOB_ID": "7",
        "SLURM_JOB_NODELIST": "[a-b]",
        "SLURM_CPUS_PER_TASK": "1",
        "RAY_PORT": str(free_port()),
        "RAY_TEMP": f"{root}/r",
        "RAY_ADDRESS": "http://what-was-set-before:8265",
    }
    shutil.rmtree(root, ignore_errors=True)


@pytest.mark.slow
@pytest.mark.timeout(450)
def test_a_study_under_slurm_goes_on_after_sigterm(
    slurm: dict[str, str], space_file: Path, tmp_path: Path
) -> None:
    """SLURM's signal stops the study and queues the job again; the second run ends it."""
    out = tmp_path / "out"
    command = ["bash", str(SCRIPT), str(space_file), "--out", str(out)]
    command += ["--set", "fidelity.last=2592", "--trials", "5"]
    log = (tmp_path / "log").open("w")
    first = subprocess.Popen(command, env=slurm, stdout=log, stderr=log)
    below: list[psutil.Process] = []
    try:
        until(lambda: finished(out) or first.poll() is not None, 150)
        below = psutil.Process(first.pid).children(recursive=True)
        first.send_signal(signal.SIGTERM)
        code = first.wait(timeout=90)
        left = [p for p in below if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    finally:
        first.kill()
        for process in below:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
    said = (tmp_path / "log").read_text()
    assert code == 130, said
    assert "the job is queued again" in said
    seen = Path(slurm["SEEN"])
    assert (seen / "requeued").read_text() == "7\n"
    assert set((seen / "nodes").read_text().split()) == {"a", "b"}
    assert not left
    over = finished(out)
    done = subprocess.run(command, env=slurm, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    assert over <= finished(out)
    assert told_once(out)
    rows = board(out)
    assert list(rows.columns) == COLUMNS
    assert rows["kind"].value_counts()["trial"] == 5
    assert (seen / "requeued").read_text() == "7\n"
