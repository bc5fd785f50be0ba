"""A masking out of its place in a recipe, told how the tokens lie if it asks for that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from sslsearch import registry

Grid = tuple[int, ...]  # rows and columns of the N tokens, which are counted row by row
Masking = Callable[[torch.Tensor, torch.Generator, Grid], torch.Tensor]


def build(choice: dict[str, Any]) -> Masking:
    """`{block: {ratio: 0.4}}` -> f(valid_BCN, rng, grid) -> hidden_BCN.

    Maskings with the need `grid` are registered as f(valid_BCN, rng, grid, *, knobs), all others
    as f(valid_BCN, rng, *, knobs).
    """
    ((name, knobs),) = choice.items()
    part = registry.get("masking", name)
    mask = part.bind(knobs)

    def hide(valid_BCN: torch.Tensor, rng: torch.Generator, grid: Grid) -> torch.Tensor:
        hidden_BCN: torch.Tensor = (
            mask(valid_BCN, rng, grid) if "grid" in part.needs else mask(valid_BCN, rng)
        )
        return hidden_BCN

    return hide
