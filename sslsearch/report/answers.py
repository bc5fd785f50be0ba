"""What a study leaves for the report beside its leaderboard: answers.json and insight.json."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from sslsearch.report.effects import levelled

NAME, INSIGHT = "answers.json", "insight.json"


@dataclass(frozen=True)
class Axis:
    """A question of the space: see `sslsearch.space.answers.Question`, which it is read from."""

    name: str
    kind: str  # real, whole, choice
    start: Any
    low: float | None = None
    high: float | None = None
    log: bool = False
    options: Sequence[Any] = ()
    condition: Sequence[tuple[str, Any]] = ()

    @property
    def is_number(self) -> bool:
        return self.kind != "choice"

    def place(self, value: Any) -> float:
        """Where on its range a value lies, 0 to 1 (or, of a choice, among its options)."""
        if not self.is_number:
            return self.options.index(value) / max(1, len(self.options) - 1)
        low, high = float(self.low or 0), float(self.high or 0)
        if self.log:
            low, high, value = math.log(low), math.log(high), math.log(value)
        return float((value - low) / (high - low)) if high > low else 0.0

    def at(self, place: float) -> float:
        """The value at a place from 0 to 1; of numbers only."""
        low, high = float(self.low or 0), float(self.high or 0)
        if self.log:
            return math.exp(math.log(low) + place * math.log(high / low))
        return low + place * (high - low)

    @property
    def words(self) -> str:
        """The path as people write it: without the words of the tree's structure."""
        return words(self.name)


@dataclass(frozen=True)
class Told:
    """A trial: what it answered, and its score at each rung."""

    id: str
    status: str
    origin: str
    family: str
    answers: Mapping[str, Any]
    scores: Sequence[float | None]


@dataclass(frozen=True)
class Lessons:
    """answers.json; without a file nothing was asked and nothing is known."""

    axes: Sequence[Axis] = ()
    trials: Sequence[Told] = ()
    rungs: Sequence[int] = ()
    importance: Sequence[Mapping[str, Any]] = ()
    within: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    default: str = ""  # the hash of the default recipe
    recipes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    asked: Mapping[str, Any] = field(default_factory=dict)  # of the space's other sections

    @property
    def levelled(self) -> dict[str, float]:
        """Each trial's score as it compares with others': see `effects.levelled`."""
        by_rung = [
            {rung: score for rung, score in enumerate(one.scores) if score is not None}
            for one in self.trials
        ]
        found = zip(self.trials, levelled(by_rung), strict=True)
        return {one.id: score for one, score in found if math.isfinite(score)}


def read(folder: Path) -> tuple[Lessons, dict[str, Any]]:
    """Both files; empty where a study has them not."""
    known, insight = (_json(folder / name) for name in (NAME, INSIGHT))
    if not known:
        return Lessons(), insight
    axes = [Axis(**one) for one in known["questions"]]
    trials = [Told(**one) for one in known["trials"]]
    words = {one.name for one in fields(Lessons)} - {"axes", "trials"}  # those of this version
    rest = {word: value for word, value in known.items() if word in words}
    return Lessons(axes=axes, trials=trials, **rest), insight


def words(name: str) -> str:
    """A question's path without the words of the tree's structure."""
    return name.removesuffix(".kind").removesuffix(".on")


def among(condition: Sequence[Sequence[Any]]) -> str:
    """A condition in words: `of mae, span`; `with jitter`; empty where there is none."""
    parts = [name.rsplit(".", 2)[-2] for name, _ in condition if name.endswith(".on")]
    branches = [str(answer) for name, answer in condition if not name.endswith(".on")]
    said = [
        f"of {', '.join(branches)}" if branches else "",
        f"with {', '.join(parts)}" if parts else "",
    ]
    return " ".join(filter(None, said))


def _json(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found
