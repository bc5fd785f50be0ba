"""The tracker and the real MLflow: nothing waits for it, nothing is lost, nothing doubled."""

import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mlflow_server import free_port, serve, stop

from sslsearch.track.mlflow import Tracker
from sslsearch.track.place import absolute_uri
from sslsearch.track.runs import run_name, thin
from sslsearch.values import Recipe, Report

EXPERIMENT = "sslsearch/toy"
RECIPE = Recipe(
    {
        "data": {"source": "synthetic"},
        "encoder": {"conv1d": {"depth": 3}},
        "pretext": {"simclr": {"temperature": 0.1}},
        "augment": {"jitter": {"sigma": 0.03}},
        "optim": {"lr": 1e-3},
        "fidelity": {"first": 100},
    }
)
RUNGS, POINTS = 3, 20


def report(rung: int) -> Report:
    seen = 100 * 3**rung
    losses = tuple((seen - POINTS + 1 + i, 1 / (seen + i)) for i in range(POINTS))
    scores = {"accuracy": 0.5 + 0.1 * rung, "health/std": 1.0, "rankme": float("nan")}
    return Report(rung, seen, "ok", 0.4 + 0.1 * rung, scores, losses=losses, seconds={"train": 1.5})


def tell(tracker: Tracker, trials, finish: str = "ok") -> None:
    for number in trials:
        tracker.trial(str(number), number, "trial", RECIPE, seed=0, optim={"lr_effective": 0.002})
        for rung in range(RUNGS):
            tracker.report(str(number), report(rung))
        tracker.finish(str(number), finish, 0.6, 4.5)


def look(uri: str):
    """All child runs by trial, and the parents, with every metric row of every run."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    parents = [run for run in runs if run.data.tags["sslsearch.kind"] == "study"]
    children: dict = {}
    for run in runs:
        if "sslsearch.trial" in run.data.tags:
            children.setdefault(run.data.tags["sslsearch.trial"], []).append(run)
    rows = {
        run.info.run_id: {
            key: client.get_metric_history(run.info.run_id, key) for key in run.data.metrics
        }
        for run in runs
    }
    return parents, children, rows


def assert_complete(uri: str, trials: int) -> None:
    parents, children, rows = look(uri)
    assert len(parents) == 1
    assert sorted(children, key=int) == [str(number) for number in range(trials)]
    for (run,) in children.values():  # one run each
        assert run.data.tags["mlflow.parentRunId"] == parents[0].info.run_id
        assert run.info.status == "FINISHED"
        history = rows[run.info.run_id]
        assert [row.step for row in history["score"]] == [100, 300, 900]
        assert len(history["loss"]) == RUNGS * POINTS
        assert len(history["seconds/total"]) == 1


@pytest.fixture
def uri(tmp_path, empty_database) -> str:
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path}/mlflow.db"


def test_a_study_reads_well_in_mlflow(tmp_path, uri):
    said: list[str] = []
    tracker = Tracker(tmp_path / "toy", uri, EXPERIMENT, said.append)
    tracker.study({"space": "toy"}, {"budget": {"trials": 2}}, "name: toy\n")
    tell(tracker, range(1))
    tracker.trial("1", 1, "trial", RECIPE, seed=0)
    tracker.finish("1", "nan", None, 1.0)
    tracker.trial("2", 2, "trial", RECIPE, seed=0)
    tracker.finish("2", "timeout", None, 1.0)
    tracker.trial("untrained", 0, "floor", None)
    tracker.finish("untrained", "ok", 0.3, 0.5)
    (tmp_path / "toy" / "best").mkdir()
    (tmp_path / "toy" / "best" / "recipe.yaml").write_text("a: 1\n")
    tracker.artifact(None, tmp_path / "toy" / "best", "best")
    tracker.artifact("0", tmp_path / "nowhere.png")
    tracker.summary({"best_score": 0.6}, {"verdict": "beats the default"})
    tracker.close(30)

    (parent,), children, _ = look(uri)
    assert parent.info.status == "FINISHED"
    assert parent.data.tags["verdict"] == "beats the default"
    assert parent.data.params == {"budget.trials": "2"}
    assert parent.data.metrics == {"best_score": 0.6}
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    files = [item.path for item in client.list_artifacts(parent.info.run_id)]
    assert files == ["best", "space.yaml"]
    assert [f.path for f in client.list_artifacts(parent.info.run_id, "best")] == [
        "best/recipe.yaml"
    ]
    (first,) = children["0"]
    assert first.info.run_name == "0000 simclr"
    assert first.data.params["pretext.simclr.temperature"] == "0.1"
    assert first.data.params["optim.lr_effective"] == "0.002"
    assert first.data.params["augment"] == "jitter"
    assert first.data.metrics["scores/accuracy"] == pytest.approx(0.7)
    assert first.data.metrics["health/std"] == 1.0
    assert first.data.metrics["seconds/train"] == 1.5
    assert "scores/rankme" not in first.data.metrics  # nan: not known
    assert children["1"][0].info.status == "FAILED"
    assert children["1"][0].data.tags["sslsearch.status"] == "nan"
    assert children["2"][0].info.status == "KILLED"
    assert children["untrained"][0].info.run_name == "floor untrained"
    assert children["untrained"][0].data.metrics["score"] == 0.3
    assert [line for line in said if "nowhere.png is gone" in line] == said


def test_shipping_everything_again_doubles_nothing(tmp_path, uri):
    for again in range(3):
        tracker = Tracker(tmp_path / "toy", uri, EXPERIMENT)
        tracker.study(params={"budget": {"trials": 2 + again}})  # a longer budget each time
        tell(tracker, range(2))  # a restored trial reports its rungs again
        tracker.summary({"best_score": 0.6})
        tracker.close(30)
        (tmp_path / "toy" / "events.shipped.json").unlink()  # forgets what was shipped
    parents, children, rows = look(uri)
    assert [len(runs) for runs in children.values()] == [1, 1]
    assert [len(rows[run.info.run_id]["loss"]) for (run,) in children.values()] == [60, 60]
    assert parents[0].data.params["budget.trials"] == "2"
    assert parents[0].data.tags["now.budget.trials"] == "4"


def test_an_emptied_mlflow_is_told_everything(tmp_path, uri, empty_database):
    for _ in range(2):
        shutil.copy(empty_database, tmp_path / "mlflow.db")
        tracker = Tracker(tmp_path / "toy", uri, EXPERIMENT)
        tracker.study()
        tell(tracker, range(2))
        tracker.close(30)
        assert len(look(uri)[1]) == 2


def test_an_interrupted_study_is_shown_as_killed_and_goes_on(tmp_path, uri):
    tracker = Tracker(tmp_path / "toy", uri, EXPERIMENT)
    tracker.study()
    tracker.close(30)
    assert look(uri)[0][0].info.status == "KILLED"
    tracker = Tracker(tmp_path / "toy", uri, EXPERIMENT)
    tracker.study()
    tracker.summary({})
    tracker.close(30)
    (parent,) = look(uri)[0]
    assert parent.info.status == "FINISHED"


def test_what_mlflow_refuses_does_not_stop_the_rest(tmp_path, uri):
    said: list[str] = []
    tracker = Tracker(tmp_path / "toy", uri, EXPERIMENT, said.append)
    tracker.study()
    tracker.trial("0", 0, "trial", RECIPE, **{"what?!": 1})  # not a name MLflow takes
    tracker.finish("0", "ok", 0.1, 1.0)
    tracker.trial("1", 1, "trial", RECIPE)
    tracker.finish("1", "ok", 0.2, 1.0)
    tracker.close(30)
    assert len(said) == 1
    assert "trial 0" in said[0]
    assert look(uri)[1]["1"][0].data.metrics["score"] == 0.2


def test_without_mlflow_the_log_is_still_written(tmp_path):
    tracker = Tracker(tmp_path, "none", EXPERIMENT)
    tracker.study()
    tell(tracker, range(1))
    tracker.close()
    kinds = [event["kind"] for event in tracker_events(tmp_path)]
    assert kinds == ["study", "trial", *["report"] * RUNGS, "finish", "pause"]
    assert not (tmp_path / "events.shipped.json").exists()


def tracker_events(folder: Path):
    from sslsearch.track.spool import Spool

    return Spool(folder).read()[0]


def test_a_server_that_never_answers_delays_nobody(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        said: list[str] = []
        uri = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        tracker = Tracker(tmp_path, uri, EXPERIMENT, said.append)
        tracker.study()
        deaf.accept()  # the tracker is now waiting for an answer
        start = time.perf_counter()
        tell(tracker, range(20))
        assert time.perf_counter() - start < 2.0  # 100 synced lines
        start = time.perf_counter()
        tracker.close(timeout=1.0)
        assert time.perf_counter() - start < 2.0
    assert said[-1].startswith("102 events have not reached MLflow")
    assert "next `run`" in said[-1]


def test_a_dead_server_is_given_up_before_the_timeout(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as gone:
        uri = f"http://127.0.0.1:{gone.getsockname()[1]}"
    said: list[str] = []
    tracker = Tracker(tmp_path, uri, EXPERIMENT, said.append)
    tracker.study()
    start = time.perf_counter()
    tracker.close(timeout=30)
    assert time.perf_counter() - start < 15
    assert [line for line in said if "does not answer" in line] == said[:1]
    assert "2 events have not reached" in said[-1]


STORY = """
import sys, time
from pathlib import Path
sys.path[:0] = {places!r}  # of this file, and of what it imports
from test_tracker import EXPERIMENT, Tracker, tell
tracker = Tracker(Path({folder!r}), {uri!r}, EXPERIMENT)
tracker.study()
for number in range(10_000):  # until it is killed
    tell(tracker, [number])
    print(number, flush=True)
    time.sleep(0.3)
"""


def test_killed_while_shipping_nothing_is_lost_or_doubled(tmp_path, uri):
    folder = tmp_path / "toy"
    story = STORY.format(
        places=[str(p) for p in Path(__file__).parents[:2]], folder=str(folder), uri=uri
    )
    child = subprocess.Popen([sys.executable, "-c", story], stdout=subprocess.PIPE, text=True)
    shipped = folder / "events.shipped.json"
    deadline = time.monotonic() + 60
    while not shipped.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.3)
    child.kill()
    told = len(child.communicate()[0].splitlines())
    assert told
    tracker = Tracker(folder, uri, EXPERIMENT)
    tracker.study()
    tell(tracker, range(told + 1))  # what the study does: the unfinished trial runs again
    tracker.close(60)
    assert_complete(uri, told + 1)


@pytest.mark.slow
def test_a_server_killed_in_mid_stream_gets_everything_once(tmp_path, uri):
    port = free_port()
    said: list[str] = []
    server = serve(tmp_path, port)
    try:
        tracker = Tracker(tmp_path / "toy", f"http://127.0.0.1:{port}", EXPERIMENT, said.append)
        tracker.study(space_text="name: toy\n")
        tell(tracker, range(20))
        deadline = time.monotonic() + 60
        shipped = tmp_path / "toy" / "events.shipped.json"
        while not shipped.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.5)
        stop(server)
        start = time.perf_counter()
        tell(tracker, range(20, 30))
        assert time.perf_counter() - start < 3.0
        time.sleep(1.0)
        server = serve(tmp_path, port)
        tracker.close(120)
    finally:
        stop(server)
    assert said[0].startswith(f"MLflow at http://127.0.0.1:{port} does not answer")
    assert said[1:] == ["MLflow answers again."]
    assert_complete(uri, 30)


def test_a_relative_database_is_made_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert absolute_uri("sqlite:///mlflow.db") == f"sqlite:///{tmp_path}/mlflow.db"
    assert absolute_uri("sqlite:////a/b.db") == "sqlite:////a/b.db"
    assert absolute_uri("http://here:5000") == "http://here:5000"
    assert absolute_uri(None) is None


@pytest.mark.parametrize("uri", ["mlruns", "file:./mlruns", "htp://x"])
def test_a_place_mlflow_cannot_use_is_said_at_once(tmp_path, uri):
    with pytest.raises(ValueError, match=r"sqlite:///mlflow\.db"):
        Tracker(tmp_path, uri, EXPERIMENT)


def test_run_names():
    assert run_name("12", 12, "trial", RECIPE, 0) == "0012 simclr"
    assert run_name("12", 12, "finalist", RECIPE, 3) == "simclr final s3"
    assert run_name("d", 0, "default", RECIPE, 1) == "simclr default s1"
    assert run_name("floor/raw", 0, "floor", None, None) == "floor raw"


def test_a_long_curve_is_thinned_to_means_without_losing_its_end():
    points = tuple((i, float(i % 2)) for i in range(1001))
    thinned = thin(points, 100)
    assert len(thinned) <= 100
    assert thinned[-1][0] == 1000
    assert all(0.3 < y < 0.7 for _, y in thinned[:-1])
    assert thin((), 100) == []
    assert thin(points[:5], 100) == list(points[:5])
