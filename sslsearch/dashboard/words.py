"""Figures and states in words, the same in every view."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable

from sslsearch.dashboard.seen import Study, Trial
from sslsearch.track.summary import clock, figure

TABLE = {"score": "%.3f", "low": "%.3f", "high": "%.3f", "test": "%.3f", "seconds": "%.1f"}


def state(study: Study) -> str:
    """`running`, `paused`, `finished`, or what may have become of it."""
    if study.silent(time.time()):
        return f"silent for {ago(study.heard)}: killed, or at a long rung"
    return study.state


def ago(moment: float) -> str:
    return clock(max(0.0, time.time() - moment)) if math.isfinite(moment) else "–"


def counted(study: Study) -> str:
    """`23 ok, 37 stopped`."""
    return ", ".join(f"{n} {status}" for status, n in study.counts.most_common()) or "none yet"


def budget(study: Study) -> str:
    """`14 of 60`."""
    of = study.settings().get("budget.trials")
    there = len(study.of_kind("trial"))
    return f"{there} of {of}" if of else str(there)


def best(study: Study) -> str:
    """`0.537 [0.464, 0.610] ts2vec`: of the trials that came furthest."""
    leader = study.best
    if leader is None:
        return "–"
    point = leader.last
    return f"{figure(point.score, point.low, point.high)} {leader.pretext}"


def verdict(study: Study) -> str:
    """The study's own sentence, or why there is none."""
    return study.verdict or {
        "running": "not yet: the study runs",
        "paused": "not yet: run the same command again and it goes on",
    }.get(study.state, "–")


def families(trials: Iterable[Trial]) -> list[str]:
    return sorted({trial.pretext for trial in trials if trial.pretext})
