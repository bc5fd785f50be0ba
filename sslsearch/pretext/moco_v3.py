"""MoCo v3: predict which momentum key of the global batch is one's sibling; no queue.

Chen et al. 2021, An Empirical Study of Training Self-Supervised Vision Transformers,
arXiv:2104.02057, and the authors' code (github.com/facebookresearch/moco-v3: moco/builder.py).

Shapes: B = this worker's samples, G = samples of the global batch, D = projection width.
"""

from __future__ import annotations

from typing import Annotated

import torch
from torch.nn import functional as F

from sslsearch.distributed import first_of, full_precision, gather, mean_over_workers
from sslsearch.encoders.base import Encoder
from sslsearch.pretext.base import Pretext
from sslsearch.pretext.heads import mlp, spread
from sslsearch.pretext.momentum import cosine_step, follow, follower
from sslsearch.registry import Count, Positive, Probability, Unit, register
from sslsearch.values import Batch, Loss


@register("pretext", "moco_v3", needs={"views"}, paper="Chen et al. 2021, arXiv:2104.02057")
class MoCoV3(Pretext):
    """Contrast predictions of each view with the momentum keys of the other, both ways round.

    Heads and temperature are those of the authors' ResNet-50 (0.2 for their ViTs, whose projector
    has a layer more); hidden layers are `hidden` times as wide as the encoder's vector: 2, as 4096
    over 2048.
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        temperature: Annotated[Positive, Unit("of cosine similarity")] = 1.0,
        momentum: Annotated[Probability, Unit("of the copy kept per step, at the start")] = 0.99,
        projection: Annotated[Count, Unit("units")] = 256,
        hidden: Annotated[Positive, Unit("times the encoder's width")] = 2.0,
    ) -> None:
        super().__init__()
        self.temperature, self.momentum = temperature, momentum
        middle = max(1, round(hidden * encoder.pooled_width))
        self.projector = mlp(encoder.pooled_width, middle, projection, last_norm=True)
        self.predictor = mlp(projection, middle, projection)
        self.key_encoder, self.key_projector = follower(encoder), follower(self.projector)

    def loss(self, encoder: Encoder, views: list[Batch], rng: torch.Generator) -> Loss:
        query = [self.predictor(self.projector(encoder(v).pooled_BD)) for v in views[:2]]
        with torch.no_grad():
            key = [self.key_projector(self.key_encoder(view).pooled_BD) for view in views[:2]]
        there = contrast(query[0], key[1], self.temperature)
        back = contrast(query[1], key[0], self.temperature)
        total = there + back
        return Loss(total, {"info_nce": total.detach(), "spread": spread(query[0])})

    def after_step(self, encoder: Encoder, progress: float) -> None:
        """The key encoder takes a small step; the step shrinks to 0 along a cosine."""
        pairs = (self.key_encoder, encoder), (self.key_projector, self.projector)
        follow(*pairs, step=cosine_step(self.momentum, progress))


def contrast(query_BD: torch.Tensor, key_BD: torch.Tensor, temperature: float) -> torch.Tensor:
    """Cross entropy of each query finding its key among all keys, times 2 × temperature."""
    with full_precision(query_BD.device):
        query_BD, key_BD = (F.normalize(z.float(), dim=1) for z in (query_BD, key_BD))
        logits_BG = query_BD @ gather(key_BD).T / temperature
        own_B = torch.arange(len(query_BD), device=query_BD.device) + first_of(len(query_BD))
        return 2 * temperature * mean_over_workers(F.cross_entropy(logits_BG, own_B))
