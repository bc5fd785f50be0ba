"""Exactly as many as asked, picked at random per row: what every masking stands on.

Shapes: R = rows (samples), N = candidates of a row.
"""

from __future__ import annotations

import torch


def how_many(valid_RN: torch.Tensor, ratio: float) -> torch.Tensor:
    """(R,) int64: round(ratio × valid), at least one hidden and one visible where two are valid."""
    valid_R = valid_RN.sum(dim=1)
    if ratio == 0:
        return torch.zeros_like(valid_R)
    wanted_R = (ratio * valid_R.double()).round().long()
    return wanted_R.clamp(min=1).minimum((valid_R - 1).clamp(min=0))


def pick(allowed_RN: torch.Tensor, count_R: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Bool: in each row, `count` random ones of the allowed (argsort of noise, as in MAE)."""
    noise_RN = torch.rand(allowed_RN.shape, generator=rng, device=allowed_RN.device)
    order_RN = noise_RN.masked_fill(~allowed_RN, 2.0).argsort(dim=1)
    first_RN = torch.arange(allowed_RN.shape[1], device=allowed_RN.device) < count_R[:, None]
    return torch.zeros_like(allowed_RN).scatter(1, order_RN, first_RN)
