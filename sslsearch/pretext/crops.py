"""Two overlapping random crops of each series, cut at whole tokens, as TS2Vec draws them.

Yue et al. 2022, TS2Vec: Towards Universal Representation of Time Series, arXiv:2106.10466 (the
authors' ts2vec.py draws lengths for the batch and a shift for each sample).

Shapes: B = this worker's samples, T = time steps, L = steps of a crop.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from sslsearch.distributed import agree, draw
from sslsearch.values import Batch


@dataclass(frozen=True)
class Crops:
    """Two overlapping crops, in tokens: the second begins where the shared stretch does."""

    first: int  # length of the first crop, which ends with the shared stretch
    second: int  # length of the second crop, which begins with it
    shared: int
    early_B: torch.Tensor  # where the first crop begins in each sample
    late_B: torch.Tensor


def draw_crops(tokens: int, batch: Batch, rng: torch.Generator) -> Crops:
    """Lengths for the whole global batch, and for each sample how far both crops are shifted."""

    def integer(low: int, high: int) -> int:  # both ends included
        return int(torch.randint(low, high + 1, (), generator=rng, device=rng.device))

    shared = integer(min(2, tokens), tokens)
    left = integer(0, tokens - shared)
    start = integer(0, left)
    end = integer(left + shared, tokens)
    drawn = torch.tensor([shared, left, start, end], device=batch.valid.device)
    shared, left, start, end = agree(drawn).tolist()

    def shifts(like_B: torch.Tensor) -> torch.Tensor:
        span = tokens - (end - start) + 1  # both crops together may begin anywhere they fit
        return torch.randint(span, like_B.shape, generator=rng, device=like_B.device)

    shift_B = draw(shifts, batch.index.to(batch.valid.device))
    return Crops(
        left + shared - start, end - left, shared, early_B=shift_B, late_B=shift_B + left - start
    )


def crop(batch: Batch, begin_B: torch.Tensor, length: int, step: int) -> Batch:
    """`length` tokens of `step` steps from each sample; what lies behind its end is not valid."""
    T = batch.x.shape[2]
    steps_L = torch.arange(length * step, device=batch.x.device)
    at_BL = begin_B[:, None] * step + steps_L
    inside_BL, at_BL = at_BL < T, at_BL.clamp(max=T - 1)
    x_BCL = batch.x.gather(2, at_BL[:, None].expand(-1, batch.x.shape[1], -1))
    return batch.with_x(x_BCL, batch.valid.gather(1, at_BL) & inside_BL)
