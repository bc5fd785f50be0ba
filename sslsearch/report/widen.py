"""Where the best lies at the edge of what was searched, and how to write the wider range."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sslsearch import registry
from sslsearch.report.answers import Axis, Lessons

EDGE = 0.05  # of the range
TOP, SHARE = 0.25, 0.75  # of the best quarter of the trials so many lie near that edge too
NEAR = 0.25  # of the range: near
FEWEST = 4  # trials of that quarter
STEPS = (0.3, 0.15, 0.05)  # how far beyond, in widths of the range, as far as it is legal


@dataclass(frozen=True)
class Edge:
    """An open question whose best answers lie at an end of its range."""

    axis: Axis
    value: Any
    side: int  # +1 the upper end, -1 the lower
    wider: str  # the range as a space writes it

    @property
    def setting(self) -> str:
        return f"--set '{self.axis.words}={self.wider}'"


def edges(lessons: Lessons, best: str) -> list[Edge]:
    """Of the best trial's numbers those at an end which the best quarter of the trials leans to.

    best: its id. What may not be widened, by the law of its part, is no edge.
    """
    winner = next((one for one in lessons.trials if one.id == best), None)
    if winner is None:
        return []
    found = []
    for axis in lessons.axes:
        value = winner.answers.get(axis.name)
        if value is None or not _ordered(axis) or axis.name.endswith(".place"):
            continue
        place = axis.place(value)
        side = 1 if place >= 1 - EDGE else -1 if place <= EDGE else 0
        wider = _wider(axis, side) if side and _leans(axis, lessons, side) else ""
        found += [Edge(axis, value, side, wider)] if wider else []
    return found


def _ordered(axis: Axis) -> bool:
    return axis.is_number or all(type(o) in (int, float) for o in axis.options)


def _leans(axis: Axis, lessons: Lessons, side: int) -> bool:
    """Do most of the best trials that were asked lie near that end?"""
    at = lessons.levelled
    asked = [one for one in lessons.trials if axis.name in one.answers and one.id in at]
    asked.sort(key=lambda one: -at[one.id])
    best = asked[: max(FEWEST, math.ceil(TOP * len(asked)))]
    if len(best) < FEWEST:
        return False
    places = [axis.place(one.answers[axis.name]) for one in best]
    return sum(abs(place - (side > 0)) <= NEAR for place in places) >= SHARE * len(places)


def _wider(axis: Axis, side: int) -> str:
    if not axis.is_number:
        return _longer(axis, side)
    for step in STEPS:
        new = axis.at(1 + step if side > 0 else -step)
        new = round(new) if axis.kind == "whole" else float(f"{new:.2g}")
        old = axis.high if side > 0 else axis.low
        if new != old and legal(axis.name, new):
            low, high = (axis.low, new) if side > 0 else (new, axis.high)
            return f"{low!r}..{high!r}{' log' if axis.log else ''}"
    return ""


def _longer(axis: Axis, side: int) -> str:
    """One more option, by the factor between the two outermost."""
    options: Sequence[Any] = sorted(axis.options)
    if len(options) < 2 or options[0] <= 0:
        return ""
    end, before = (options[-1], options[-2]) if side > 0 else (options[0], options[1])
    new = type(end)(end * end / before)
    if new in options or not legal(axis.name, new):
        return ""
    return " | ".join(map(repr, [*options, new] if side > 0 else [new, *options]))


def legal(name: str, value: Any) -> bool:
    """Does the part whose knob this is allow the value? optim's knobs must be positive."""
    words = name.split(".")
    kind, part, knob = words[0], words[-2], words[-1]
    if kind == "optim":
        return bool(value > 0)
    if "masking" in words:
        kind = "masking"
    known = registry.parts(kind)
    if part not in known or knob not in known[part].knobs.model_fields:
        return bool(value > 0)
    try:
        known[part].resolve({knob: value})
    except ValueError:
        return False
    return True
