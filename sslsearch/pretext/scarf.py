"""SCARF: a row must find its own corrupted copy among those of the whole batch.

Bahri et al. 2022, SCARF: Self-Supervised Contrastive Learning using Random Feature Corruption,
arXiv:2106.15147 (algorithm 1). The anchor is the row as it is; what corrupts the copy is what the
recipe's augmentations say: the paper's is marginal_resample with ratio 0.6. SimCLR differs: it
corrupts both views and contrasts each with all views of both.

Shapes: B = this worker's samples, G = samples of the global batch, D = projection width.
"""

from __future__ import annotations

from typing import Annotated

import torch
from torch.nn import functional as F

from sslsearch.distributed import first_of, full_precision, gather, mean_over_workers
from sslsearch.encoders.base import Encoder
from sslsearch.pretext.base import Pretext
from sslsearch.pretext.heads import spread
from sslsearch.registry import Count, Positive, Unit, register
from sslsearch.values import Batch, Loss


@register(
    "pretext",
    "scarf",
    modality="tabular",
    needs={"views"},
    paper="Bahri et al. 2022, arXiv:2106.15147",
)
class SCARF(Pretext):
    """Contrast each clean row with the corrupted copies of all rows (InfoNCE)."""

    views = 2
    clean = 1

    def __init__(
        self,
        encoder: Encoder,
        *,
        temperature: Annotated[Positive, Unit("of cosine similarity")] = 1.0,
        projection: Annotated[Count, Unit("units")] = 256,
    ) -> None:
        super().__init__()
        self.temperature = temperature
        self.projector = torch.nn.Sequential(
            torch.nn.Linear(encoder.pooled_width, projection),
            torch.nn.ReLU(),
            torch.nn.Linear(projection, projection),
        )

    def loss(self, encoder: Encoder, views: list[Batch], rng: torch.Generator) -> Loss:
        clean_BD, corrupt_BD = (self.projector(encoder(view).pooled_BD) for view in views[:2])
        total = info_nce(clean_BD, corrupt_BD, self.temperature)
        return Loss(total, {"info_nce": total.detach(), "spread": spread(clean_BD)})


def info_nce(a_BD: torch.Tensor, b_BD: torch.Tensor, temperature: float) -> torch.Tensor:
    """Cross entropy of each a finding its b among all b of the global batch.

    The paper divides the sum over candidates by their number, which takes the constant log(G) off
    the loss and changes no gradient; here it is not divided, as in InfoNCE (arXiv:1807.03748).
    """
    with full_precision(a_BD.device):
        a_BD, b_BD = (F.normalize(z.float(), dim=1) for z in (a_BD, b_BD))
        logits_BG = a_BD @ gather(b_BD).T / temperature
        own_B = torch.arange(len(a_BD), device=a_BD.device) + first_of(len(a_BD))
        return mean_over_workers(F.cross_entropy(logits_BG, own_B))
