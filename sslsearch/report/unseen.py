"""What was not tried: options never drawn, stretches of a range left out, pairs never seen."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sslsearch.report.answers import Axis, Lessons, among

WIDE = 0.2  # a stretch of the range that is wider than this and
TIMES = 3.0  # than so many times what trials spread evenly would leave is a gap


@dataclass(frozen=True)
class Tried:
    """Where on its axis a question was answered.

    Attributes:
        places: of numbers, 0 to 1; each trial's.
        counts: of choices, by option.
        gaps: stretches without a trial, as (from, to): places, and the values there.
        trials: in which it was asked.
    """

    axis: Axis
    among: str
    trials: int
    places: Sequence[float] = ()
    counts: Sequence[tuple[Any, int]] = ()
    gaps: Sequence[tuple[float, float]] = ()

    @property
    def spans(self) -> list[tuple[float, float]]:
        """The gaps as values."""
        return [(self.axis.at(a), self.axis.at(b)) for a, b in self.gaps]

    @property
    def never(self) -> list[Any]:
        return [option for option, n in self.counts if not n]


def tried(lessons: Lessons) -> list[Tried]:
    """Of every question of the space, in its order."""
    found = []
    for axis in lessons.axes:
        said = [one.answers[axis.name] for one in lessons.trials if axis.name in one.answers]
        where = among(axis.condition)
        if axis.is_number:
            places = sorted(axis.place(value) for value in said)
            found.append(Tried(axis, where, len(said), places, gaps=gaps(places)))
        else:
            seen = Counter(said)
            counts = [(option, seen[option]) for option in axis.options]
            found.append(Tried(axis, where, len(said), counts=counts))
    return found


def gaps(places: Sequence[float]) -> list[tuple[float, float]]:
    """Stretches of 0..1 without a trial that are no accident: wider than WIDE and than TIMES the
    stretch that evenly spread trials would leave. All of it where there is no trial."""
    bounds = [0.0, *places, 1.0]
    least = max(WIDE, TIMES / (len(places) + 1)) if places else 0.0
    return [(a, b) for a, b in itertools.pairwise(bounds) if b - a > least]


@dataclass(frozen=True)
class Pairs:
    """How often each augmentation was in a trial of each pretext: counts by augmentation, in the
    order of families."""

    families: Sequence[str]
    counts: Sequence[tuple[str, Sequence[int]]]

    @property
    def never(self) -> list[tuple[str, str]]:
        return [
            (family, name)
            for name, row in self.counts
            for family, n in zip(self.families, row, strict=True)
            if not n
        ]


def pairs(lessons: Lessons) -> Pairs:
    """Pretext families of the space (and drawn mixes) against its augmentations."""
    kind = next((axis for axis in lessons.axes if axis.name == "pretext.kind"), None)
    drawn = sorted({one.family for one in lessons.trials})
    families = list(dict.fromkeys([*(map(str, kind.options) if kind else ()), *drawn]))
    names = [
        axis.words.removeprefix("augment.")
        for axis in lessons.axes
        if axis.name.startswith("augment.") and axis.name.endswith(".on")
    ]
    seen = Counter(
        (one.family, name)
        for one in lessons.trials
        for name in names
        if one.answers.get(f"augment.{name}.on")
    )
    counts = [(name, [seen[family, name] for family in families]) for name in names]
    return Pairs(families, counts)
