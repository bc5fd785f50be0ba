"""The question of a study: a space is loaded from YAML, and recipes are drawn from it."""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from sslsearch.space import answers as walks
from sslsearch.space.answers import Answers, Question, Random
from sslsearch.space.check import Checked, check
from sslsearch.space.errors import Faults, SpaceError
from sslsearch.space.grammar import write
from sslsearch.space.nodes import Ask, Choice, Fixed, Map, MixOf, Node, OneOf, Real, Scalar, Whole
from sslsearch.space.overrides import override
from sslsearch.space.sections import (
    ORDER,
    Budget,
    Compute,
    Confirm,
    Data,
    Fidelity,
    Probe,
    Search,
    Track,
)
from sslsearch.space.shipped import found
from sslsearch.space.source import compose, entries, read, to_text, with_name
from sslsearch.values import Recipe


@dataclass(frozen=True)
class Goal:
    """What is searched for: `maximize probe/accuracy`; or several, of which the first decides.

    Attributes:
        texts: as written, the probe's own first.
    """

    texts: tuple[str, ...]

    @property
    def metric(self) -> str:
        """The first objective: by it trials are confirmed."""
        return self.texts[0].split()[1]

    @property
    def others(self) -> tuple[tuple[str, int], ...]:
        """The other objectives: each its metric, and +1 where more is better, -1 where less is."""
        said = [text.split() for text in self.texts[1:]]
        return tuple((metric, 1 if way == "maximize" else -1) for way, metric in said)

    @property
    def directions(self) -> list[Literal["maximize", "minimize"]]:
        """Of each objective; the first is always maximised, as scores are."""
        return ["maximize", *("maximize" if sign > 0 else "minimize" for _, sign in self.others)]

    @property
    def written(self) -> str | list[str]:
        """As a space and a recipe hold it."""
        return self.texts[0] if len(self.texts) == 1 else list(self.texts)

    def __str__(self) -> str:
        return ", ".join(self.texts)


@dataclass(frozen=True)
class Space:
    """A search space: some values of `tree` are open, the sections say how to search it.

    Attributes:
        text: the YAML after `--set`, which loads again.
        tree: encoder, pretext, augment and optim, every default written out.
    """

    name: str
    goal: Goal
    data: Data
    probe: Probe
    fidelity: Fidelity
    budget: Budget
    search: Search
    confirm: Confirm
    track: Track
    compute: Compute
    tree: dict[str, Node]
    text: str

    @property
    def digest(self) -> str:
        """Twelve hex digits over what is searched and how it is judged, not over how long."""
        probe = self.probe.model_dump(include={"name", "judge_by"})
        if self.probe.knobs:
            probe["knobs"] = self.probe.knobs
        sections = [str(self.goal), probe, self.data.model_dump(), self.fidelity.model_dump()]
        tree = {section: describe(node) for section, node in self.tree.items()}
        # the order of augmentations counts, that of the sections' words does not
        text = json.dumps(sections, default=str, sort_keys=True) + json.dumps(tree, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def draw(self, ask: Ask) -> Recipe:
        """Ask every open value that lives, and write the recipe."""
        body: dict[str, Any] = {"name": self.name, "goal": self.goal.written}
        for section in ORDER[2:]:
            if section in self.tree:
                body[section] = walks.draw(self.tree[section], section, ask)
            else:
                body[section] = getattr(self, section).model_dump()
        return Recipe(body)

    def questions(self) -> list[Question]:
        """Everything that is open, each with the answers under which it is asked."""
        return [q for section, node in self.tree.items() for q in walks.questions(node, section)]

    def random_recipe(self, rng: random.Random) -> Recipe:
        """Every open question answered uniformly (by orders of magnitude where it says `log`)."""
        return self.draw(Random(rng))

    def default(self) -> Recipe:
        """First branches, the parts' own defaults put into their ranges, all augmentations in."""
        return self.draw(Answers({}, self._starts()))

    def project(self, recipe: Recipe, strict: bool = False) -> dict[str, Scalar] | None:
        """The answers that lead `draw` to the recipe, or as near as this space allows.

        Values are put into their ranges, augmentations that the space has not are dropped, what
        is fixed stays the space's own. None where the space has not the recipe's pretext; with
        `strict`, None unless the very same trial is drawn, judged in the same way.
        """
        if not self._has_pretext(recipe):
            return None
        near: dict[str, Scalar] = {}
        for section, node in self.tree.items():
            walks.project(node, recipe.body.get(section), section, near)
        record = _Record(Answers(near, self._starts()))
        drawn = self.draw(record)
        if strict and (drawn.hash, _judged(drawn)) != (recipe.hash, _judged(recipe)):
            return None
        return record.asked

    def _starts(self) -> dict[str, Scalar]:
        return {question.name: question.start for question in self.questions()}

    def _has_pretext(self, recipe: Recipe) -> bool:
        node = self.tree["pretext"]
        name, knobs = recipe.part("pretext")
        if isinstance(node, MixOf):
            return name == "mix_of" and set(knobs) == set(node.branches)
        return isinstance(node, OneOf) and name in node.branches


class _Record:
    """Passes questions on and remembers what was answered."""

    def __init__(self, inner: Ask) -> None:
        self.inner = inner
        self.asked: dict[str, Scalar] = {}

    def real(self, name: str, low: float, high: float, log: bool) -> float:
        value = self.asked[name] = self.inner.real(name, low, high, log)
        return value

    def whole(self, name: str, low: int, high: int, log: bool) -> int:
        value = self.asked[name] = self.inner.whole(name, low, high, log)
        return value

    def choice(self, name: str, options: tuple[Scalar, ...]) -> Scalar:
        value = self.asked[name] = self.inner.choice(name, options)
        return value


def load(path: str | Path, sets: Sequence[str] = ()) -> Space:
    """Read a space; `sets` are overrides `PATH=VALUE`. SpaceError lists all that is wrong.

    Where there is no such file, the space that comes with sslsearch under that name.
    """
    path = found(Path(path))
    return parse(read(path), str(path), sets)


def parse(text: str, file: str = "space.yaml", sets: Sequence[str] = ()) -> Space:
    """As `load`, from text; `file` is how messages call it."""
    faults = Faults()
    root = compose(text, file, faults)
    faults.raise_if_any()
    assert root is not None
    for assignment in sets:
        if isinstance(root, yaml.MappingNode):
            override(root, assignment, faults)
    name = re.sub(r"[^\w.-]+", "_", Path(file).stem, flags=re.ASCII).strip("_.-") or "space"
    checked = check(root, name, faults)
    faults.raise_if_any()
    assert checked is not None
    assert isinstance(root, yaml.MappingNode)
    if sets:
        text = to_text(root)
        root = compose(text, file, faults)
        assert isinstance(root, yaml.MappingNode)
    if "name" not in entries(root):
        text = with_name(text, root, name)
    return _space(checked, text)


def _space(checked: Checked, text: str) -> Space:
    goal = checked.head.goal
    sections: dict[str, Any] = dict(checked.sections)
    return Space(
        name=checked.head.name,
        goal=Goal((goal,) if isinstance(goal, str) else tuple(goal)),
        tree=checked.tree,
        text=text,
        **sections,
    )


def describe(node: Node) -> Any:
    """The node as plain lists and text, order kept: what two spaces are compared by."""
    match node:
        case Map(items):
            return [[word, describe(item)] for word, item in items.items()]
        case Fixed() | Real() | Whole() | Choice():
            return write(node)
    branches = node.branches if isinstance(node, OneOf | MixOf) else node.lines
    return [type(node).__name__, *([name, describe(b)] for name, b in branches.items())]


def _judged(recipe: Recipe) -> tuple[Any, ...]:
    probe = recipe["probe"]
    return recipe["goal"], probe["name"], probe["judge_by"], probe.get("knobs")


__all__ = ["Goal", "Space", "SpaceError", "describe", "load", "parse"]
