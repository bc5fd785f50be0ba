"""Where parts register themselves; a part is found because its file exists.

A part is a function or a class. Its **knobs are its keyword-only parameters**: their annotations
are the legal ranges (pydantic), their defaults the paper's. `@register(kind)` is all it takes to
appear in the YAML, the catalogue, the JSON schema and the contract tests.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, partial
from typing import Annotated, Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic.fields import FieldInfo

ROOMS = {  # kind -> the rooms (sub-packages) in which such parts live
    "modality": "modalities",
    "augment": "augment",
    "masking": "masking",
    "encoder": "encoders",
    "pretext": "pretext",
    "probe": "probe",
    "watch": "probe",
    "floor": "probe",
    "format": "formats",
}


@dataclass(frozen=True)
class Unit:
    """Marks a knob with what its numbers are counted in: `tokens`, `steps`."""

    text: str


@dataclass(frozen=True)
class Identity:
    """Marks the knob value at which an augmentation changes nothing."""

    value: Any


@dataclass(frozen=True)
class Slot:
    """Marks a knob whose value is itself a part of another kind: `{name: {knob: value}}`."""

    kind: str


Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Ratio = Annotated[float, Field(ge=0, lt=1)]  # a share that never takes everything
Probability = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
MaskingSlot = Annotated[dict[str, Any], Slot("masking")]


@dataclass(frozen=True)
class Part:
    """One registered part.

    Attributes:
        modality: the kinds of data it is for; None = any.
        needs: what it asks of the others: `views`, `time`, `channels` …
        gives: what a modality or an encoder offers to those who ask.
        traits: flags for the room it lives in (`moves_time`: an augmentation that moves steps,
            and changes no values).
        paper: "Author Year, arXiv:…", or "" where it is folklore.
    """

    kind: str
    name: str
    make: Callable[..., Any]
    knobs: type[BaseModel]
    modality: frozenset[str] | None
    needs: frozenset[str]
    gives: frozenset[str]
    traits: frozenset[str]
    paper: str

    @property
    def summary(self) -> str:
        """The first paragraph of its docstring, as one line."""
        return (inspect.getdoc(self.make) or "").split("\n\n")[0].replace("\n", " ")

    def fits(self, modality: str) -> bool:
        """Is it meant for this kind of data, or for any?"""
        return self.modality is None or modality in self.modality

    def resolve(self, knobs: dict[str, Any] | None) -> dict[str, Any]:
        """Checked knobs with every default written out. Raises pydantic.ValidationError."""
        return self.knobs(**(knobs or {})).model_dump()

    def bind(self, knobs: dict[str, Any] | None) -> Callable[..., Any]:
        """The part with its knobs filled in: call it with the positional arguments of its kind."""
        return partial(self.make, **self.resolve(knobs))


_parts: dict[tuple[str, str], Part] = {}
T = TypeVar("T", bound=Callable[..., Any])


def register(
    kind: str,
    name: str | None = None,
    *,
    modality: str | Iterable[str] | None = None,
    needs: Iterable[str] = (),
    gives: Iterable[str] = (),
    traits: Iterable[str] = (),
    paper: str = "",
) -> Callable[[T], T]:
    """Make a function or class a part of `kind`, named as it is (or as `name` says)."""
    if kind not in ROOMS:
        raise ValueError(f"unknown kind of part {kind!r}; there are {', '.join(ROOMS)}")

    def wrap(make: T) -> T:
        part_name = name or make.__name__
        if (kind, part_name) in _parts and _parts[kind, part_name].make is not make:
            known = _parts[kind, part_name].make
            if (known.__module__, known.__qualname__) != (make.__module__, make.__qualname__):
                raise ValueError(f"two parts claim the name {kind} {part_name!r}")
        modalities = (modality,) if isinstance(modality, str) else modality
        _parts[kind, part_name] = Part(
            kind=kind,
            name=part_name,
            make=make,
            knobs=_knob_model(part_name, make),
            modality=None if modalities is None else frozenset(modalities),
            needs=frozenset(needs),
            gives=frozenset(gives),
            traits=frozenset(traits),
            paper=paper,
        )
        return make

    return wrap


def _knob_model(name: str, make: Callable[..., Any]) -> type[BaseModel]:
    fields: dict[str, Any] = {}
    for parameter in inspect.signature(make, eval_str=True).parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY:
            default = ... if parameter.default is parameter.empty else parameter.default
            fields[parameter.name] = (parameter.annotation, default)
    config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    model: type[BaseModel] = create_model(name, __config__=config, **fields)
    return model


@cache
def discover() -> None:
    """Import every file of every room, once, so that all parts have registered."""
    for room in dict.fromkeys(ROOMS.values()):
        package = importlib.import_module(f"sslsearch.{room}")
        for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
            importlib.import_module(module.name)


def parts(kind: str, modality: str | None = None) -> dict[str, Part]:
    """All parts of a kind by name, sorted; only those that fit `modality` if one is given."""
    discover()
    found = (p for (k, _), p in sorted(_parts.items()) if k == kind)
    return {p.name: p for p in found if modality is None or p.fits(modality)}


def get(kind: str, name: str) -> Part:
    """The part, or a ValueError that names the nearest word."""
    known = parts(kind)
    if name not in known:
        raise ValueError(f"unknown {kind} {name!r}{did_you_mean(name, known)}")
    return known[name]


def bind(kind: str, choice: dict[str, Any]) -> Callable[..., Any]:
    """`{name: {knob: value}}` -> the part with its knobs filled in."""
    ((name, knobs),) = choice.items()
    return get(kind, name).bind(knobs)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?`, or the list of known words when none is near."""
    names = sorted(known)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(names)}"


def marker(info: FieldInfo, kind: type[Any]) -> Any:
    """The first marker (Unit, Identity, Slot) of `kind` on a knob, or None."""
    nested = [m for m in get_args(info.annotation) if isinstance(m, kind)]
    return next((m for m in [*info.metadata, *nested] if isinstance(m, kind)), None)
