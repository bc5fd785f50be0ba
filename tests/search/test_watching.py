"""What a long training says: on the terminal, and to MLflow by the names that trials have."""

from __future__ import annotations

import json
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sslsearch.search.watching import PULSE_SECONDS, RUN, Pace, Watch
from sslsearch.search.wire import News
from sslsearch.space import Space
from sslsearch.track.mlflow import Tracker
from sslsearch.values import Report

EXPERIMENT = "sslsearch/tiny"
SUMMARY = {"pool": 96, "labelled": 24, "test": 24, "classes": 3, "per_class": {"a": 8, "b": 16}}


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    clock = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    return clock


def watch_of(space: Space, folder: Path, uri: str | None = None, **known: Any) -> Watch:
    tracker = Tracker(folder, uri, EXPERIMENT)
    made = Watch(space, space.default(), tracker, epoch=96, **known)
    made.begin(SUMMARY)
    return made


def report(rung: int, seen: int) -> Report:
    scores = {"accuracy": 0.5, "r2": 0.1, "knn": 0.4, "health/std": 1.0}
    seconds = {"load": 1.0, "augment": 1.0, "train": 2.0, "probe": 9.0}
    losses = ((seen - 16, 2.0), (seen, 1.0))
    return Report(rung, seen, "ok", 0.1, scores, losses=losses, seconds=seconds)


def events(folder: Path, kind: str) -> list[dict[str, Any]]:
    lines = (folder / "events.jsonl").read_text().splitlines()
    return [event for event in map(json.loads, lines) if event["kind"] == kind]


def metrics(event: dict[str, Any]) -> dict[str, float]:
    return {key: value for key, value, _ in event["metrics"] if value is not None}


def test_a_rung_has_the_names_of_a_trials(
    space: Space, tmp_path: Path, now: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    watch = watch_of(space, tmp_path)
    watch.look(News(group=1, workers=2, rungs=3))
    told = News(1, 2, 0, 3, 160, 1.0, 160, reports=(vars(report(0, 160)),))
    watch.look(told)
    watch.look(told)
    said = capsys.readouterr().out
    assert "2 workers train together, from 0 samples on" in said
    assert said.count("rung 1/3  160 samples  r2 0.100 [nan, nan]  accuracy 0.500") == 1
    (event,) = events(tmp_path, "report")
    assert (event["trial"], event["samples_seen"]) == (RUN, 160)
    figures = metrics(event)
    assert figures["score"] == 0.1
    assert figures["scores/accuracy"] == 0.5
    assert figures["health/std"] == 1.0
    assert figures["speed/samples_per_second"] == 160 / 4.0  # probing is no training
    assert figures["speed/workers"] == 2
    assert [step for key, _, step in event["metrics"] if key == "loss"] == [144, 160]
    (trial,) = events(tmp_path, "trial")
    assert trial["params"]["kind"] == "pretrain"
    assert trial["params"]["pretext"] == space.default().family
    assert trial["name"].endswith("pretrain s0")
    watch.tracker.close()


def test_between_rungs_a_line_and_a_point_a_minute(
    space: Space, tmp_path: Path, now: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    watch = watch_of(space, tmp_path)
    news = News(group=1, workers=1, rungs=1)
    for second in range(3 * int(PULSE_SECONDS)):
        now[0] += 1
        news = replace(news, samples_seen=second, loss=0.5, saved=second // 10)
        watch.look(news)
    lines = [line for line in capsys.readouterr().out.splitlines() if "samples/s" in line]
    assert len(lines) == 2
    at = int(PULSE_SECONDS)
    said = f"{at} of 288 samples ({at / 288:.0%}), epoch 1 of 3, loss 0.5, 1 samples/s, "
    assert lines[0].startswith(said)
    assert lines[0].endswith("3 min 48 s left, saved at 6")
    points = events(tmp_path, "report")
    assert [metrics(p)["loss"] for p in points] == [0.5, 0.5]
    assert all("score" not in metrics(p) for p in points)
    rung = replace(report(0, 288), losses=((points[-1]["samples_seen"], 3.0), (288, 1.0)))
    watch.look(replace(news, samples_seen=288, reports=(vars(rung),)))
    last = events(tmp_path, "report")[-1]
    assert [step for key, _, step in last["metrics"] if key == "loss"] == [288], "told once"
    watch.tracker.close()


def test_a_run_that_goes_on_is_the_same_run(
    space: Space, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = watch_of(space, tmp_path)
    first.look(News(1, 2, 0, 3, 160, 1.0, 160, reports=(vars(report(0, 160)),)))
    first.tracker.close()
    again = watch_of(space, tmp_path, known=[report(0, 160)], workers=2)
    again.look(News(1, 1, 160, 3, 160, 1.0, 160))
    reports = (vars(report(0, 160)), vars(report(1, 320)))  # the first judged again
    again.look(News(1, 1, 160, 3, 320, 1.0, 320, reports=reports))
    again.end(report(1, 320), {"run_test": 0.5}, tmp_path)
    again.tracker.close()
    said = capsys.readouterr().out
    assert "note: 2 workers so far, now 1: the same batches, other views and masks" in said
    assert said.count("rung 1/3") == said.count("rung 2/3") == 1
    assert len({event["study"] for event in events(tmp_path, "study")}) == 1
    assert {event["trial"] for event in events(tmp_path, "trial")} == {RUN}
    assert [e["samples_seen"] for e in events(tmp_path, "report")] == [160, 320]
    (end,) = events(tmp_path, "finish")
    assert end["status"] == "ok"
    assert math.isclose(metrics(events(tmp_path, "summary")[0])["run_test"], 0.5)


def test_pace_starts_anew_from_what_was_saved(now: list[float]) -> None:
    pace = Pace()
    for samples in (0, 100, 200):
        pace.note(samples)
        now[0] += 1
    assert pace.now == pace.overall == 100
    pace.note(150)
    now[0] += 2
    pace.note(250)
    assert pace.now == 50


@pytest.mark.slow
def test_mlflow_has_one_run_with_its_curve(space: Space, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    uri, best = f"sqlite:///{tmp_path}/mlflow.db", tmp_path / "out" / "best"
    best.mkdir(parents=True)
    (best / "recipe.yaml").write_text("name: tiny\n")
    watch = watch_of(space, tmp_path / "out", uri)
    watch.look(News(1, 2, 0, 2, 160, 1.0, 160, reports=(vars(report(0, 160)),)))
    watch.tracker.close(60)
    watch = watch_of(space, tmp_path / "out", uri, known=[report(0, 160)], workers=2)
    watch.look(News(1, 2, 160, 2, 320, 1.0, 320, reports=(vars(report(1, 320)),)))
    watch.end(report(1, 320), {"run_test": 0.5}, best)
    watch.tracker.close(60)
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id], "tags.`sslsearch.kind` = 'pretrain'")
    assert run.info.status == "FINISHED"
    rows = client.get_metric_history(run.info.run_id, "score")
    assert [row.step for row in rows] == [160, 320]
    assert [row.step for row in client.get_metric_history(run.info.run_id, "speed/workers")] == [
        160,
        320,
    ]
    assert [file.path for file in client.list_artifacts(run.info.run_id, "best")] == [
        "best/recipe.yaml"
    ]
