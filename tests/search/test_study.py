"""A whole study on real Ray slots: its files, its resume, its faults. Processes really die."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest

from sslsearch.report import answers
from sslsearch.search.board import COLUMNS
from sslsearch.search.outcome import finish, recall
from sslsearch.search.study import Answer, Study
from sslsearch.space import Space, parse
from sslsearch.track.console import Console


def run(space: Space, folder: Path) -> tuple[Study, Answer | None]:
    console = Console(space.name, space.budget.trials, space.budget.minutes)
    study = Study(space, folder, Path.cwd(), console)
    try:
        answer = None if study.finished else study.run(None)
        if answer is not None:
            finish(study, answer)
    finally:
        study.close()
    return study, answer


def board(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "leaderboard.csv", dtype={"recipe_hash": str})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("study")


@pytest.mark.usefixtures("ray_cluster")
class TestStudy:
    """The tests share one study folder and run in order: search, then again, then extended."""

    def test_from_yaml_to_best(self, space: Space, folder: Path) -> None:
        study, answer = run(space, folder)
        frame = board(folder)
        assert list(frame.columns) == COLUMNS
        assert frame["kind"].value_counts().to_dict()["trial"] == 4
        assert set(frame[frame["kind"] == "floor"]["id"]) == {"majority", "untrained", "raw"}
        assert (frame["rank"] == range(1, len(frame) + 1)).all()
        trials = frame[frame["kind"] == "trial"]
        assert trials["status"].isin(["ok", "stopped"]).all()
        assert trials["test_score"].isna().all()  # no trial's features ever met the test labels
        assert frame[frame["kind"] == "finalist"]["test_score"].notna().all()
        result = json.loads((folder / "result.json").read_text())
        assert answer is not None
        assert result["verdict"] == answer.verdict.sentence
        assert result["test_opened"] == 1
        assert len(result["winner"]["test_runs"]) == 2
        for name in ("recipe.yaml", "encoder.safetensors", "probe.json", "README.md"):
            assert (folder / "best" / name).stat().st_size > 0
        assert (folder / "report.html").exists()
        lessons, insight = answers.read(folder)
        assert {one.id for one in lessons.trials} == set(trials["id"])
        assert {axis.name for axis in lessons.axes} == {q.name for q in space.questions()}
        assert set(lessons.recipes) >= {study.default.hash}
        assert np.sum(insight["errors"]["default"]["table"]) == 2 * len(study.data.test)  # 2 seeds
        assert {"jitter", "crop_resize"} <= insight["invariance"]["augments"].keys()
        assert len(insight["map"]["trained"]["xy"]) == 24  # labels of the training split alone
        page = (folder / "report.html").read_text()
        for figure in ("What the encoder ignores", "A map of the embeddings", "Where it errs"):
            assert figure in page
        assert "No insight.json" not in page
        assert "left no answers.json" not in page
        assert (folder / "study.db").exists()
        assert not list((folder / "trials").glob("t*"))  # losers leave nothing behind
        default = study.default.hash
        assert any(row.recipe.hash == default for row in study.record.rows("finalist"))

    def test_the_same_again_runs_nothing_twice(self, space: Space, folder: Path) -> None:
        before = board(folder)
        study, answer = run(space, folder)
        assert answer is None
        assert recall(study).rows[-1].kind == "floor"
        pd.testing.assert_frame_equal(before, board(folder))

    def test_a_larger_budget_extends(self, space: Space, folder: Path) -> None:
        before = board(folder)
        larger = parse(space.text.replace("trials: 4", "trials: 6"))
        run(larger, folder)
        after = board(folder)
        kept = before[before["kind"] == "trial"].set_index("id")
        trials = after[after["kind"] == "trial"].set_index("id")
        assert len(trials) == 6
        assert (trials.loc[kept.index, "score"] == kept["score"]).all()

    def test_other_data_is_refused(self, space: Space, folder: Path) -> None:
        other = parse(space.text.replace("8 per class", "4 per class"))
        with pytest.raises(ValueError, match="--out"):
            run(other, folder)


@pytest.mark.usefixtures("ray_cluster")
def test_several_objectives_of_another_probe(space: Space, tmp_path: Path) -> None:
    goal = "goal: [maximize probe/ndcg, minimize cost/params]\n"
    probe = "probe: {name: retrieval, knobs: {k: 3}, against: [untrained, raw]}"
    text = space.text.replace("width: 16", "width: 8 | 16")
    text = text.replace("probe: {against: [untrained, raw]}", probe)
    study, _ = run(parse(goal + text), tmp_path)
    frame = board(tmp_path)
    assert list(frame.columns) == [*COLUMNS, "cost/params", "front"]
    result = json.loads((tmp_path / "result.json").read_text())
    front = set(frame[frame["front"] == 1]["id"])
    assert front == {one["id"] for one in result["front"]} != set()
    assert {path.stem for path in (tmp_path / "front").iterdir()} == front
    assert (tmp_path / "front-cost-params.png").stat().st_size > 0
    page = (tmp_path / "report.html").read_text()
    assert "What no other trial beats in all objectives" in page
    assert result["metric"] == "probe/ndcg"
    assert 0 < result["floors"]["untrained"]["test"] <= 1
    assert recall(study).verdict == result["verdict"]
    assert json.loads((tmp_path / "best/probe.json").read_text())["probe"]["probe"] == "retrieval"


@pytest.mark.usefixtures("ray_cluster")
def test_what_does_not_fit_leaves_nothing_behind(space: Space, tmp_path: Path) -> None:
    large = parse(space.text + "compute: {slots: 64}\n")
    with pytest.raises(ValueError, match="Lower compute"):
        run(large, tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_losers_leave_no_checkpoints_behind(space: Space, tmp_path: Path) -> None:
    """200 trials never take more disk than 3 checkpoints for each slot."""
    text = space.text.replace("first: 32, last: 288, eta: 3", "first: 16, last: 32, eta: 2")
    text = text.replace("trials: 4, minutes: 5", "trials: 200, minutes: 4")
    most, checkpoint, over = 0, 0, threading.Event()

    def watch() -> None:
        nonlocal most, checkpoint
        while not over.is_set():
            sizes: list[int] = []
            with contextlib.suppress(FileNotFoundError):  # a loser's folder went meanwhile
                sizes = [p.stat().st_size for p in (tmp_path / "trials").glob("t*/*")]
            most, checkpoint = max(most, sum(sizes)), max([checkpoint, *sizes])
            time.sleep(0.02)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        study, _ = run(parse(text), tmp_path)
    finally:
        over.set()
        thread.join()
    assert len(study.record.rows("trial")) == 200
    assert 0 < most <= 3 * checkpoint * 2  # the cluster of the tests has room for two slots
    assert not list((tmp_path / "trials").glob("t*"))


def workers_of(program: str) -> list[psutil.Process]:
    """Ray worker processes under this one whose title says what they run."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if program in " ".join(process.cmdline()):
                found.append(process)
    return found


@pytest.mark.usefixtures("ray_cluster")
def test_a_killed_worker_loses_no_trial(space: Space, tmp_path: Path) -> None:
    longer = parse(space.text.replace("last: 288", "last: 2592").replace("trials: 4", "trials: 3"))
    killed: list[int] = []

    def kill_one() -> None:
        deadline = time.monotonic() + 120
        while not killed and time.monotonic() < deadline:
            saved = list((tmp_path / "trials").glob("t*/rung.safetensors"))
            victims = workers_of("RayTrainWorker") if saved else []
            if victims:
                victims[0].send_signal(signal.SIGKILL)
                killed.append(victims[0].pid)
            time.sleep(0.05)

    thread = threading.Thread(target=kill_one)
    thread.start()
    study, _ = run(longer, tmp_path)
    thread.join()
    assert killed
    rows = study.record.rows()
    assert all(row.status in ("ok", "stopped") for row in rows)
    for row in rows:  # no rung was told twice
        assert [r.rung for r in row.reports] == sorted({r.rung for r in row.reports})


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_trials_of_two_workers(space: Space, tmp_path: Path) -> None:
    """Each trial trains on two workers (gloo); a killed one costs no trial."""
    text = space.text.replace("trials: 4", "trials: 3") + "compute: {workers_per_trial: 2}\n"
    killed: list[int] = []

    def kill_one() -> None:
        deadline = time.monotonic() + 120
        while not killed and time.monotonic() < deadline:
            begun = list((tmp_path / "trials").glob("t0001/rung.safetensors"))
            victims = workers_of("RayTrainWorker") if begun else []
            if len(victims) == 2:
                victims[1].send_signal(signal.SIGKILL)
                killed.append(victims[1].pid)
            time.sleep(0.02)

    thread = threading.Thread(target=kill_one)
    thread.start()
    study, answer = run(parse(text), tmp_path)
    thread.join()
    assert killed
    assert answer is not None
    rows = study.record.rows()
    assert all(row.status in ("ok", "stopped") for row in rows)
    assert len([row for row in rows if row.kind == "trial"]) == 3
    assert (tmp_path / "best" / "encoder.safetensors").exists()


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_stopped_driver_goes_on(how: signal.Signals, space_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "sslsearch.run", str(space_file), "--out", str(out)]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    first: Any = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    )
    for line in first.stdout:
        if "1/4" in line:  # the first trial has ended
            break
    first.send_signal(how)
    rest = first.communicate(timeout=60)[0]
    if how is not signal.SIGKILL:
        assert first.returncode == 130
        assert "Run the same command again" in rest
    lines = (out / "events.jsonl").read_text().splitlines(keepends=True)
    events = [json.loads(line) for line in lines if line.endswith("\n")]  # the last may be torn
    finished = {event["trial"] for event in events if event["kind"] == "finish"}
    assert finished
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    begun = [
        event["trial"]
        for event in map(json.loads, (out / "events.jsonl").read_text().splitlines())
        if event["kind"] == "trial"
    ]
    assert all(begun.count(trial) == 1 for trial in finished)  # none was run twice
    assert board(out)["kind"].value_counts()["trial"] == 4
