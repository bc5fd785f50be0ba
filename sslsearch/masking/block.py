"""Hide rectangles of neighbouring tokens of a plane.

Bao et al. 2022, BEiT: BERT Pre-Training of Image Transformers, arXiv:2106.08254 (algorithm 1).
Shapes: B = samples, C = channels, N = tokens, K = rectangles.
"""

from __future__ import annotations

import math
from typing import Annotated

import torch
from pydantic import Field

from sslsearch.masking.pick import how_many
from sslsearch.registry import Ratio, Unit, register

OVERLAP = 3  # times as many rectangles are drawn as would fill the plane side by side


@register("masking", needs={"grid"}, paper="Bao et al. 2022 (BEiT), arXiv:2106.08254")
def block(
    valid_BCN: torch.Tensor,
    rng: torch.Generator,
    grid: tuple[int, ...],
    *,
    ratio: Annotated[Ratio, Unit("share of the tokens")] = 0.4,
    least: Annotated[float, Field(gt=0, le=1), Unit("share of the tokens, of a block")] = 0.08,
    aspect: Annotated[float, Field(gt=0, le=1), Unit("narrowest, width to height")] = 0.3,
) -> torch.Tensor:
    """Hide rectangles one after the other to an exact total; the last one is cut off row by row.

    A rectangle holds between `least` of the tokens and all that are still to be hidden, and is
    between `aspect` and 1 / `aspect` times as wide as high.
    """
    valid_BN = valid_BCN.any(dim=1)
    first_BN = _first_cover(valid_BN, grid, ratio, least, aspect, rng)
    order_BN = first_BN.masked_fill(~valid_BN, math.inf).argsort(dim=1, stable=True)
    taken_BN = (
        torch.arange(valid_BN.shape[1], device=rng.device) < how_many(valid_BN, ratio)[:, None]
    )
    hidden_BN = torch.zeros_like(valid_BN).scatter(1, order_BN, taken_BN)
    return hidden_BN[:, None] & valid_BCN


def _first_cover(
    valid_BN: torch.Tensor,
    grid: tuple[int, ...],
    ratio: float,
    least: float,
    aspect: float,
    rng: torch.Generator,
) -> torch.Tensor:
    """(B, N): which of K random rectangles covers a token first; K where none does."""
    rows, columns = (1, *grid)[-2:]
    B, N = valid_BN.shape
    K = max(1, math.ceil(OVERLAP * ratio / least))
    area_BK, shape_BK, down_BK, right_BK = torch.rand((4, B, K), generator=rng, device=rng.device)
    low, high = least * N, max(ratio, least) * N
    area_BK = low + (high - low) * area_BK
    shape_BK = torch.exp((2 * shape_BK - 1) * math.log(1 / aspect))
    tall_BK = (area_BK / shape_BK).sqrt().round().clamp(1, rows)
    wide_BK = (area_BK * shape_BK).sqrt().round().clamp(1, columns)
    top_BK = (down_BK * (rows - tall_BK + 1)).floor()
    left_BK = (right_BK * (columns - wide_BK + 1)).floor()
    place_N = torch.arange(N, device=rng.device)
    row_N1, column_N1 = (place_N // columns)[:, None], (place_N % columns)[:, None]
    inside_BNK = (row_N1 >= top_BK[:, None]) & (row_N1 < (top_BK + tall_BK)[:, None])
    inside_BNK &= (column_N1 >= left_BK[:, None]) & (column_N1 < (left_BK + wide_BK)[:, None])
    number_K = torch.arange(K, device=rng.device, dtype=torch.float32)
    return torch.where(inside_BNK, number_K, float(K)).amin(2)
