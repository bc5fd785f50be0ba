"""Jigsaw: say in which order the tiles of an image were laid.

Noroozi & Favaro 2016, Unsupervised Learning of Visual Representations by Solving Jigsaw Puzzles,
arXiv:1603.09246.

Shapes: B = this worker's samples, C = channels, h, w = pixels of a tile, S = tiles, K = orders.
"""

from __future__ import annotations

import itertools
import math
from typing import Annotated

import torch
from pydantic import Field
from torch.nn import functional as F

from sslsearch.distributed import draw, mean_over_workers
from sslsearch.encoders.base import Encoder
from sslsearch.pretext.base import Pretext
from sslsearch.pretext.heads import mlp
from sslsearch.registry import Count, Ratio, Unit, register
from sslsearch.values import Batch, Loss

CANDIDATES = 2000  # orders among which the farthest apart are chosen, where there are more


@register("pretext", "jigsaw", modality="image", paper="Noroozi & Favaro 2016, arXiv:1603.09246")
class Jigsaw(Pretext):
    """Encode each tile alone, and tell from all of them which of a set of orders they are in.

    Tiles are cut at a random place inside their cell (a `gap` of its side is left out) and each
    has its own mean and deviation taken away, so that neither edges nor colours give the order
    away. The encoder must take images of the size of a tile.
    """

    views = 1

    def __init__(
        self,
        encoder: Encoder,
        *,
        side: Annotated[int, Field(ge=2, le=4), Unit("tiles of a side")] = 3,
        orders: Annotated[Count, Unit("orders, at most all there are")] = 100,
        gap: Annotated[Ratio, Unit("share of a cell's side")] = 11 / 75,
        hidden: Annotated[Count, Unit("units")] = 512,
    ) -> None:
        super().__init__()
        self.side, self.gap = side, gap
        order_KS = far_apart(side * side, min(orders, math.factorial(side * side)))
        self.register_buffer("order_KS", order_KS, persistent=False)
        self.classify = mlp(side * side * encoder.pooled_width, hidden, len(order_KS))

    order_KS: torch.Tensor

    def loss(self, encoder: Encoder, views: list[Batch], rng: torch.Generator) -> Loss:
        batch, K = views[0], len(self.order_KS)
        asked_B = draw(
            lambda x: torch.randint(K, (len(x),), generator=rng, device=x.device), batch.index
        )
        tile_BSChw = standardised(tiles(batch.x, self.side, self.gap, rng))
        B, S = tile_BSChw.shape[:2]
        laid_BS = self.order_KS[asked_B]
        laid = tile_BSChw[torch.arange(B, device=laid_BS.device)[:, None], laid_BS]
        each = Batch(laid.flatten(0, 1), batch.valid.repeat_interleave(S, 0),
                     batch.index.repeat_interleave(S))  # fmt: skip
        logits = self.classify(encoder(each).pooled_BD.view(B, -1))
        total = mean_over_workers(F.cross_entropy(logits.float(), asked_B))
        right = mean_over_workers((logits.argmax(1) == asked_B).float().mean())
        return Loss(total, {"cross_entropy": total.detach(), "accuracy": right})


def tiles(x_BCHW: torch.Tensor, side: int, gap: float, rng: torch.Generator) -> torch.Tensor:
    """(B, S, C, h, w): row by row, each cut at its own place inside its cell in each sample."""
    B, C, H, W = x_BCHW.shape
    cell = H // side, W // side
    if min(cell) < 1:
        raise ValueError(f"jigsaw: {H} x {W} pixels cannot be cut into {side} x {side} tiles")
    size = tuple(max(1, round((1 - gap) * length)) for length in cell)
    cells = x_BCHW[..., : side * cell[0], : side * cell[1]]
    cells = cells.reshape(B, C, side, cell[0], side, cell[1]).permute(0, 2, 4, 1, 3, 5)
    cells_XChw = cells.reshape(-1, C, *cell)

    def places(axis: int) -> torch.Tensor:
        free = cell[axis] - size[axis] + 1
        start_X1 = torch.randint(free, (len(cells_XChw), 1), generator=rng, device=rng.device)
        return start_X1 + torch.arange(size[axis], device=rng.device)

    row_X, column_X = places(0)[:, None, :, None], places(1)[:, None, None, :]
    cut = cells_XChw.gather(2, row_X.expand(-1, C, -1, cell[1]))
    cut = cut.gather(3, column_X.expand(-1, C, size[0], -1))
    return cut.view(B, side * side, C, *size)


def standardised(tile_BSChw: torch.Tensor) -> torch.Tensor:
    """Each tile about 0.5, so that none is known by its brightness or its contrast."""
    deviation, mean = torch.std_mean(tile_BSChw, (2, 3, 4), correction=0, keepdim=True)
    return 0.5 + 0.25 * (tile_BSChw - mean) / (deviation + 1e-2)


def far_apart(count: int, orders: int) -> torch.Tensor:
    """order_KS: orders of so many tiles, each next one as far as can be from all before (Hamming).

    The authors' greedy algorithm, from the identity on; among a fixed sample of all orders where
    these are too many to look at.
    """
    if math.factorial(count) <= CANDIDATES:
        candidate_XS = torch.tensor(list(itertools.permutations(range(count))))
    else:
        rng = torch.Generator().manual_seed(0)
        drawn = torch.rand(max(CANDIDATES, 4 * orders), count, generator=rng).argsort(1)
        candidate_XS = torch.unique(torch.cat([torch.arange(count)[None], drawn]), dim=0)
    chosen, apart_X = [0], torch.zeros(len(candidate_XS))
    for _ in range(min(orders, len(candidate_XS)) - 1):
        apart_X += (candidate_XS != candidate_XS[chosen[-1]]).sum(1)
        apart_X[chosen[-1]] = -math.inf
        chosen.append(int(apart_X.argmax()))
    return candidate_XS[chosen]
