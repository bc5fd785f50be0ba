"""Studies as the views see them: out of folders, and the same out of MLflow."""

import math
import os
import time
from pathlib import Path

import pytest
from made_study import FLOORS, VERDICT, make

from sslsearch.dashboard import words
from sslsearch.dashboard.library import Library, find
from sslsearch.dashboard.seen import Point, Study, Trial, at_common_rung
from sslsearch.space import Space


def one(library: Library) -> Study:
    (entry,) = library.entries()
    return library.study(entry)


def test_a_finished_study(space: Space, tmp_path: Path) -> None:
    made = make(tmp_path / "runs" / "tiny", space, 8)
    study = one(Library(tmp_path / "runs"))
    assert (study.name, study.state, study.verdict) == ("tiny", "finished", VERDICT)
    assert study.goal == "maximize probe/accuracy"
    assert study.counts == {"ok": 4, "stopped": 4}
    rows = {row.name: row for row in made.record.rows()}
    for trial in study.of_kind("trial"):
        row = rows[trial.id]
        assert trial.status == row.status
        assert trial.pretext == row.recipe.family
        assert trial.augments == tuple(row.recipe["augment"] or ())
        assert [p.score for p in trial.points] == [r.score for r in row.reports]
        assert trial.last.low == row.reports[-1].low
        assert trial.seconds == row.seconds
    assert study.best is not None
    full = [row.score for row in rows.values() if row.status == "ok"]
    assert study.best.last.score == max(full)
    floors = {floor.id: floor for floor in study.of_kind("floor")}
    assert {name: floor.last.score for name, floor in floors.items()} == FLOORS
    assert floors["untrained"].last.low == pytest.approx(0.3)
    assert floors["untrained"].test == 0.5


def test_it_follows_what_is_written(space: Space, tmp_path: Path) -> None:
    made = make(tmp_path / "tiny", space, 1, running=1, finished=False)
    library = Library(tmp_path)
    study = one(library)
    assert (study.state, len(study.live), words.budget(study)) == ("running", 1, "2 of 4")
    (row,) = made.record.unfinished()
    made.report(row, 1)
    assert len(one(library).live[0].points) == 2
    made.end(made.record.row(row.name), "oom")
    study = one(library)
    assert not study.live
    assert study.counts == {"stopped": 1, "oom": 1}
    with (tmp_path / "tiny" / "events.jsonl").open("a") as log:
        log.write('{"kind": "report", "time": 17, "tri')  # being written
    assert one(library).counts == study.counts
    made.tracker.close()


def test_paused_goes_on_and_silent(space: Space, tmp_path: Path) -> None:
    made = make(tmp_path / "tiny", space, 1, running=1, finished=False)
    made.tracker.close()
    assert one(Library(tmp_path)).state == "paused"
    spent = one(Library(tmp_path)).spent
    time.sleep(0.3)
    again = type(made)(made.folder, space)
    study = one(Library(tmp_path))
    assert study.state == "running"
    assert study.spent < spent + 0.2  # the pause does not count
    assert not study.silent(time.time())
    assert study.silent(time.time() + 600)
    again.tracker.close()


def test_mlflow_tells_the_same(space: Space, tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    make(tmp_path / "runs" / "tiny", space, 4, mlflow=uri)
    here = one(Library(tmp_path / "runs", uri))  # known from its folder: listed once
    assert here.place == str(tmp_path / "runs" / "tiny")
    before = (tmp_path / "mlflow.db").read_bytes()
    (tmp_path / "none").mkdir()
    away = one(Library(tmp_path / "none", uri))
    assert (away.id, away.state, away.verdict, away.goal, away.metric) == (
        here.id, here.state, here.verdict, here.goal, here.metric
    )  # fmt: skip
    assert away.settings() == here.settings()
    assert away.results == here.results
    for a, b in zip(by_name(away), by_name(here), strict=True):
        assert (a.id, a.kind, a.status, a.params) == (b.id, b.kind, b.status, b.params)
        assert a.seconds == b.seconds or (math.isnan(a.seconds) and math.isnan(b.seconds))
        if a.kind != "floor":  # MLflow does not know their interval
            assert list(a.points) == list(b.points)
    assert (tmp_path / "mlflow.db").read_bytes() == before
    assert [t.test for t in by_name(away) if t.id == "majority"] == [0.5]


def by_name(study: Study) -> list[Trial]:
    return sorted(study.trials, key=lambda trial: trial.id)


def test_mlflow_that_is_away_is_said_and_folders_are_shown(space: Space, tmp_path: Path) -> None:
    make(tmp_path / "tiny", space, 1).tracker.close()
    library = Library(tmp_path, "http://127.0.0.1:9")
    assert one(library).name == "tiny"
    assert "does not answer" in library.trouble
    library = Library(tmp_path, "sqlite:////nowhere/mlflow.db")
    assert one(library).name == "tiny"
    assert "no such file" in library.trouble


def test_studies_are_found_below_and_not_within(tmp_path: Path) -> None:
    for name in ("a", "b/c", "b/d", "e/f/g/h/i"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "events.jsonl").touch()
    (tmp_path / "a" / "trials" / "x").mkdir(parents=True)
    (tmp_path / "a" / "trials" / "x" / "events.jsonl").touch()
    assert [p.relative_to(tmp_path).as_posix() for p in find(tmp_path)] == ["a", "b/c", "b/d"]
    os.utime(tmp_path / "b" / "d" / "events.jsonl", (2e9, 2e9))
    assert next(entry.name for entry in Library(tmp_path).entries()) == "b/d"
    assert [entry.name for entry in Library(tmp_path / "a").entries()] == ["a"]


def test_scores_compare_at_the_deepest_rung_that_half_reached() -> None:
    lengths = {"a": 3, "b": 2, "c": 2, "d": 1}
    trials = [
        Trial(name, "trial", "ok", points=[Point(100 * 2**k, k + len(name)) for k in range(n)])
        for name, n in lengths.items()
    ]
    scores, samples = at_common_rung(trials)
    assert (set(scores), samples) == ({"a", "b", "c"}, 200)
    assert set(scores.values()) == {2.0}
    assert at_common_rung([Trial("x", "trial", "running")]) == ({}, 0)
