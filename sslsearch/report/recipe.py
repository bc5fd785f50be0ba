"""The best recipe as a table against the default, and its augmentations as a pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sslsearch.report.answers import Axis, Lessons

IN, OUT = "in", "out"


@dataclass(frozen=True)
class Knob:
    """One line of a recipe.

    Attributes:
        place, default_place: where on the range that was searched; None where it was not searched.
    """

    name: str
    value: str
    default: str
    place: float | None = None
    default_place: float | None = None

    @property
    def differs(self) -> bool:
        return self.value != self.default


@dataclass(frozen=True)
class Step:
    """One augmentation of the pipeline: its knobs as (name, value, place on the range or None)."""

    name: str
    knobs: list[tuple[str, str, float | None]]


def compared(lessons: Lessons, recipe: Mapping[str, Any], default: Mapping[str, Any]) -> list[Knob]:
    """Both recipes knob by knob; only what differs or was open. Of a part that the first has not,
    its name alone."""
    axes = {axis.words: axis for axis in lessons.axes}
    ours, theirs = flat(recipe), flat(default)
    found = []
    for name in dict.fromkeys([*ours, *theirs]):
        value, before = ours.get(name), theirs.get(name)
        if value == before and name not in axes:
            continue
        if value is None and before != IN:  # a knob of a part that is not there
            continue
        axis = axes.get(name)
        found.append(
            Knob(
                name,
                _said(name, value),
                _said(name, before),
                _place(axis, value),
                _place(axis, before),
            )
        )
    return found


def pipeline(lessons: Lessons, recipe: Mapping[str, Any]) -> list[Step]:
    """The augmentations in the order in which they are applied."""
    axes = {axis.words: axis for axis in lessons.axes}
    return [
        Step(
            name,
            [
                (word, text(value), _place(axes.get(f"augment.{name}.{word}"), value))
                for word, value in (knobs or {}).items()
            ],
        )
        for name, knobs in (recipe.get("augment") or {}).items()
    ]


def flat(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Knobs by their path; a part that was chosen stands under its slot, `pretext = simclr`; an
    augmentation that is in under its name, `augment.jitter = in`."""
    found: dict[str, Any] = {}
    for section, body in recipe.items():
        if section == "augment":
            for name, knobs in (body or {}).items():
                found[f"augment.{name}"] = IN
                found |= {f"augment.{name}.{word}": v for word, v in (knobs or {}).items()}
        else:
            found |= _flat(section, body)
    return found


def _said(name: str, value: Any) -> str:
    is_line = name.startswith("augment.") and name.count(".") == 1
    return OUT if is_line and value is None else text(value)


def text(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(text, value))
    return str(value)


def _flat(path: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        return {path: value}
    inner = next(iter(value.values()), None)
    found: dict[str, Any] = {}
    if len(value) == 1 and isinstance(inner, Mapping):  # a part: {name: {knob: value}}
        found[path] = next(iter(value))
    for word, item in value.items():
        found |= _flat(f"{path}.{word}", item)
    return found


def _place(axis: Axis | None, value: Any) -> float | None:
    if axis is None or value is None or isinstance(value, str) or not axis.is_number:
        return None
    return min(1.0, max(0.0, axis.place(value)))
