"""SimSiam: predict one view's projection from the other's, with a stop to the gradient.

Chen & He 2021, Exploring Simple Siamese Representation Learning, arXiv:2011.10566.

Shapes: B = this worker's samples, D = projection width.
"""

from __future__ import annotations

import copy
from typing import Annotated

import torch
from torch.nn import functional as F

from sslsearch.distributed import alone, full_precision, mean_over_workers
from sslsearch.encoders.base import Encoder
from sslsearch.pretext.base import Pretext
from sslsearch.pretext.heads import mlp, spread
from sslsearch.registry import Positive, Unit, register
from sslsearch.values import Batch, Loss

ALIVE = 0.5  # spread of the projections: 0.9 and more with the stop, 0.3 to 0.5 and falling without
FEWEST = 16  # samples that tell


@register("pretext", "simsiam", needs={"views"}, paper="Chen & He 2021, arXiv:2011.10566")
class SimSiam(Pretext):
    """Predict each view's projection from the other; neither negatives nor a momentum copy.

    The projection is as wide as the encoder's vector and the predictor's hidden layer a quarter
    of that: 2048 and 512 with the paper's ResNet-50. Without `stop_gradient` all collapses: the
    paper's section 4.1.
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        projection: Annotated[Positive, Unit("times the encoder's width")] = 1.0,
        bottleneck: Annotated[Positive, Unit("times the projection's width")] = 0.25,
        stop_gradient: bool = True,
    ) -> None:
        super().__init__()
        self.stop_gradient = stop_gradient
        width = encoder.pooled_width
        wide = max(1, round(projection * width))
        self.projector = mlp(width, width, width, wide, last_norm=True)
        self.predictor = mlp(wide, max(1, round(bottleneck * wide)), wide)

    def loss(self, encoder: Encoder, views: list[Batch], rng: torch.Generator) -> Loss:
        z = [self.projector(encoder(view).pooled_BD) for view in views[:2]]
        targets = [each.detach() if self.stop_gradient else each for each in z]
        there = negative_cosine(self.predictor(z[0]), targets[1])
        back = negative_cosine(self.predictor(z[1]), targets[0])
        total = mean_over_workers((there + back) / 2)
        return Loss(total, {"negative_cosine": total.detach(), "spread": spread(z[0])})

    @torch.no_grad()
    def collapsed(self, pooled_MD: torch.Tensor) -> str:
        """By the deviation of the unit-length projections, as the paper's figure 2 shows it."""
        if len(pooled_MD) < FEWEST:
            return ""
        with (
            alone()
        ):  # a copy, by these samples' own statistics: nothing is changed, none waited for
            alive = float(spread(copy.deepcopy(self.projector).train()(pooled_MD)))
        if alive >= ALIVE:
            return ""
        return f"collapsed: projections point one way (spread {alive:.2f}, 1 is alive)"


def negative_cosine(prediction_BD: torch.Tensor, target_BD: torch.Tensor) -> torch.Tensor:
    """The paper's equation 1, averaged over samples."""
    with full_precision(prediction_BD.device):
        return -F.cosine_similarity(prediction_BD.float(), target_BD.float(), dim=1).mean()
