"""What augmentations of images share: some samples of a batch, blocks that fit a cache, warps.

Shapes: B = samples, C = channels, H, W = pixels, M = the samples that are changed.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn import functional as F

from sslsearch.augment.draw import uniform

BLOCK = 200_000  # numbers that a processor core has near it: quicker by far than whole batches
Change = Callable[..., torch.Tensor]


def with_probability(
    p: float, x_BCHW: torch.Tensor, rng: torch.Generator, change: Change, *drawn_B: torch.Tensor
) -> torch.Tensor:
    """A copy in which each sample is, with probability p, `change(x_MCHW, *drawn_M)` of itself.

    `drawn_B` are parameters with a row for every sample of the batch, drawn beforehand.
    """
    chosen_B = uniform((len(x_BCHW),), 0.0, 1.0, rng) < p
    if p >= 1.0:
        return in_blocks(change, x_BCHW, *drawn_B)
    place_M = chosen_B.nonzero()[:, 0]
    changed = in_blocks(change, x_BCHW[place_M], *(drawn[place_M] for drawn in drawn_B))
    return x_BCHW.index_copy(0, place_M, changed)


def in_blocks(change: Change, x_BCHW: torch.Tensor, *drawn_B: torch.Tensor) -> torch.Tensor:
    """`change` of all samples; on a CPU of some at a time, so that they stay in its cache."""
    rows = max(1, BLOCK // max(1, x_BCHW[0].numel())) if len(x_BCHW) else 1
    if x_BCHW.device.type != "cpu" or len(x_BCHW) <= rows:
        return change(x_BCHW, *drawn_B)
    parts = zip(*(torch.split(tensor, rows) for tensor in (x_BCHW, *drawn_B)), strict=True)
    return torch.cat([change(*part) for part in parts])


def resample(
    x_BCHW: torch.Tensor, across_BHW: torch.Tensor, down_BHW: torch.Tensor
) -> torch.Tensor:
    """Read each pixel at (across, down), in pixels from 0, linearly; zeros outside of the image.

    Where one of them is the same in all rows (or columns), it may have 1 there.
    """
    B, _, H, W = x_BCHW.shape
    grid = x_BCHW.new_empty(B, H, W, 2)
    grid[..., 0] = (2 * across_BHW + 1) / W - 1
    grid[..., 1] = (2 * down_BHW + 1) / H - 1
    return F.grid_sample(x_BCHW, grid, mode="bilinear", align_corners=False)


def warp(x_BCHW: torch.Tensor, matrix_B22: torch.Tensor, shift_B2: torch.Tensor) -> torch.Tensor:
    """The pixel at p (about the middle, x to the right, y down) is read at matrix · p + shift."""
    H, W = x_BCHW.shape[-2:]
    x_1W = (torch.arange(W, device=x_BCHW.device) - (W - 1) / 2)[None]
    y_H1 = (torch.arange(H, device=x_BCHW.device) - (H - 1) / 2)[:, None]
    m = matrix_B22[..., None, None]
    s = shift_B2[..., None, None]
    across = m[:, 0, 0] * x_1W + m[:, 0, 1] * y_H1 + s[:, 0] + (W - 1) / 2
    down = m[:, 1, 0] * x_1W + m[:, 1, 1] * y_H1 + s[:, 1] + (H - 1) / 2
    return resample(x_BCHW, across, down)


def per_sample(drawn_B: torch.Tensor) -> torch.Tensor:
    """(B,) -> (B, 1, 1, 1)"""
    return drawn_B[:, None, None, None]
