"""A job on a real cluster of three nodes on this machine: `cluster/local.sh` and Ray's Jobs API."""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from mlflow_server import free_port
from ray._private.runtime_env.constants import RAY_JOB_CONFIG_JSON_ENV_VAR as JOB
from ray._private.runtime_env.packaging import create_package, get_uri_for_directory
from ray.exceptions import AuthenticationError
from ray.job_submission import JobStatus, JobSubmissionClient
from real_runs import board, events, finished, processes, told_once, until

from sslsearch.search.board import COLUMNS
from sslsearch.search.cluster import ENVIRONMENT, variables

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "cluster" / "local.sh"
SHIPPED = '''"""An augmentation that only the job's own working directory has."""

import torch

from sslsearch.registry import register


@register("augment", modality="timeseries")
def shipped(x_BCT: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Nothing happens."""
    return x_BCT
'''


def test_the_job_says_some_variables_and_we_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    for key in ENVIRONMENT:
        monkeypatch.setenv(key, "1")
    monkeypatch.delenv(JOB, raising=False)
    assert variables().keys() == ENVIRONMENT.keys()
    monkeypatch.setenv(JOB, json.dumps({"runtime_env": {"working_dir": "gcs://x.zip"}}))
    assert variables().keys() == ENVIRONMENT.keys()
    first = next(iter(ENVIRONMENT))
    monkeypatch.setenv(JOB, json.dumps({"runtime_env": {"env_vars": {first: "2", "X": "3"}}}))
    assert variables().keys() == ENVIRONMENT.keys() - {first}


def test_a_job_takes_little_along(tmp_path: Path) -> None:
    """With `--working-dir .`: the package and its spaces, none of what runs leave behind."""
    checkout = tmp_path / "checkout"
    ignored = shutil.ignore_patterns("__pycache__", ".git", ".*_cache", ".hypothesis")
    shutil.copytree(ROOT, checkout, ignore=ignored)
    for name in ("runs/x/study.db", "mlruns/x", "mlflow.db", ".venv/x", ".git/x", "docs/x"):
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).write_bytes(os.urandom(3 << 20))
    made = tmp_path / "made.zip"
    excludes = [".git", ".venv", "venv", "__pycache__"]  # Ray's own
    assert get_uri_for_directory(str(checkout), include_gitignore=True, excludes=excludes)
    create_package(str(checkout), made, include_gitignore=True, excludes=excludes)
    assert made.stat().st_size < 2 << 20
    assert shutil.unpack_archive(made, tmp_path / "there") is None
    there = tmp_path / "there"
    assert (there / "sslsearch" / "run.py").exists()
    assert (there / "search_spaces" / "recipes").is_dir()
    assert not (there / "runs").exists()
    assert not (there / "tests").exists()


@dataclass(frozen=True)
class Running:
    folder: Path
    port: int
    dashboard: int

    @property
    def environment(self) -> dict[str, str]:
        """Of the script. Its nodes have the dependencies, but no checkout on their path."""
        here = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "RAY_ADDRESS")}
        return {
            **here,
            "CLUSTER_DIR": str(self.folder),
            "CLUSTER_PORT": str(self.port),
            "DASHBOARD_PORT": str(self.dashboard),
            "NODE_MEMORY_MB": "128",
        }

    def script(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [str(SCRIPT), *words],
            env=self.environment,
            cwd=self.folder.parent,
            capture_output=True,
            text=True,
            timeout=170,
        )

    def node(self, number: int) -> psutil.Process:
        """What keeps a node: its Ray processes are below it."""
        return psutil.Process(int((self.folder / f"node-{number}.pid").read_text()))

    def client(self, token: str) -> JobSubmissionClient:
        """Of who has this token, whatever the environment of the tests says."""
        headers = {"Authorization": f"Bearer {token}"}
        return JobSubmissionClient(f"http://127.0.0.1:{self.dashboard}", headers=headers)


@pytest.fixture
def running() -> Iterator[Running]:
    root = Path(tempfile.mkdtemp(prefix="ssl", dir="/tmp"))  # sockets below it: short
    made = Running(root / "c", free_port(), free_port())
    try:
        done = made.script("start", "3", "1")
        assert done.returncode == 0, done.stdout + done.stderr
        keepers = [made.node(number) for number in range(3)]
        yield made
        below = [p for keeper in keepers if keeper.is_running() for p in keeper.children(True)]
        assert made.script("stop").returncode == 0
        assert not [p for p in [*keepers, *below] if alive(p)]
    finally:
        if made.folder.exists():
            made.script("stop")
        shutil.rmtree(root, ignore_errors=True)


def alive(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    return False


def ended(client: Any, job: str, seconds: float) -> JobStatus:
    def over() -> Any:
        status = client.get_job_status(job)
        return status if status.is_terminal() else None

    return until(over, seconds)  # type: ignore[no-any-return]


@pytest.mark.slow
@pytest.mark.timeout(450)
def test_a_job_outlives_a_node_and_its_own_end(
    running: Running, space_file: Path, tmp_path: Path
) -> None:
    """Its code is what the job brings along; a node is killed, then the job is stopped, and the
    same job again goes on."""
    code, out = tmp_path / "code", tmp_path / "out"
    for room in ("sslsearch", "search_spaces"):
        shutil.copytree(ROOT / room, code / room, ignore=shutil.ignore_patterns("__pycache__"))
    (code / "sslsearch" / "augment" / "timeseries_shipped.py").write_text(SHIPPED)
    text = space_file.read_text().replace("  subset_of:\n", "  subset_of:\n    shipped: {}\n")
    (code / "mine.yaml").write_text(text.replace("last: 288", "last: 2592"))
    job = {
        "entrypoint": f"python -m sslsearch.run mine.yaml --out {out} --trials 5",
        "runtime_env": {"working_dir": str(code), "env_vars": {"TUNE_WARN_THRESHOLD_S": "9"}},
    }
    with pytest.raises(AuthenticationError):
        running.client("0" * 64).submit_job(**job)
    client = running.client((running.folder / "token").read_text())

    first = client.submit_job(**job)
    workers = [running.node(1), running.node(2)]

    def training() -> Any:
        under_way = list(out.glob("trials/t*/rung.safetensors")) and finished(out)
        return under_way and [n for n in workers if processes("RayTrainWorker", n.pid)]

    (keeper, *_) = until(training, 150)
    (raylet,) = [p for p in keeper.children(True) if p.name() == "raylet"]
    raylet.kill()
    before = len(finished(out))
    until(lambda: len(finished(out)) > before, 100)
    client.stop_job(first)
    assert ended(client, first, 60) == JobStatus.STOPPED
    over = finished(out)

    second = client.submit_job(**job)
    status = ended(client, second, 200)
    assert status == JobStatus.SUCCEEDED, client.get_job_logs(second)
    assert over <= finished(out)
    assert told_once(out)
    rows = board(out)
    assert list(rows.columns) == COLUMNS
    assert set(rows["kind"]) == {"trial", "finalist", "floor"}
    trials = rows[rows["kind"] == "trial"]
    assert len(trials) == 5
    assert set(trials["status"]) <= {"ok", "stopped"}
    assert {"shipped"} & {part for parts in trials["augment"].dropna() for part in parts.split("+")}
    local = {"best", "leaderboard.csv", "report.html", "result.json", "space.yaml", "study.db"}
    assert local <= {path.name for path in out.iterdir()}
    assert "summary" in {event["kind"] for event in events(out)}
