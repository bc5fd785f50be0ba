"""The recipes of the literature that fit a space: `search_spaces/recipes/*.yaml`."""

from __future__ import annotations

from pathlib import Path

from sslsearch.space.answers import Answers
from sslsearch.space.shipped import RECIPES
from sslsearch.space.space import Space, load
from sslsearch.values import Recipe


def literature(space: Space, folder: Path = RECIPES) -> list[Recipe]:
    """Each published recipe of the space's modality, as near as the space allows; no doubles."""
    found: dict[str, Recipe] = {}
    for path in sorted(folder.glob("*.yaml")):
        published = load(path)
        if published.data.modality != space.data.modality:
            continue
        answers = space.project(published.default())
        if answers is not None:
            recipe = space.draw(Answers(answers, {}))
            found.setdefault(recipe.hash, recipe)
    return list(found.values())
