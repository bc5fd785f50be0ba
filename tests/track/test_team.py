"""A team's MLflow: PostgreSQL behind a server, two studies at once, and a model served from it.

Everything here runs in processes of its own, as a team's does.
"""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow_server import free_port, serve, stop
from postgres import PASSWORD, postgres, programs

import sslsearch

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(programs() is None, reason="PostgreSQL is not installed"),
    pytest.mark.skipif(not importlib.util.find_spec("psycopg2"), reason="psycopg2 is missing"),
]

SERIES = """
name: {name}
data: {{modality: timeseries, source: "synthetic:90", labels: 8 per class}}
encoder:
  conv1d: {{depth: 2, width: 16, kernel: 3, stride: 2}}
pretext:
  one_of:
    simclr: {{temperature: 0.05..1.0 log}}
    vicreg: {{}}
augment:
  subset_of:
    jitter: {{sigma: 0.01..0.50 log}}
"""
TABLE = """
name: {name}
data: {{modality: tabular, source: "synthetic:90", labels: 8 per class}}
encoder:
  table_mlp: {{depth: 1..2, width: 16}}
pretext:
  one_of:
    scarf: {{}}
    vime: {{}}
augment:
  subset_of:
    marginal_resample: {{ratio: 0.1..0.5}}
"""
REST = """
optim: {{batch_size: 8 | 16, lr: 1e-3..1e-2 log}}
probe: {{against: [untrained, majority]}}
fidelity: {{first: 32, last: 96, eta: 3}}
budget: {{trials: 2, minutes: 5}}
search: {{start_from: none}}
confirm: {{top: 1, seeds: 2}}
track: {{mlflow: "{uri}"}}
"""
PARTS = ("encoder", "pretext", "augment")  # of them params below the part's name are its own


@dataclass(frozen=True)
class Team:
    uri: str
    folder: Path
    client: MlflowClient

    def runs(self, space: str) -> list[Run]:
        experiment = self.client.get_experiment_by_name(f"sslsearch/{space}")
        assert experiment is not None
        return list(self.client.search_runs([experiment.experiment_id]))

    def study(self, space: str) -> Run:
        (study,) = [r for r in self.runs(space) if r.data.tags["sslsearch.kind"] == "study"]
        return study


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """Ann searches series and Ben tables, at the same time, on one server."""
    folder, port = tmp_path_factory.mktemp("team"), free_port()
    uri = f"http://127.0.0.1:{port}"
    with postgres() as backend:
        server = serve(folder, port, backend)
        try:
            spaces = {"ann": ("waves", SERIES), "ben": ("rows", TABLE)}
            doors = [search(folder, uri, user, *space) for user, space in spaces.items()]
            for door in doors:
                said = door.communicate(timeout=280)[0]
                assert door.returncode == 0, said
            yield Team(uri, folder, MlflowClient(uri))
        finally:
            stop(server)


def search(folder: Path, uri: str, user: str, name: str, text: str) -> Any:
    path = folder / f"{name}.yaml"
    path.write_text((text + REST).format(name=name, uri=uri))
    command = [sys.executable, "-m", "sslsearch.run", str(path), "--out", str(folder / name)]
    return subprocess.Popen(
        command,
        env={**os.environ, "LOGNAME": user, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_all_of_both_studies_has_arrived(team: Team) -> None:
    for space, user in (("waves", "ann"), ("rows", "ben")):
        runs = team.runs(space)
        told = [run.data.tags["sslsearch.kind"] for run in runs]
        lines = (team.folder / space / "leaderboard.csv").read_text().splitlines()[1:]
        kinds = [line.split(",")[1] for line in lines]
        for kind in ("trial", "finalist", "floor"):
            assert told.count(kind) == kinds.count(kind), kind
        assert {run.data.tags["mlflow.user"] for run in runs} == {user}
        study = team.study(space)
        assert study.info.status == "FINISHED"
        assert study.info.artifact_uri.startswith("mlflow-artifacts:")
        names = [file.path for file in team.client.list_artifacts(study.info.run_id)]
        assert {"space.yaml", "report.html", "result.json", "leaderboard.csv"} <= set(names)


def test_confirmed_runs_and_floors_have_their_test_figure(team: Team) -> None:
    for space in ("waves", "rows"):
        for run in team.runs(space):
            kind = run.data.tags["sslsearch.kind"]
            assert ("test" in run.data.metrics) == (kind != "trial"), kind


@pytest.mark.parametrize("what", ["params", "metrics", "tags"])
def test_two_spaces_use_the_same_names_in_the_same_places(team: Team, what: str) -> None:
    """All but what belongs to parts, the modality's rules, and the floors it has."""

    def names(run: Run) -> set[str]:
        own = (*(f"{part}." for part in PARTS), "sample.", "floor/")
        found = {key for key in getattr(run.data, what) if not key.startswith(own)}
        return found - rules

    from sslsearch import registry

    made = [registry.get("modality", name).knobs for name in ("timeseries", "tabular")]
    rules = {f"data.{rule}" for knobs in made for rule in knobs.model_fields}
    assert names(team.study("waves")) == names(team.study("rows"))
    for kind in ("trial", "finalist", "floor"):
        first, second = (
            [names(run) for run in team.runs(space) if run.data.tags["sslsearch.kind"] == kind]
            for space in ("waves", "rows")
        )
        assert set.union(*first) == set.union(*second), kind


def test_a_name_means_the_same_in_a_study_and_in_its_trials(team: Team) -> None:
    for space in ("waves", "rows"):
        study = team.study(space).data.params
        trial = next(r for r in team.runs(space) if r.data.tags["sslsearch.kind"] == "trial")
        both = set(study) & set(trial.data.params)
        assert {"data.source", "fidelity.last", "probe.name"} <= both
        assert {key: study[key] for key in both} == {key: trial.data.params[key] for key in both}


def test_both_encoders_are_model_versions(team: Team) -> None:
    for space in ("waves", "rows"):
        version = team.client.get_model_version_by_alias(f"sslsearch-{space}", "champion")
        result = json.loads((team.folder / space / "result.json").read_text())
        assert version.description.startswith(result["verdict"])
        assert version.run_id == team.study(space).info.run_id


def test_a_table_is_embedded_as_by_the_bundle(team: Team) -> None:
    import mlflow

    mlflow.set_tracking_uri(team.uri)
    served = mlflow.pyfunc.load_model("models:/sslsearch-rows@champion")
    trained = sslsearch.load(team.folder / "rows" / "best")
    raw = trained.modality.synthetic(20, 7)
    frame = trained.modality.to_arrays(raw, trained.preprocess)
    assert (served.predict(frame) == trained.embed(raw)).all()
    assert np.shape(served.input_example)[0] == 3


def test_the_champion_answers_over_http(team: Team) -> None:
    """`mlflow models serve`, in this environment."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local"]
    command += ["-m", "models:/sslsearch-waves@champion", "-h", "127.0.0.1", "-p", str(port)]
    with (team.folder / "serve.log").open("wb") as log:
        server = subprocess.Popen(
            command,
            env={**os.environ, "MLFLOW_TRACKING_URI": team.uri, "PATH": activated()},
            stdout=log,
            stderr=log,
            process_group=0,
        )
    try:
        ask(port, "ping", None, 120)
        trained = sslsearch.load(team.folder / "waves" / "best")
        raw = trained.modality.synthetic(5, 7)
        x_NCT = trained.modality.to_arrays(raw, trained.preprocess)
        told = ask(port, "invocations", {"inputs": x_NCT.tolist()})["predictions"]
        assert np.allclose(told, trained.embed(raw), atol=1e-6)
        asked = {"inputs": x_NCT.tolist(), "params": {"output": "prediction"}}
        rows = ask(port, "invocations", asked)["predictions"]
        assert [row["prediction"] for row in rows] == trained.predict(raw)
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=30)


def activated() -> str:
    """The PATH of an activated environment: MLflow calls uvicorn by its bare name."""
    return f"{Path(sys.executable).parent}:{os.environ['PATH']}"


def ask(port: int, where: str, body: Any, patience: float = 0.0) -> Any:
    """POST the body, or GET; while the server is not there yet, again."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/{where}")
    if body is not None:
        request.data = json.dumps(body).encode()
        request.add_header("Content-Type", "application/json")
    deadline = time.monotonic() + patience
    while True:
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                text = answer.read().decode()
                return json.loads(text) if body is not None else text
        except (urllib.error.URLError, ConnectionError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.3)


def test_the_password_is_nowhere(team: Team) -> None:
    for path in team.folder.rglob("*"):
        if path.is_file() and path.name != "server.log":
            assert PASSWORD.encode() not in path.read_bytes(), path
