"""Barlow Twins: two views' features correlate one by one, and with no others.

Zbontar et al. 2021, Barlow Twins: Self-Supervised Learning via Redundancy Reduction,
arXiv:2103.03230.

Shapes: B = this worker's samples, G = samples of the global batch, D = projector width.
"""

from __future__ import annotations

from typing import Annotated

import torch

from sslsearch.distributed import full_precision, gather
from sslsearch.encoders.base import Encoder
from sslsearch.pretext.base import Pretext
from sslsearch.pretext.heads import mlp, spread
from sslsearch.registry import NonNegative, Positive, Unit, register
from sslsearch.values import Batch, Loss

EPSILON = 1e-5  # of the authors' batch norm, beside the variance


@register("pretext", "barlow_twins", needs={"views"}, paper="Zbontar 2021, arXiv:2103.03230")
class BarlowTwins(Pretext):
    """Bring the cross-correlation of two views' features to the identity matrix.

    The projector's three layers are `projector` times as wide as the encoder's vector: 4, as 8192
    over the 2048 of the paper's ResNet-50.
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        redundancy: Annotated[NonNegative, Unit("weight of the off-diagonal")] = 0.005,
        projector: Annotated[Positive, Unit("times the encoder's width")] = 4.0,
    ) -> None:
        super().__init__()
        self.redundancy = redundancy
        width = max(1, round(projector * encoder.pooled_width))
        self.projector = mlp(encoder.pooled_width, width, width, width)

    def loss(self, encoder: Encoder, views: list[Batch], rng: torch.Generator) -> Loss:
        a_BD, b_BD = (self.projector(encoder(view).pooled_BD) for view in views[:2])
        invariance, redundancy = barlow_terms(a_BD, b_BD)
        total = invariance + self.redundancy * redundancy
        parts = {"invariance": invariance.detach(), "redundancy": redundancy.detach()}
        return Loss(total, parts | {"spread": spread(a_BD)})


def barlow_terms(a_BD: torch.Tensor, b_BD: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Squared distances of the cross-correlation from 1 on the diagonal and from 0 beside it."""
    with full_precision(a_BD.device):
        both_GX = gather(torch.cat([a_BD.float(), b_BD.float()], 1))
        a_GD, b_GD = _standardised(both_GX).chunk(2, 1)
        correlation_DD = a_GD.T @ b_GD / len(a_GD)
        diagonal_D, square_DD = correlation_DD.diagonal(), correlation_DD.square()
        invariance = (diagonal_D - 1).square().sum()
        return invariance, square_DD.sum() - square_DD.diagonal().sum()


def _standardised(z_GX: torch.Tensor) -> torch.Tensor:
    centred_GX = z_GX - z_GX.mean(0)
    return centred_GX * torch.rsqrt(centred_GX.square().mean(0) + EPSILON)
