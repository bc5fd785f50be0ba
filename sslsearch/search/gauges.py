"""A study's own figures among Ray's metrics, for Prometheus and Grafana.

Ray's agent on each node serves them as `ray_sslsearch_…`. The agent comes with `ray[default]`;
where there is none, what is counted here goes nowhere and nothing else changes. Nothing is counted
per step: a trial costs a few numbers at each rung.

Gauges are set from the record, so they are right when a study goes on. Counters count what this
process has seen: Ray's agent keeps those of a driver that has left, and adding the record to the
next one's would count it twice. Seconds are counters by stage and no histograms, for Ray makes up
a histogram's sum from the middles of its buckets.
"""

from __future__ import annotations

import math
import time
from typing import Any

import ray.util.metrics as ray_metrics

from sslsearch.search.listener import Listener, Listeners
from sslsearch.search.record import Record, Row
from sslsearch.search.resources import Room
from sslsearch.values import Report

REFRESH_SECONDS = 5.0  # Ray forgets a gauge that has not been set for 20 s
STUDY = ("study", "space")  # the study folder's name, and its space's
KINDS = {"gauge": ray_metrics.Gauge, "counter": ray_metrics.Counter}
Meaning = tuple[str, tuple[str, ...], str]  # kind, labels beside those of the study, in words
METRICS: dict[str, Meaning] = {
    "sslsearch_slots_busy": ("gauge", (), "slots that hold a trial"),
    "sslsearch_slots_open": ("gauge", (), "slots that the cluster has room for"),
    "sslsearch_trials": (
        "gauge",
        ("pretext", "kind", "status"),
        "trials and finalists' runs in the record; waiting = begun, and without a slot now",
    ),
    "sslsearch_best_score": (
        "gauge",
        ("pretext",),
        "the best selection score of a trial that came to the last rung",
    ),
    "sslsearch_rungs_total": ("counter", ("pretext",), "rungs reported to this process"),
    "sslsearch_samples_total": ("counter", ("pretext",), "samples trained on"),
    "sslsearch_stage_seconds_total": (
        "counter",
        ("pretext", "stage"),
        "seconds that slots have held trials, by stage; wait = what no other stage explains",
    ),
    "sslsearch_slots_lost_total": ("counter", (), "slots lost under a trial"),
}


class Gauges(Listener):
    """Counts what the conductor tells.

    Args:
        study: the study folder's name.
        slots: how many the cluster has room for, now.
    """

    def __init__(self, study: str, record: Record, slots: Room) -> None:
        self.slots = slots
        known = {"study": study, "space": record.space.name}
        self._metrics: dict[str, Any] = {
            name: KINDS[kind](name, what, (*STUDY, *labels)).set_default_tags(known)
            for name, (kind, labels, what) in METRICS.items()
        }
        self._values: dict[tuple[str, tuple[str, ...]], float] = {}  # gauge, labels -> its value
        self._told = -math.inf  # when Ray has heard all of them
        self._live: set[str] = set()
        self._place: dict[str, tuple[str, str, str]] = {}  # trial -> pretext, kind, status
        self._seen = {row.name: row.samples_seen for row in record.rows()}
        for row in record.rows():
            self._move(row, "waiting" if row.status == "running" else row.status)
        self.idle()

    def began(self, row: Row) -> None:
        self._live.add(row.name)
        self._move(row, "running")

    def reported(self, row: Row, report: Report) -> None:
        pretext = row.recipe.family
        self._add("sslsearch_rungs_total", 1, pretext)
        more = report.samples_seen - self._seen.get(row.name, 0)
        if more > 0:  # a trial that was started over repeats what it has seen
            self._seen[row.name] = report.samples_seen
            self._add("sslsearch_samples_total", more, pretext)
        for stage, seconds in report.seconds.items():
            self._add("sslsearch_stage_seconds_total", seconds, pretext, stage)

    def ended(self, row: Row) -> None:
        self._live.discard(row.name)
        self._move(row, row.status)

    def lost(self, row: Row) -> None:
        self._live.discard(row.name)
        self._move(row, "waiting")
        self._add("sslsearch_slots_lost_total", 1)

    def idle(self) -> None:
        if time.monotonic() - self._told < REFRESH_SECONDS:
            return
        self._told = time.monotonic()
        self._set("sslsearch_slots_open", self.slots())
        self._set("sslsearch_slots_busy", len(self._live))
        for (name, labels), value in list(self._values.items()):
            self._set(name, value, *labels)

    def _move(self, row: Row, status: str) -> None:
        """A trial or a run has come to another status."""
        before, now = self._place.get(row.name), (row.recipe.family, row.kind, status)
        self._place[row.name] = now
        if before is not None:
            self._set("sslsearch_trials", self._value("sslsearch_trials", before) - 1, *before)
        self._set("sslsearch_trials", self._value("sslsearch_trials", now) + 1, *now)
        if row.kind == "trial" and status == "ok" and row.fits and math.isfinite(row.score):
            best = self._values.get(("sslsearch_best_score", now[:1]), -math.inf)
            self._set("sslsearch_best_score", max(best, row.score), now[0])
        self._set("sslsearch_slots_busy", len(self._live))

    def _value(self, name: str, labels: tuple[str, ...]) -> float:
        return self._values.get((name, labels), 0.0)

    def _set(self, name: str, value: float, *labels: str) -> None:
        self._values[name, labels] = value
        self._metrics[name].set(value, dict(zip(METRICS[name][1], labels, strict=True)))

    def _add(self, name: str, value: float, *labels: str) -> None:
        if value > 0:  # Ray refuses to add nothing
            self._metrics[name].inc(value, dict(zip(METRICS[name][1], labels, strict=True)))


def told_to_ray(announcer: Listener, study: str, record: Record, slots: Room) -> Listener:
    """The announcer, with Ray's metrics beside it."""
    return Listeners(announcer, Gauges(study, record, slots))
