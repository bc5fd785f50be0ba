"""Node-attribute prediction: which attributes a hidden node has, told from its neighbours.

Hu et al. 2020, Strategies for Pre-training Graph Neural Networks, arXiv:1905.12265 (attribute
masking). Their attributes are one of a kind (an atom's); a bag of words is taken as its shares,
which for one-hot attributes is the same cross entropy.

Shapes: V = nodes of a batch, F = features, D = token width.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from sslsearch import registry
from sslsearch.distributed import draw, full_precision, global_mean
from sslsearch.encoders.base import Encoder
from sslsearch.pretext.base import Pretext
from sslsearch.registry import MaskingSlot, register
from sslsearch.values import Batch, Loss

RANDOM_015: dict[str, Any] = {"random": {"ratio": 0.15}}


@register(
    "pretext",
    "attribute_prediction",
    modality="graph",
    needs={"tokens"},
    paper="Hu et al. 2020, arXiv:1905.12265",
)
class AttributePrediction(Pretext):
    """Hide nodes and predict the shares of their attributes; negative attributes count as none."""

    views = 1

    def __init__(
        self,
        encoder: Encoder,
        *,
        masking: MaskingSlot = RANDOM_015,
    ) -> None:
        super().__init__()
        self.mask = registry.bind("masking", masking)
        self.predict = nn.Linear(encoder.width, encoder.patch_width)

    def loss(self, encoder: Encoder, views: list[Batch], rng: torch.Generator) -> Loss:
        batch, graph = views[0], views[0].x
        valid_GCN = encoder.token_valid(batch)
        hidden_GCN = draw(lambda valid: self.mask(valid, rng), valid_GCN) & valid_GCN
        z_VD = graph.packed(encoder(batch, hidden_GCN).tokens_BND)
        hidden_V = graph.packed(hidden_GCN[:, 0])
        total = share_entropy(self.predict(z_VD[hidden_V]), graph.x_VF[hidden_V])
        total = total + 0.0 * z_VD.float().sum()  # its graph, where nothing is hidden
        return Loss(total, {"cross_entropy": total.detach()})


def share_entropy(logits_VF: torch.Tensor, x_VF: torch.Tensor) -> torch.Tensor:
    """Cross entropy with each node's attributes as shares; nodes without any do not count."""
    with full_precision(logits_VF.device):
        weight_VF = x_VF.float().clamp(min=0)
        total_V1 = weight_VF.sum(1, keepdim=True)
        share_VF = weight_VF / total_V1.where(total_V1 > 0, torch.ones_like(total_V1))
        some_V = total_V1[:, 0] > 0
        entropy_V = -(share_VF * logits_VF.float().log_softmax(1)).sum(1)
        return global_mean((entropy_V * some_V).sum(), some_V.sum())
