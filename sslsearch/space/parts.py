"""Reads the slots of a space: `encoder`, `pretext`, `augment`, and masking inside a pretext.

Every knob that is not written becomes Fixed at its default, so the tree needs no registry later.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import yaml
from pydantic import BaseModel, Field
from pydantic.fields import FieldInfo

from sslsearch import registry
from sslsearch.registry import Part, did_you_mean
from sslsearch.space import laws
from sslsearch.space.errors import Faults
from sslsearch.space.knobs import BAD, read_knob
from sslsearch.space.nodes import (
    Fixed,
    Map,
    MixOf,
    Node,
    OneOf,
    Real,
    SequenceOf,
    SubsetOf,
)
from sslsearch.space.overrides import STRUCTURE
from sslsearch.space.source import entries, is_empty, written


class Member(BaseModel):
    """The knobs that every branch of mix_of has."""

    weight: registry.Positive = 0.5
    sees: Literal["augmented", "moved"] = Field(
        default="augmented",
        description="its views: as augmented, or only moved, their values unchanged",
    )


UNSAID: dict[str, Node] = {"weight": Real(0.1, 1.0, start=0.5), "sees": Fixed("augmented")}


@dataclass(frozen=True)
class Use:
    """A part that the space may use, and where it says so."""

    part: Part
    at: yaml.Node


class PartReader:
    """Reads slots and remembers which parts they use."""

    def __init__(self, modality: str | None, faults: Faults) -> None:
        self.modality, self.faults = modality, faults
        self.uses: list[Use] = []

    def slot(self, kind: str, at: yaml.Node, node: yaml.Node) -> Node:
        """`name`, `a | b`, `name: {knobs}`, `one_of: {…}` and, for a pretext, `mix_of: {…}`."""
        if isinstance(node, yaml.ScalarNode) and not is_empty(node):
            return self._named(kind, node)
        if not isinstance(node, yaml.MappingNode) or is_empty(node):
            self.faults.add(
                at,
                f"{kind}: {written(node)}: names a part, as in {kind}: {{name: "
                f"{{knob: value}}}}; known: {', '.join(self._known(kind))}",
            )
            return BAD
        here = entries(node)
        word = next((w for w in here if w in STRUCTURE), None)
        if word is None:
            if len(here) > 1:
                names = ", ".join(here)
                self.faults.add(at, f"{kind}: {names}: one lives here: write one_of: above them")
            return OneOf(self._branches(kind, node))
        key, inner = here[word]
        allowed = ("one_of", "mix_of") if kind == "pretext" else ("one_of",)
        if not self._alone(kind, word, allowed, node) or not self._is_lines(word, key, inner):
            return BAD
        assert isinstance(inner, yaml.MappingNode)
        if word == "one_of":
            return OneOf(self._branches(kind, inner))
        if len(entries(inner)) < 2:
            self.faults.add(key, "mix_of: mixes two branches or more")
        return MixOf(self._branches(kind, inner, weighted=True))

    def augment(self, at: yaml.Node, node: yaml.Node) -> Node:
        """`subset_of:`, `sequence_of:`, a mapping (all in, in that order), `{}` or `none`."""
        if is_empty(node) or (isinstance(node, yaml.ScalarNode) and node.value == "none"):
            return Map({})
        if not isinstance(node, yaml.MappingNode):
            self.faults.add(
                at,
                f"augment: {written(node)}: none, or a mapping as in "
                "augment: {jitter: {sigma: 0.03}}",
            )
            return BAD
        here = entries(node)
        word = next((w for w in here if w in STRUCTURE), None)
        if word is None:
            return Map(self._branches("augment", node))
        key, inner = here[word]
        if not self._alone("augment", word, ("subset_of", "sequence_of"), node):
            return BAD
        if not self._is_lines(word, key, inner):
            return BAD
        assert isinstance(inner, yaml.MappingNode)
        lines = self._branches("augment", inner)
        return SubsetOf(lines) if word == "subset_of" else SequenceOf(lines)

    def knobs(self, model: type[BaseModel], what: str, at: yaml.Node, node: yaml.Node) -> Map:
        """A mapping of knobs, checked against a part's (or a section's) model."""
        if not isinstance(node, yaml.MappingNode) and not is_empty(node):
            self.faults.add(
                at, f"{what}: {written(node)}: holds knobs, as in {what}: {{knob: value}}"
            )
            return Map({})
        here = entries(node) if isinstance(node, yaml.MappingNode) else {}
        for word, (key, _) in here.items():
            if word not in model.model_fields:
                near = (
                    did_you_mean(word, model.model_fields)
                    if model.model_fields
                    else ("; it has none")
                )
                self.faults.add(key, f"{word}: unknown knob of {what}{near}")
        items: dict[str, Node] = {}
        for word, info in model.model_fields.items():
            if word in here:
                items[word] = self._knob(model, word, *here[word])
            elif info.is_required():
                self.faults.add(at, f"{what}: needs {word}, {laws.law(info)}")
            else:
                items[word] = self._default(info, at)
        return Map(items)

    # ---- inside

    def _known(self, kind: str) -> dict[str, Part]:
        return registry.parts(kind, self.modality)

    def _named(self, kind: str, node: yaml.ScalarNode) -> Node:
        """`simclr`, or `simclr | mae`: every knob at its default."""
        names = [word.strip() for word in node.value.split("|")]
        branches = {name: self._branch(kind, name, node, None) for name in names}
        return OneOf({name: branch for name, branch in branches.items() if branch is not None})

    def _alone(
        self, kind: str, word: str, allowed: tuple[str, ...], node: yaml.MappingNode
    ) -> bool:
        here = entries(node)
        if word not in allowed:
            law = " or ".join(f"{a}:" for a in allowed)
            self.faults.add(here[word][0], f"{word}: has no place in {kind}: write {law}")
        elif len(here) > 1:
            other = next(w for w in here if w != word)
            self.faults.add(
                here[other][0], f"{other}: stands beside {word}: indent it under {word}"
            )
        else:
            return True
        return False

    def _is_lines(self, word: str, key: yaml.Node, node: yaml.Node) -> bool:
        if isinstance(node, yaml.MappingNode) and not is_empty(node):
            return True
        self.faults.add(
            key, f"{word}: {written(node)}: holds parts, one a line, as in name: {{knob: value}}"
        )
        return False

    def _branches(
        self, kind: str, node: yaml.MappingNode, weighted: bool = False
    ) -> dict[str, Map]:
        found = {
            name: self._branch(kind, name, key, value, weighted)
            for name, (key, value) in entries(node).items()
        }
        return {name: branch for name, branch in found.items() if branch is not None}

    def _branch(
        self, kind: str, name: str, at: yaml.Node, node: yaml.Node | None, weighted: bool = False
    ) -> Map | None:
        known = self._known(kind)
        part = registry.parts(kind).get(name)
        if part is None:
            self.faults.add(at, f"{name}: unknown {kind}{did_you_mean(name, known)}")
            return None
        if name not in known:
            theirs = ", ".join(sorted(part.modality or ()))
            self.faults.add(
                at, f"{name}: is for {theirs}, not for {self.modality}; known: {', '.join(known)}"
            )
        self.uses.append(Use(part, at))
        node = yaml.MappingNode("", []) if node is None else node
        if not weighted or not isinstance(node, yaml.MappingNode):
            knobs = self.knobs(part.knobs, name, at, node)
            return Map({**UNSAID, **knobs.items}) if weighted else knobs
        rest = [(key, value) for key, value in node.value if key.value not in UNSAID]
        said = {
            word: read_knob(Member, word, value, self.faults)
            for word, (_, value) in entries(node).items()
            if word in UNSAID
        }
        bare = yaml.MappingNode(node.tag, rest, node.start_mark, node.end_mark)
        return Map({**UNSAID, **said, **self.knobs(part.knobs, name, at, bare).items})

    def _default(self, info: FieldInfo, at: yaml.Node) -> Node:
        """The default of a knob, as a tree; a default masking has defaults of its own."""
        value = info.get_default(call_default_factory=True)
        slot = laws.slot(info)
        if slot is None or value is None:
            return Fixed(value)
        ((name, given),) = value.items()
        part = registry.get(slot.kind, name)
        self.uses.append(Use(part, at))
        knobs = {
            word: Fixed(given[word]) if word in (given or {}) else self._default(inner, at)
            for word, inner in part.knobs.model_fields.items()
        }
        return OneOf({name: Map(knobs)})

    def _knob(self, model: type[BaseModel], word: str, key: yaml.Node, node: yaml.Node) -> Node:
        info = model.model_fields[word]
        slot = laws.slot(info)
        if slot is not None and not (is_empty(node) and type(None) in laws.kinds(info)):
            return self.slot(slot.kind, key, node)
        return read_knob(model, word, node, self.faults)
