"""SimCLR: two views of a sample must find each other among all views of the global batch.

Chen et al. 2020, A Simple Framework for Contrastive Learning of Visual Representations,
arXiv:2002.05709.

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
from sslsearch.registry import Count, Positive, Unit, register
from sslsearch.values import Batch, Loss


@register("pretext", "simclr", needs={"views"}, paper="Chen et al. 2020, arXiv:2002.05709")
class SimCLR(Pretext):
    """Contrast two views of each sample against all other samples of the batch (NT-Xent)."""

    def __init__(
        self,
        encoder: Encoder,
        *,
        temperature: Annotated[Positive, Unit("of cosine similarity")] = 0.5,
        projection: Annotated[Count, Unit("units")] = 128,
    ) -> None:
        super().__init__()
        self.temperature = temperature
        self.projector = mlp(encoder.pooled_width, encoder.pooled_width, projection)

    def loss(self, encoder: Encoder, views: list[Batch], rng: torch.Generator) -> Loss:
        a_BD, b_BD = (self.projector(encoder(view).pooled_BD) for view in views[:2])
        total = nt_xent(a_BD, b_BD, self.temperature)
        return Loss(total, {"nt_xent": total.detach(), "spread": spread(a_BD)})


def nt_xent(a_BD: torch.Tensor, b_BD: torch.Tensor, temperature: float) -> torch.Tensor:
    """Cross entropy of each view finding its sibling among the 2G - 1 other views."""
    with full_precision(a_BD.device):
        a_BD, b_BD = (F.normalize(z.float(), dim=1) for z in (a_BD, b_BD))
        all_GD = torch.cat(gather(torch.cat([a_BD, b_BD], 1)).chunk(2, 1))  # all a, then all b
        logits = torch.cat([a_BD, b_BD]) @ all_GD.T / temperature
        own_B = torch.arange(len(a_BD), device=a_BD.device) + first_of(len(a_BD))
        other_B = own_B + len(all_GD) // 2
        itself = torch.cat([own_B, other_B])[:, None]
        logits = logits.scatter(1, itself, float("-inf"))
        return mean_over_workers(F.cross_entropy(logits, torch.cat([other_B, own_B])))
