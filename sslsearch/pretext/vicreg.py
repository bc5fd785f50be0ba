"""VICReg: two views agree, every feature varies, no two features say the same.

Bardes et al. 2022, VICReg: Variance-Invariance-Covariance Regularization for Self-Supervised
Learning, arXiv:2105.04906.

Shapes: B = this worker's samples, G = samples of the global batch, D = expander width.
"""

from __future__ import annotations

from typing import Annotated

import torch
from torch.nn import functional as F

from sslsearch.distributed import full_precision, gather, mean_over_workers
from sslsearch.encoders.base import Encoder
from sslsearch.pretext.base import Pretext
from sslsearch.pretext.heads import mlp, spread
from sslsearch.registry import NonNegative, Positive, Unit, register
from sslsearch.values import Batch, Loss

EPSILON = 1e-4  # the paper's, under the square root of the variance


@register("pretext", "vicreg", needs={"views"}, paper="Bardes et al. 2022, arXiv:2105.04906")
class VICReg(Pretext):
    """Invariance between views, kept from collapse by variance and covariance of the features.

    The expander's three layers are `expander` times as wide as the encoder's vector: 4, as 8192
    over the 2048 of the paper's ResNet-50.
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        invariance: Annotated[NonNegative, Unit("weight")] = 25.0,
        variance: Annotated[NonNegative, Unit("weight")] = 25.0,
        covariance: Annotated[NonNegative, Unit("weight")] = 1.0,
        expander: Annotated[Positive, Unit("times the encoder's width")] = 4.0,
    ) -> None:
        super().__init__()
        self.weights = {
            "invariance": invariance,
            "variance": variance,
            "covariance": covariance,
        }
        width = max(1, round(expander * encoder.pooled_width))
        self.expander = mlp(encoder.pooled_width, width, width, width)

    def loss(self, encoder: Encoder, views: list[Batch], rng: torch.Generator) -> Loss:
        a_BD, b_BD = (self.expander(encoder(view).pooled_BD) for view in views[:2])
        terms = vicreg_terms(a_BD, b_BD)
        total = torch.stack([self.weights[name] * term for name, term in terms.items()]).sum()
        parts = {name: term.detach() for name, term in terms.items()}
        return Loss(total, parts | {"spread": spread(a_BD)})


def vicreg_terms(a_BD: torch.Tensor, b_BD: torch.Tensor) -> dict[str, torch.Tensor]:
    """The three unweighted terms; variance is averaged and covariance summed over both views."""
    with full_precision(a_BD.device):
        a_BD, b_BD = a_BD.float(), b_BD.float()
        invariance = mean_over_workers(F.mse_loss(a_BD, b_BD))
        a_GD, b_GD = gather(torch.cat([a_BD, b_BD], 1)).chunk(2, 1)
        a_GD, b_GD = a_GD - a_GD.mean(0), b_GD - b_GD.mean(0)
        variance = (_hinge(a_GD) + _hinge(b_GD)) / 2
        covariance = _off_diagonal(a_GD) + _off_diagonal(b_GD)
    return {"invariance": invariance, "variance": variance, "covariance": covariance}


def _hinge(centred_GD: torch.Tensor) -> torch.Tensor:
    variance_D = centred_GD.square().sum(0) / max(len(centred_GD) - 1, 1)
    return F.relu(1 - torch.sqrt(variance_D + EPSILON)).mean()


def _off_diagonal(centred_GD: torch.Tensor) -> torch.Tensor:
    covariance_DD = centred_GD.T @ centred_GD / max(len(centred_GD) - 1, 1)
    square_DD = covariance_DD.square()
    return (square_DD.sum() - square_DD.diagonal().sum()) / centred_GD.shape[1]
