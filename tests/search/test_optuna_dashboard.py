"""`optuna-dashboard` opens a study.db: names, states and values are as the study has them."""

import importlib.util
import json
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from mlflow_server import free_port
from real_runs import until

from sslsearch.search.record import Record
from sslsearch.space import Space
from sslsearch.values import Report

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("optuna_dashboard") is None, reason="optuna-dashboard is missing"
)
ENDS = ("ok", "ok", "stopped", "nan")


@pytest.mark.slow
def test_the_dashboard_reads_a_study(space: Space, tmp_path: Path) -> None:
    record = Record(tmp_path, space)
    for number, end in enumerate(ENDS):
        row = record.ask()
        record.report(row.name, Report(0, 32, "ok", 0.1 * number))
        if end == "ok":
            record.report(row.name, Report(1, 96, "ok", 0.2 + 0.1 * number))
        record.finish(row.name, end)
    running = record.ask()
    final = record.add_finalist(space.default(), 1000)
    record.report(final.name, Report(0, 288, "ok", 0.7))
    record.finish(final.name, "ok")

    port = free_port()
    program = Path(sys.executable).with_name("optuna-dashboard")
    server = subprocess.Popen(
        [program, f"sqlite:///{tmp_path}/study.db", "--host", "127.0.0.1", "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        told = until(lambda: ask(port, "studies"), 60)["study_summaries"]
        ids = {study["study_name"]: study["study_id"] for study in told}
        assert set(ids) == {record.name, "confirm"}
        searched = ask(port, f"studies/{ids[record.name]}?after=0")
        confirmed = ask(port, f"studies/{ids['confirm']}?after=0")
    finally:
        server.terminate()
        server.wait(timeout=30)

    assert searched["directions"] == ["maximize"]
    assert searched["objective_names"] == confirmed["objective_names"] == ["r2"]
    trials = searched["trials"]
    states = [trial["state"].upper() for trial in trials]
    assert states == ["COMPLETE", "COMPLETE", "PRUNED", "PRUNED", "RUNNING"]
    assert trials[1]["values"] == [pytest.approx(0.3)]
    steps = [value["step"] for value in trials[1]["intermediate_values"]]
    assert steps == [0, 1]
    names = {param["name"] for trial in trials for param in trial["params"]}
    assert {"pretext.kind", "optim.lr", "augment.jitter.on"} <= names
    attrs = {attr["key"]: attr["value"] for attr in trials[3]["user_attrs"]}
    assert attrs["status"] == "nan"
    assert {"key": "name", "value": running.name} in trials[4]["user_attrs"]
    (only,) = confirmed["trials"]
    assert only["values"] == [pytest.approx(0.7)]


def ask(port: int, what: str) -> Any:
    """The dashboard's answer; None while it does not listen yet."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/{what}", timeout=30) as answer:
            return json.loads(answer.read())
    except (urllib.error.URLError, ConnectionError):
        return None
