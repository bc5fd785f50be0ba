"""What a space's tree is made of. Every node can be drawn, asked about and answered.

A `path` is the dotted path of the YAML; the names that are asked are such paths, with a last word
of their own for choices of structure (`pretext.kind`, `augment.jitter.on`), so that no name is
both a value and the parent of another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

Scalar = str | int | float | bool | None


class Ask(Protocol):
    """Who answers the open questions while a recipe is drawn: a sampler, a random source …"""

    def real(self, name: str, low: float, high: float, log: bool) -> float: ...

    def whole(self, name: str, low: int, high: int, log: bool) -> int: ...

    def choice(self, name: str, options: tuple[Scalar, ...]) -> Scalar: ...


@dataclass(frozen=True)
class Fixed:
    """Nothing open: a scalar, or a list of them."""

    value: Any


@dataclass(frozen=True)
class Real:
    """A real number between low and high. `start` is where a search starts: the part's default."""

    low: float
    high: float
    log: bool = False
    start: Any = field(default=None, compare=False)


@dataclass(frozen=True)
class Whole:
    """A whole number, both ends included."""

    low: int
    high: int
    log: bool = False
    start: Any = field(default=None, compare=False)


@dataclass(frozen=True)
class Choice:
    """One of these scalars."""

    options: tuple[Scalar, ...]
    start: Any = field(default=None, compare=False)


@dataclass(frozen=True)
class Map:
    """Named values that all live: the knobs of a part, or augmentations that are all in."""

    items: Mapping[str, Node]


@dataclass(frozen=True)
class OneOf:
    """One branch lives. With a single branch nothing is asked: that is how a recipe reads."""

    branches: Mapping[str, Map]


@dataclass(frozen=True)
class SubsetOf:
    """Each line is in or out, applied in the order written."""

    lines: Mapping[str, Map]


@dataclass(frozen=True)
class SequenceOf:
    """Each line is in or out, and the order is searched too."""

    lines: Mapping[str, Map]


@dataclass(frozen=True)
class MixOf:
    """A weighted sum: all branches live, each with the knob `weight` beside its own."""

    branches: Mapping[str, Map]


Node = Fixed | Real | Whole | Choice | Map | OneOf | SubsetOf | SequenceOf | MixOf
