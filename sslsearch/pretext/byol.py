"""BYOL: predict what a slowly following copy of the network makes of another view.

Grill et al. 2020, Bootstrap Your Own Latent: A New Approach to Self-Supervised Learning,
arXiv:2006.07733.

Shapes: B = this worker's samples, D = projection width.
"""

from __future__ import annotations

from typing import Annotated

import torch
from torch.nn import functional as F

from sslsearch.distributed import full_precision, mean_over_workers
from sslsearch.encoders.base import Encoder
from sslsearch.pretext.base import Pretext
from sslsearch.pretext.heads import mlp, spread
from sslsearch.pretext.momentum import cosine_step, follow, follower
from sslsearch.registry import Count, Positive, Probability, Unit, register
from sslsearch.values import Batch, Loss


@register("pretext", "byol", needs={"views"}, paper="Grill et al. 2020, arXiv:2006.07733")
class BYOL(Pretext):
    """Predict a momentum encoder's projection of one view from the other; no negatives.

    Hidden layers are `hidden` times as wide as the encoder's vector: 2, as 4096 over the 2048 of
    the paper's ResNet-50.
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        momentum: Annotated[Probability, Unit("of the copy kept per step, at the start")] = 0.996,
        projection: Annotated[Count, Unit("units")] = 256,
        hidden: Annotated[Positive, Unit("times the encoder's width")] = 2.0,
    ) -> None:
        super().__init__()
        self.momentum = momentum
        width = encoder.pooled_width
        middle = max(1, round(hidden * width))
        self.projector = mlp(width, middle, projection)
        self.predictor = mlp(projection, middle, projection)
        self.target_encoder = follower(encoder)
        self.target_projector = follower(self.projector)

    def loss(self, encoder: Encoder, views: list[Batch], rng: torch.Generator) -> Loss:
        online = [self.projector(encoder(view).pooled_BD) for view in views[:2]]
        with torch.no_grad():
            target = [self.target_projector(self._target(view)) for view in views[:2]]
        there = regression(self.predictor(online[0]), target[1])
        back = regression(self.predictor(online[1]), target[0])
        total = mean_over_workers(there + back)
        return Loss(total, {"regression": total.detach(), "spread": spread(target[0])})

    def _target(self, view: Batch) -> torch.Tensor:
        pooled_BD: torch.Tensor = self.target_encoder(view).pooled_BD
        return pooled_BD

    def after_step(self, encoder: Encoder, progress: float) -> None:
        """The copy takes a small step after the network; the step shrinks to 0 along a cosine."""
        pairs = (self.target_encoder, encoder), (self.target_projector, self.projector)
        follow(*pairs, step=cosine_step(self.momentum, progress))


def regression(prediction_BD: torch.Tensor, target_BD: torch.Tensor) -> torch.Tensor:
    """Mean squared distance between unit vectors (the paper's equation 2): 2 - 2 cos."""
    with full_precision(prediction_BD.device):
        cosine_B = F.cosine_similarity(prediction_BD.float(), target_BD.float(), dim=1)
        return (2 - 2 * cosine_B).mean()
