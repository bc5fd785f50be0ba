"""InfoGraph: a graph's vector must know its own nodes from those of other graphs.

Sun et al. 2020, InfoGraph: Unsupervised and Semi-supervised Graph-Level Representation Learning
via Mutual Information Maximization, arXiv:1908.01000, and the authors' code
(github.com/fanyun-sun/InfoGraph: losses.py, Jensen-Shannon measure).

Shapes: B = this worker's graphs, G = graphs of the global batch, N = nodes of the largest graph,
D = width.
"""

from __future__ import annotations

import math
from typing import Annotated

import torch
from torch import nn
from torch.nn import functional as F

from sslsearch.distributed import first_of, full_precision, gather, global_mean
from sslsearch.encoders.base import Encoder
from sslsearch.pretext.base import Pretext
from sslsearch.registry import Count, Unit, register
from sslsearch.values import Batch, Loss


@register("pretext", "infograph", modality="graph", paper="Sun et al. 2020, arXiv:1908.01000")
class InfoGraph(Pretext):
    """Jensen-Shannon estimate of what graphs and nodes tell of each other. For many graphs."""

    views = 1

    def __init__(
        self,
        encoder: Encoder,
        *,
        projection: Annotated[Count, Unit("units")] = 96,
    ) -> None:
        super().__init__()
        self.local = _Head(encoder.width, projection)
        self.whole = _Head(encoder.pooled_width, projection)

    def loss(self, encoder: Encoder, views: list[Batch], rng: torch.Generator) -> Loss:
        if views[0].x.sample_B is not None:
            raise ValueError(
                "infograph contrasts many graphs, but here samples are nodes of one: take dgi"
            )
        encoded = encoder(views[0])
        local_BND = self.local(encoded.tokens_BND)
        total = jensen_shannon(local_BND, encoded.valid_BN, self.whole(encoded.pooled_BD))
        return Loss(total, {"jensen_shannon": total.detach()})


def jensen_shannon(
    local_BND: torch.Tensor, valid_BN: torch.Tensor, whole_BD: torch.Tensor
) -> torch.Tensor:
    """Mean over pairs of a node with other graphs, less that over nodes with their own graph."""
    with full_precision(local_BND.device):
        whole_GD = gather(whole_BD.float())
        score_BNG = local_BND.float() @ whole_GD.T
        own_B = torch.arange(len(local_BND), device=local_BND.device) + first_of(len(local_BND))
        own_B1G = F.one_hot(own_B, len(whole_GD)).bool()[:, None]
        positive = (math.log(2.0) - F.softplus(-score_BNG)) * (own_B1G & valid_BN[..., None])
        negative = (F.softplus(score_BNG) - math.log(2.0)) * (~own_B1G & valid_BN[..., None])
        nodes = valid_BN.sum()
        others = nodes * (len(whole_GD) - 1)
        return global_mean(negative.sum(), others) - global_mean(positive.sum(), nodes)


class _Head(nn.Module):
    """Three layers beside one linear layer, as the authors'."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.deep = nn.Sequential(
            nn.Linear(before, after),
            nn.ReLU(),
            nn.Linear(after, after),
            nn.ReLU(),
            nn.Linear(after, after),
            nn.ReLU(),
        )
        self.straight = nn.Linear(before, after)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.deep(x) + self.straight(x)
        return out
