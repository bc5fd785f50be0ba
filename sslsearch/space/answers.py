"""Walks over a space's tree: draw a recipe from answers, list the questions, find the answers.

All four walk alike, so that what is asked, listed and projected cannot drift apart: the names are
made in one way, by `draw`.
"""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sslsearch.space.nodes import (
    Ask,
    Choice,
    Fixed,
    Map,
    MixOf,
    Node,
    OneOf,
    Real,
    Scalar,
    SequenceOf,
    SubsetOf,
    Whole,
)

Condition = tuple[tuple[str, Scalar], ...]


@dataclass(frozen=True)
class Question:
    """One open value.

    Attributes:
        name: dotted path in the YAML.
        kind: real, whole or choice.
        start: where a search starts: the part's own default, put into the range.
        condition: the answers under which it is asked at all, as (name, answer) pairs.
    """

    name: str
    kind: str
    start: Scalar
    low: float | int | None = None
    high: float | int | None = None
    log: bool = False
    options: tuple[Scalar, ...] = ()
    condition: Condition = ()


@dataclass(frozen=True)
class Answers:
    """Answers known beforehand; what is missing is answered by `rest`."""

    known: Mapping[str, Scalar]
    rest: Mapping[str, Scalar]

    def _of(self, name: str) -> Any:
        return self.known[name] if name in self.known else self.rest[name]

    def real(self, name: str, low: float, high: float, log: bool) -> float:
        return float(self._of(name))

    def whole(self, name: str, low: int, high: int, log: bool) -> int:
        return int(self._of(name))

    def choice(self, name: str, options: tuple[Scalar, ...]) -> Scalar:
        answer: Scalar = self._of(name)
        return answer


@dataclass(frozen=True)
class Random:
    """Answers by chance, evenly over each range."""

    rng: random.Random

    def real(self, name: str, low: float, high: float, log: bool) -> float:
        if log:
            value = math.exp(self.rng.uniform(math.log(low), math.log(high)))
            return min(max(value, low), high)
        return self.rng.uniform(low, high)

    def whole(self, name: str, low: int, high: int, log: bool) -> int:
        if log:
            value = math.exp(self.rng.uniform(math.log(low - 0.5), math.log(high + 0.5)))
            return min(max(round(value), low), high)
        return self.rng.randint(low, high)

    def choice(self, name: str, options: tuple[Scalar, ...]) -> Scalar:
        return self.rng.choice(options)


def draw(node: Node, path: str, ask: Ask) -> Any:
    """The node with every open value answered: plain scalars and mappings."""
    match node:
        case Fixed(value):
            return copy.deepcopy(value)  # lists and mappings of knobs belong to the recipe
        case Real(low, high, log):
            return ask.real(path, low, high, log)
        case Whole(low, high, log):
            return ask.whole(path, low, high, log)
        case Choice(options):
            return ask.choice(path, options)
        case Map(items):
            return {word: draw(item, f"{path}.{word}", ask) for word, item in items.items()}
        case OneOf(branches):
            name = next(iter(branches))
            if len(branches) > 1:
                name = str(ask.choice(f"{path}.kind", tuple(branches)))
            return {name: draw(branches[name], f"{path}.{name}", ask)}
        case SubsetOf(lines):
            return {n: draw(lines[n], f"{path}.{n}", ask) for n in _chosen(lines, path, ask)}
        case SequenceOf(lines):
            chosen = _chosen(lines, path, ask)
            place = {n: ask.real(f"{path}.{n}.place", 0.0, 1.0, False) for n in chosen}
            ordered = sorted(chosen, key=place.__getitem__)
            return {n: draw(lines[n], f"{path}.{n}", ask) for n in ordered}
        case MixOf(branches):
            return {"mix_of": draw(Map(branches), path, ask)}


def _chosen(lines: Mapping[str, Map], path: str, ask: Ask) -> list[str]:
    return [n for n in lines if ask.choice(f"{path}.{n}.on", (False, True))]


def questions(node: Node, path: str, condition: Condition = ()) -> list[Question]:
    """All questions that `draw` may ask, in its order, each with its condition."""
    match node:
        case Fixed():
            return []
        case Real() | Whole() | Choice():
            return [_question(node, path, condition)]
        case Map(items) | MixOf(items):
            return _under(items, path, condition)
        case OneOf(branches):
            if len(branches) == 1:
                return _under(branches, path, condition)
            names = tuple(branches)
            found = [
                Question(f"{path}.kind", "choice", names[0], options=names, condition=condition)
            ]
            for name, branch in branches.items():
                lives = (*condition, (f"{path}.kind", name))
                found += questions(branch, f"{path}.{name}", lives)
            return found
        case SubsetOf(lines) | SequenceOf(lines):
            found = []
            for i, (name, line) in enumerate(lines.items()):
                on = f"{path}.{name}.on"
                found.append(
                    Question(on, "choice", True, options=(False, True), condition=condition)
                )
                lives = (*condition, (on, True))
                if isinstance(node, SequenceOf):
                    start = (i + 0.5) / len(lines)
                    place = f"{path}.{name}.place"
                    found.append(Question(place, "real", start, 0.0, 1.0, condition=lives))
                found += questions(line, f"{path}.{name}", lives)
            return found


def _under(items: Mapping[str, Node], path: str, condition: Condition) -> list[Question]:
    return [q for word, item in items.items() for q in questions(item, f"{path}.{word}", condition)]


def _question(node: Real | Whole | Choice, path: str, condition: Condition) -> Question:
    start = nearest(node, node.start)
    if isinstance(node, Choice):
        return Question(path, "choice", start, options=node.options, condition=condition)
    kind = "real" if isinstance(node, Real) else "whole"
    return Question(path, kind, start, node.low, node.high, node.log, condition=condition)


def nearest(node: Real | Whole | Choice, value: Any) -> Scalar:
    """The legal value nearest to `value`; the middle (or first option) if that is no number."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(node, Choice):
        exact = [o for o in node.options if o == value and type(o) is type(value)]
        if exact:
            return exact[0]
        numbers = [o for o in node.options if isinstance(o, int | float)]
        return min(numbers, key=lambda o: abs(o - value)) if number and numbers else node.options[0]
    if not number:
        value = math.sqrt(node.low * node.high) if node.log else (node.low + node.high) / 2
    if isinstance(node, Whole):
        value = round(value)
    clipped = min(max(value, node.low), node.high)
    return float(clipped) if isinstance(node, Real) else int(clipped)


def project(node: Node, value: Any, path: str, answers: dict[str, Scalar]) -> None:
    """Put into `answers` what leads `draw` nearest to `value`; what is missing is left out."""
    match node:
        case Fixed():
            return
        case Real() | Whole() | Choice():
            answers[path] = nearest(node, value)
        case Map(items) | MixOf(items):
            if isinstance(node, MixOf):
                value = value.get("mix_of", {}) if isinstance(value, Mapping) else {}
            for word, item in items.items():
                if isinstance(value, Mapping) and word in value:
                    project(item, value[word], f"{path}.{word}", answers)
        case OneOf(branches):
            name = next((n for n in value or {} if n in branches), None)
            if name is not None:
                if len(branches) > 1:
                    answers[f"{path}.kind"] = name
                project(branches[name], value[name], f"{path}.{name}", answers)
        case SubsetOf(lines) | SequenceOf(lines):
            shared = [n for n in value or {} if n in lines]
            for name, line in lines.items():
                answers[f"{path}.{name}.on"] = name in shared
                if name in shared:
                    if isinstance(node, SequenceOf):
                        place = (shared.index(name) + 0.5) / len(shared)
                        answers[f"{path}.{name}.place"] = place
                    project(line, value[name], f"{path}.{name}", answers)
