"""A pretext out of its place in a recipe: one part, or a weighted mix of several."""

from __future__ import annotations

from typing import Any

from sslsearch import registry
from sslsearch.encoders.base import Encoder
from sslsearch.pretext.base import Pretext
from sslsearch.pretext.mix_of import Mix

MIX = "mix_of"


def build(encoder: Encoder, choice: dict[str, Any]) -> Pretext:
    """`{simclr: {…}}` or `{mix_of: {simclr: {weight: 0.7, …}, mae: {sees: moved, …}}}`."""
    ((name, knobs),) = choice.items()
    if name != MIX:
        pretext: Pretext = registry.bind("pretext", choice)(encoder)
        return pretext
    weights: dict[str, float] = {}
    members: dict[str, Pretext] = {}
    moved: set[str] = set()
    for member, its_knobs in knobs.items():
        rest = dict(its_knobs or {})
        weights[member] = float(rest.pop("weight", 1.0))
        if rest.pop("sees", "augmented") == "moved":
            moved.add(member)
        members[member] = build(encoder, {member: rest})
    return Mix(members, weights, moved)


def trains(choice: dict[str, Any]) -> bool:
    """False where nothing is to be learnt (`none`, or a mix of nothing else)."""
    ((name, knobs),) = choice.items()
    members = knobs if name == MIX else choice
    return any("untrained" not in registry.get("pretext", member).traits for member in members)
