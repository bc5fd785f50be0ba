"""CCA-SSG: two views agree in every feature, and the features are decorrelated.

Zhang et al. 2021, From Canonical Correlation Analysis to Self-supervised Graph Neural Networks,
arXiv:2106.12484 (equation 4), and the authors' code (github.com/hengruizhang98/CCA-SSG: main.py).
No head, no negatives: its cost grows with samples × features², not samples².

Shapes: B = this worker's samples, G = samples of the global batch, D = the encoder's width.
"""

from __future__ import annotations

from typing import Annotated

import torch

from sslsearch.distributed import full_precision, gather
from sslsearch.encoders.base import Encoder
from sslsearch.pretext.base import Pretext
from sslsearch.pretext.heads import spread
from sslsearch.registry import NonNegative, Unit, register
from sslsearch.values import Batch, Loss

SMALLEST = 1e-8  # of a standard deviation: a dead feature stays zero


@register("pretext", "cca_ssg", needs={"views"}, paper="Zhang et al. 2021, arXiv:2106.12484")
class CcaSsg(Pretext):
    """Invariance of standardised features between views, and their correlation matrix as identity.

    `decorrelation` is the authors' lambda.
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        decorrelation: Annotated[NonNegative, Unit("weight beside the invariance")] = 1e-3,
    ) -> None:
        super().__init__()
        self.decorrelation = decorrelation

    def loss(self, encoder: Encoder, views: list[Batch], rng: torch.Generator) -> Loss:
        a_BD, b_BD = (encoder(view).pooled_BD for view in views[:2])
        invariance, decorrelation = cca_terms(a_BD, b_BD)
        total = invariance + self.decorrelation * decorrelation
        parts = {"invariance": invariance.detach(), "decorrelation": decorrelation.detach()}
        return Loss(total, parts | {"spread": spread(a_BD)})


def cca_terms(a_BD: torch.Tensor, b_BD: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(invariance, decorrelation) of the global batch, as the authors' code sums them:
    -trace(C_ab) and |I - C_aa|² + |I - C_bb|², of features with zero mean and unit deviation."""
    with full_precision(a_BD.device):
        both_G2D = gather(torch.cat([a_BD.float(), b_BD.float()], 1))
        a_GD, b_GD = (_standard(z_GD) for z_GD in both_G2D.chunk(2, 1))
        count = len(a_GD)
        invariance = -(a_GD * b_GD).sum() / count
        eye_DD = torch.eye(a_GD.shape[1], device=a_GD.device)
        apart = [(eye_DD - z.T @ z / count).square().sum() for z in (a_GD, b_GD)]
    return invariance, apart[0] + apart[1]


def _standard(z_GD: torch.Tensor) -> torch.Tensor:
    centred_GD = z_GD - z_GD.mean(0)
    variance_D = centred_GD.square().sum(0) / max(len(z_GD) - 1, 1)
    return centred_GD * torch.rsqrt(variance_D + SMALLEST**2)
