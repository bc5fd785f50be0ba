"""The record: durable, resumable, and carried over when the space changes."""

from pathlib import Path

import pytest

from sslsearch.search.record import INFEASIBLE, Record
from sslsearch.space import Space, parse
from sslsearch.values import Report


def ok(rung: int, score: float) -> Report:
    return Report(rung, 32 * 3**rung, "ok", score, seconds={"train": 1.0})


def test_rows_survive_the_process(space: Space, tmp_path: Path) -> None:
    record = Record(tmp_path, space)
    row = record.ask()
    record.report(row.name, ok(0, 0.1))
    record.report(row.name, ok(1, 0.2))
    record.finish(row.name, "stopped")
    running = record.ask()
    record.report(running.name, ok(0, 0.3))

    again = Record(tmp_path, space)
    first, second = again.rows("trial")
    assert (first.status, first.score, len(first.reports)) == ("stopped", 0.2, 2)
    assert first.recipe == row.recipe
    assert [r.name for r in again.unfinished()] == [running.name]
    assert second.reports[0].score == 0.3
    assert again.report(running.name, ok(0, 0.3)) is False  # told twice, kept once
    assert again.report(running.name, ok(1, 0.4)) is True
    again.finish(running.name, "ok")
    assert Record(tmp_path, space).unfinished() == []


def test_names_go_on_after_a_restart(space: Space, tmp_path: Path) -> None:
    names = [Record(tmp_path, space).ask().name for _ in range(3)]
    assert names == ["t0000", "t0001", "t0002"]


def test_early_stops_are_pruned_and_failures_infeasible(space: Space, tmp_path: Path) -> None:
    record = Record(tmp_path, space)
    for status in ("ok", "stopped", "nan", "oom"):
        row = record.ask()
        good = status in ("ok", "stopped")
        record.report(row.name, ok(0, 0.5) if good else Report(0, 0, "nan", float("nan")))
        record.finish(row.name, status)
    states = [t.state.name for t in record.search.get_trials()]
    assert states == ["COMPLETE", "PRUNED", "PRUNED", "PRUNED"]
    constraints = [
        any(INFEASIBLE in key for key in t.system_attrs) for t in record.search.get_trials()
    ]
    assert constraints == [False, False, True, True]


def test_the_default_comes_first(space: Space, tmp_path: Path) -> None:
    record = Record(tmp_path, space)
    record.enqueue(space.default(), "default")
    record.enqueue(space.default(), "literature")  # the same again: skipped
    first, second = record.ask(), record.ask()
    assert (first.origin, first.recipe.hash) == ("default", space.default().hash)
    assert second.origin == "sampler"


def test_a_changed_space_keeps_what_fits(space: Space, tmp_path: Path) -> None:
    record = Record(tmp_path, space)
    for score in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6):
        row = record.ask()
        record.report(row.name, ok(0, score))
        record.finish(row.name, "ok")
    wider = parse(space.text.replace("0.05..1.0 log", "0.01..2.0 log"))
    again = Record(tmp_path, wider)
    assert len(again.rows("trial")) == 6
    assert len(again.search.get_trials()) == 6  # all fit a wider range
    narrow = parse(space.text.replace("    vicreg: {}\n", ""))
    kept = len(Record(tmp_path, narrow).search.get_trials())
    assert kept == sum(row.recipe.family == "simclr" for row in record.rows("trial"))


def test_a_finalist_is_added_once(space: Space, tmp_path: Path) -> None:
    record = Record(tmp_path, space)
    row = record.add_finalist(space.default(), 1000)
    record.report(row.name, ok(2, 0.5))
    record.finish(row.name, "ok")
    assert Record(tmp_path, space).add_finalist(space.default(), 1000).status == "ok"
    assert record.rows("trial") == []


@pytest.mark.parametrize("sampler", ["tpe", "random", "gp", "qmc"])
def test_samplers_by_name(space: Space, tmp_path: Path, sampler: str) -> None:
    named = parse(space.text.replace("start_from: none", f"start_from: none, sampler: {sampler}"))
    if sampler == "gp":
        pytest.importorskip("torch")
    record = Record(tmp_path, named)
    for i in range(12):
        row = record.ask()
        record.report(row.name, ok(0, i / 10))
        record.finish(row.name, "ok")
    assert len({row.recipe.hash for row in record.rows("trial")}) > 6


def test_the_sampler_remembers_the_best_and_the_newest(
    space: Space, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sslsearch.search.record.FORGETS_AT", 20)
    monkeypatch.setattr("sslsearch.search.sampler.REMEMBERED", 10)
    record = Record(tmp_path, space)
    running = record.ask()  # begun before anything is forgotten
    for number in range(30):
        row = record.ask()
        record.report(row.name, ok(0, 1.0 if number == 3 else number / 100))
        record.finish(row.name, "ok" if number % 2 else "stopped")
    told = record.search.get_trials(deepcopy=False)
    assert len(told) <= 21
    assert max(t.value for t in told if t.value is not None) == 1.0  # the best of long ago
    assert len(record.rows("trial")) == 31
    record.report(running.name, ok(0, 0.5))
    record.finish(running.name, "ok")
    again = Record(tmp_path, space)
    assert again.row(running.name).score == 0.5
    assert [row.status for row in again.rows("trial")] == [r.status for r in record.rows("trial")]
