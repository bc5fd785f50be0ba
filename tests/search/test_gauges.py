"""What a study counts for Prometheus, told to metrics that only remember."""

import time
from collections import defaultdict
from pathlib import Path
from typing import Any, ClassVar

import pytest

from sslsearch.search import gauges
from sslsearch.search.gauges import METRICS, Gauges, told_to_ray
from sslsearch.search.listener import Listener
from sslsearch.search.record import Record
from sslsearch.search.resources import Fit, Room
from sslsearch.space import Space
from sslsearch.values import Report

STUDY = {"study": "mine", "space": "tiny"}
Labels = frozenset[tuple[str, str]]


class Remembered:
    """A metric that remembers: gauges their last value, counters their sum."""

    all: ClassVar[dict[str, dict[Labels, float]]] = defaultdict(dict)

    def __init__(self, name: str, description: str, tag_keys: tuple[str, ...]) -> None:
        self.name, self.keys = name, set(tag_keys)
        assert description

    def set_default_tags(self, tags: dict[str, str]) -> "Remembered":
        self.default = tags
        return self

    def _place(self, tags: dict[str, str] | None) -> Labels:
        given = self.default | (tags or {})
        assert set(given) == self.keys
        return frozenset(given.items())

    def set(self, value: float, tags: dict[str, str] | None = None) -> None:
        self.all[self.name][self._place(tags)] = value

    def inc(self, value: float = 1.0, tags: dict[str, str] | None = None) -> None:
        assert value > 0  # Ray refuses anything else
        place = self._place(tags)
        self.all[self.name][place] = self.all[self.name].get(place, 0.0) + value


@pytest.fixture(autouse=True)
def remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    Remembered.all.clear()
    monkeypatch.setattr(gauges, "KINDS", {"gauge": Remembered, "counter": Remembered})


def value(name: str, **labels: str) -> float | None:
    return Remembered.all[name].get(frozenset((STUDY | labels).items()))


def room(slots: int) -> Room:
    return Room(Fit(slots, slots, 1, {"CPU": 1.0}, False, 1), lambda: [{"CPU": float(slots)}])


def report(rung: int, samples: int, score: float) -> Report:
    return Report(rung, samples, "ok", score, seconds={"train": 2.0, "wait": 1.0, "log": 0.0})


def trials(pretext: str, status: str) -> float | None:
    return value("sslsearch_trials", pretext=pretext, kind="trial", status=status)


def test_a_trial_from_begin_to_end(space: Space, tmp_path: Path) -> None:
    record = Record(tmp_path, space)
    heard = Gauges("mine", record, room(3))
    assert value("sslsearch_slots_open") == 3
    row = record.ask()
    family = row.recipe.family
    heard.began(row)
    assert (value("sslsearch_slots_busy"), trials(family, "running")) == (1, 1)
    for rung, samples in enumerate((32, 96, 288)):
        record.report(row.name, report(rung, samples, 0.5 + rung / 10))
        heard.reported(record.row(row.name), report(rung, samples, 0.5 + rung / 10))
    assert value("sslsearch_rungs_total", pretext=family) == 3
    assert value("sslsearch_samples_total", pretext=family) == 288
    assert value("sslsearch_stage_seconds_total", pretext=family, stage="train") == 6.0
    assert value("sslsearch_stage_seconds_total", pretext=family, stage="log") is None
    assert value("sslsearch_best_score", pretext=family) is None  # it has not ended
    heard.ended(record.finish(row.name, "ok"))
    assert (value("sslsearch_slots_busy"), trials(family, "running")) == (0, 0)
    assert trials(family, "ok") == 1
    assert value("sslsearch_best_score", pretext=family) == pytest.approx(0.7)


def test_a_slot_that_is_lost(space: Space, tmp_path: Path) -> None:
    record = Record(tmp_path, space)
    heard = Gauges("mine", record, room(2))
    row = record.ask()
    heard.began(row)
    heard.lost(row)
    assert (trials(row.recipe.family, "running"), trials(row.recipe.family, "waiting")) == (0, 1)
    assert (value("sslsearch_slots_lost_total"), value("sslsearch_slots_busy")) == (1, 0)


def test_a_study_that_goes_on(space: Space, tmp_path: Path) -> None:
    """Gauges come from the record; counters count this process; nothing is counted twice."""
    record = Record(tmp_path, space)
    done, open_ = record.ask(), record.ask()
    for row, score in ((done, 0.6), (open_, 0.4)):
        record.report(row.name, report(0, 32, score))
    record.finish(done.name, "ok")
    record.storage.remove_session()
    again = Record(tmp_path, space)
    heard = Gauges("mine", again, room(2))
    first, second = done.recipe.family, open_.recipe.family
    assert trials(first, "ok") == 1
    assert trials(second, "waiting") == 1
    assert value("sslsearch_best_score", pretext=first) == 0.6
    assert "sslsearch_samples_total" not in Remembered.all
    heard.began(again.row(open_.name))
    assert (trials(second, "waiting"), trials(second, "running")) == (0, 1)
    heard.reported(again.row(open_.name), report(1, 96, 0.5))
    assert value("sslsearch_samples_total", pretext=second) == 64  # not the 32 of before


def test_gauges_are_told_again(
    space: Space, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray forgets a gauge that nobody sets; the conductor is idle several times a second."""
    record = Record(tmp_path, space)
    heard = Gauges("mine", record, room(2))
    heard.began(record.ask())
    Remembered.all.clear()
    heard.idle()
    assert not Remembered.all  # just told
    now = time.monotonic()
    monkeypatch.setattr(gauges.time, "monotonic", lambda: now + 6)
    heard.idle()
    told = {name for name, (kind, _, _) in METRICS.items() if kind == "gauge"}
    assert set(Remembered.all) == told - {"sslsearch_best_score"}


def test_names_follow_prometheus() -> None:
    for name, (kind, _, what) in METRICS.items():
        assert name.startswith("sslsearch_")
        assert name.endswith("_total") == (kind == "counter")
        assert what


def test_who_listened_before_still_hears(space: Space, tmp_path: Path) -> None:
    heard: list[Any] = []

    class Ear(Listener):
        def began(self, row: Any) -> None:
            heard.append(row)

    record = Record(tmp_path, space)
    both = told_to_ray(Ear(), "mine", record, room(1))
    row = record.ask()
    both.began(row)
    assert heard == [row]
    assert value("sslsearch_slots_busy") == 1
