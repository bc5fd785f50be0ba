"""Random blocks of tokens on a grid of any number of axes: I-JEPA's multi-block masking.

Assran et al. 2023, Self-Supervised Learning from Images with a Joint-Embedding Predictive
Architecture, arXiv:2301.08243 (section 3; the authors' src/masks/multiblock.py draws one size for
a batch, here each sample has its own).

Shapes: B = samples, M = blocks of a sample, N = tokens, A = axes of the grid.
"""

from __future__ import annotations

import math

import torch

from sslsearch.augment.draw import uniform

ASPECT = (0.75, 1.5)  # of a target block, where the grid has more than one axis


def blocks(
    valid_BN: torch.Tensor,
    grid: tuple[int, ...],
    rng: torch.Generator,
    *,
    count: int,
    scale: tuple[float, float],
    aspect: tuple[float, float] = ASPECT,
) -> torch.Tensor:
    """block_BMN, bool: each a box of valid tokens.

    A box takes a share uniform in `scale` of the tokens between the first and the last valid one
    of each axis, at least one, and lies anywhere among them. On a grid with two axes or more the
    first side is `aspect` times as long as the square has it, the others are shorter in return.
    """
    at_AN = torch.stack(
        torch.meshgrid(*(torch.arange(g, device=valid_BN.device) for g in grid), indexing="ij")
    ).flatten(1)
    last_BA = torch.where(valid_BN[:, None], at_AN, -1).amax(2)
    first_BA = torch.where(valid_BN[:, None], at_AN, max(grid)).amin(2)
    room_BA = (last_BA - first_BA + 1).clamp(min=1)
    shape, axes = (len(valid_BN), count), len(grid)
    share_BM = uniform(shape, *scale, rng)
    side_BMA = share_BM[..., None].pow(1 / axes) * room_BA[:, None]
    if axes > 1:
        longer_BM = (uniform(shape, math.log(aspect[0]), math.log(aspect[1]), rng) / 2).exp()
        others_BM = longer_BM.pow(-1 / (axes - 1))
        side_BMA = side_BMA * torch.stack([longer_BM] + [others_BM] * (axes - 1), -1)
    side_BMA = side_BMA.round().long().clamp(min=1).minimum(room_BA[:, None])
    free_BMA = room_BA[:, None] - side_BMA + 1
    start_BMA = (uniform((*shape, axes), 0.0, 1.0, rng) * free_BMA).long().minimum(free_BMA - 1)
    start_BMA1 = (start_BMA + first_BA[:, None])[..., None]
    inside_BMAN = (at_AN >= start_BMA1) & (at_AN < start_BMA1 + side_BMA[..., None])
    return inside_BMAN.all(2) & valid_BN[:, None]
