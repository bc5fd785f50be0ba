"""Hide all tokens of a plane but a regular lattice.

He et al. 2022, Masked Autoencoders Are Scalable Vision Learners, arXiv:2111.06377 (figure 6,
grid-wise: one token in every four stays). Other shares follow the order of Bayer 1973, An optimum
method for two-level rendition of continuous-tone pictures: it fills a plane as evenly as can be.

Shapes: B = samples, C = channels, N = tokens.
"""

from __future__ import annotations

from typing import Annotated

import torch

from sslsearch.masking.pick import how_many
from sslsearch.registry import Ratio, Unit, register


@register("masking", needs={"grid"}, paper="He et al. 2022, arXiv:2111.06377")
def grid(
    valid_BCN: torch.Tensor,
    rng: torch.Generator,
    grid: tuple[int, ...],
    *,
    ratio: Annotated[Ratio, Unit("share of the tokens")] = 0.75,
) -> torch.Tensor:
    """Show an even lattice, shifted at random in each sample: 0.75 shows every other of each row
    and column, 0.5 a chequerboard."""
    valid_BN = valid_BCN.any(dim=1)
    rows, columns = (1, *grid)[-2:]
    bayer_SS = _bayer(max(rows, columns)).to(rng.device)
    side = len(bayer_SS)
    shift_2B11 = torch.randint(side, (2, len(valid_BN), 1, 1), generator=rng, device=rng.device)
    row_BR1 = (torch.arange(rows, device=rng.device)[:, None] + shift_2B11[0]) % side
    column_B1C = (torch.arange(columns, device=rng.device) + shift_2B11[1]) % side
    order_BN = bayer_SS[row_BR1, column_B1C].flatten(1).masked_fill(~valid_BN, side * side)
    shown_B1 = (valid_BN.sum(1) - how_many(valid_BN, ratio))[:, None]
    # ranked, for a lattice that is cut off at the edges has not all numbers
    rank_BN = order_BN.argsort(dim=1, stable=True).argsort(dim=1)
    return (valid_BN & (rank_BN >= shown_B1))[:, None] & valid_BCN


def _bayer(least: int) -> torch.Tensor:
    """Bayer's matrix of the least power of two: at which turn each place of a square is filled."""
    order_SS = torch.zeros(1, 1, dtype=torch.long)
    while len(order_SS) < least:
        upper = torch.cat([4 * order_SS, 4 * order_SS + 2], 1)
        order_SS = torch.cat([upper, torch.cat([4 * order_SS + 3, 4 * order_SS + 1], 1)])
    return order_SS
