"""A recipe's augmentations, chained: one Batch in, one random view of it out.

Shapes: B = samples, C = channels, T = time steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from sslsearch import registry
from sslsearch.values import Batch

MOVES = {"moves_time", "moves_pixels"}  # traits of what moves values and changes none
LEAST = 2  # valid steps that a view must keep to say anything of its sample


class Compose:
    """The augmentations `{name: {knobs}, …}` of a recipe, applied in the order written.

    Those with the trait `moves_time` take the validity of the steps with them; those with the
    trait `of_batch` take and give the whole Batch, because they change what is valid too.
    """

    def __init__(self, augment: Mapping[str, Mapping[str, Any]] | None) -> None:
        self.steps = []
        for name, knobs in (augment or {}).items():
            part = registry.get("augment", name)
            self.steps.append((part.bind(dict(knobs or {})), part.traits))

    def moving(self) -> Compose:
        """Only those that move values (crop, flip, warp) and change none."""
        moving = Compose({})
        moving.steps = [step for step in self.steps if step[1] & MOVES]
        return moving

    def __call__(self, batch: Batch, rng: torch.Generator) -> Batch:
        if not self.steps:
            return batch
        view, gaps = batch, not bool(batch.valid.all())
        for augment, traits in self.steps:
            if "of_batch" in traits:
                view = augment(view, rng)
            elif "moves_time" in traits and gaps:
                view = view.with_x(*_move_both(augment, view.x, view.valid, rng))
            else:
                view = view.with_x(augment(view.x, rng))
        return _settle(view, batch) if gaps and _is_series(view) else view


def _move_both(
    augment: Any, x_BCT: torch.Tensor, valid_BT: torch.Tensor, rng: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Move values and validity alike: a step is valid if more than half of it was read from such.

    Dividing by that share takes out what was read from invalid (zeroed) neighbours.
    """
    weight_B1T = valid_BT[:, None].to(x_BCT.dtype)
    moved = augment(torch.cat([x_BCT * weight_B1T, weight_B1T], dim=1), rng)
    share_B1T = moved[:, -1:]
    valid_B1T = share_B1T > 0.5
    return moved[:, :-1] / share_B1T.where(valid_B1T, 1.0), valid_B1T[:, 0]


def _is_series(batch: Batch) -> bool:
    x = batch.x
    return isinstance(x, torch.Tensor) and x.ndim == 3 and x.shape[2:] == batch.valid.shape[1:]


def _settle(view: Batch, original: Batch) -> Batch:
    """Zero what is not valid; a sample with too little left to read keeps its original."""
    kept_B1 = view.valid.sum(dim=1, keepdim=True) >= LEAST
    x = torch.where(view.valid[:, None], view.x, 0.0)
    return view.with_x(
        torch.where(kept_B1[:, None], x, original.x),
        torch.where(kept_B1, view.valid, original.valid),
    )
