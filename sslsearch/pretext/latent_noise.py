"""Contrast without augmentation: two copies of a sample's vector, each perturbed by a little noise.

Yu et al. 2022, Are Graph Augmentations Necessary? Simple Graph Contrastive Learning for
Recommendation (SimGCL), arXiv:2112.08679 (section 3.1). There each layer's embedding is perturbed;
here the encoder's pooled vector, and the noise is a share of its length.

Shapes: B = this worker's samples, D = width of the pooled vector.
"""

from __future__ import annotations

from typing import Annotated

import torch
from torch.nn import functional as F

from sslsearch.distributed import draw
from sslsearch.encoders.base import Encoder
from sslsearch.pretext.base import Pretext
from sslsearch.pretext.heads import mlp, spread
from sslsearch.pretext.simclr import nt_xent
from sslsearch.registry import Count, Positive, Unit, register
from sslsearch.values import Batch, Loss


@register("pretext", "latent_noise", modality="tabular", paper="Yu et al. 2022, arXiv:2112.08679")
class LatentNoise(Pretext):
    """Tell a sample's perturbed vectors from those of all other samples (NT-Xent)."""

    views = 1

    def __init__(
        self,
        encoder: Encoder,
        *,
        epsilon: Annotated[Positive, Unit("share of the vector's length")] = 0.1,
        temperature: Annotated[Positive, Unit("of cosine similarity")] = 0.2,
        projection: Annotated[Count, Unit("units")] = 128,
    ) -> None:
        super().__init__()
        self.epsilon, self.temperature = epsilon, temperature
        self.projector = mlp(encoder.pooled_width, encoder.pooled_width, projection)

    def loss(self, encoder: Encoder, views: list[Batch], rng: torch.Generator) -> Loss:
        h_BD = encoder(views[0]).pooled_BD
        a_BD, b_BD = (self.projector(perturbed(h_BD, self.epsilon, rng)) for _ in range(2))
        total = nt_xent(a_BD, b_BD, self.temperature)
        return Loss(total, {"nt_xent": total.detach(), "spread": spread(a_BD)})


def perturbed(h_BD: torch.Tensor, epsilon: float, rng: torch.Generator) -> torch.Tensor:
    """h and noise of length epsilon · |h|, uniform in direction within h's own orthant."""

    def noise(like_BD: torch.Tensor) -> torch.Tensor:
        return torch.rand(like_BD.shape, generator=rng, device=like_BD.device)

    with_h_BD = h_BD.detach()
    away_BD = F.normalize(draw(noise, with_h_BD), dim=1) * with_h_BD.sign()
    length_B1 = torch.linalg.vector_norm(with_h_BD, dim=1, keepdim=True)
    moved_BD: torch.Tensor = h_BD + epsilon * length_B1 * away_BD
    return moved_BD
