"""VIME: of a corrupted row, tell which cells were changed and what the row was.

Yoon et al. 2020, VIME: Extending the Success of Self- and Semi-supervised Learning to Tabular
Domain, NeurIPS 2020 (section 4.1, the self-supervised part), and the authors' code
(github.com/jsyoon0823/VIME: vime_self.py, vime_utils.py).

Shapes: B = samples, F = columns, X = all numbers that restore a row.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional as F

from sslsearch.distributed import full_precision, mean_over_workers
from sslsearch.encoders.base import Encoder
from sslsearch.encoders.table import TableEncoder
from sslsearch.pretext.base import Pretext
from sslsearch.pretext.heads import spread
from sslsearch.pretext.rows import corrupted, row_restoration
from sslsearch.registry import NonNegative, Unit, register
from sslsearch.values import Batch, Loss


@register("pretext", "vime", modality="tabular", paper="Yoon et al. 2020, NeurIPS")
class VIME(Pretext):
    """Estimate the mask and the values of a row of which cells were swapped for those of others.

    Categories are restored by cross entropy, as the paper says. A missing cell counts for the
    mask (one that becomes missing, or ceases to be, has changed) and not for the values.
    """

    views = 1

    def __init__(
        self,
        encoder: TableEncoder,
        *,
        p: Annotated[float, Field(gt=0, lt=1), Unit("probability that a cell is swapped")] = 0.3,
        alpha: Annotated[NonNegative, Unit("weight of the values beside the mask")] = 2.0,
    ) -> None:
        super().__init__()
        self.p, self.alpha = p, alpha
        self.mask = nn.Linear(encoder.pooled_width, encoder.columns)
        self.values = nn.Linear(encoder.pooled_width, encoder.restored_width)

    def loss(self, encoder: Encoder, views: list[Batch], rng: torch.Generator) -> Loss:
        batch = views[0]
        after, changed_BF = corrupted(batch, rng, self.p)
        h_BD = encoder(after).pooled_BD
        mask = mask_loss(self.mask(h_BD), changed_BF)
        values = row_restoration(encoder, self.values(h_BD), batch)
        parts = {"mask": mask.detach(), "values": values.detach(), "spread": spread(h_BD)}
        return Loss(mask + self.alpha * values, parts)


def mask_loss(logits_BF: torch.Tensor, changed_BF: torch.Tensor) -> torch.Tensor:
    """Binary cross entropy of which cells were changed, averaged over columns and rows."""
    with full_precision(logits_BF.device):
        target_BF = changed_BF.float()
        loss = F.binary_cross_entropy_with_logits(logits_BF.float(), target_BF)
        return mean_over_workers(loss)
