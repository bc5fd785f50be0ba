"""GraphMAE: hide the features of nodes, restore their direction from the neighbours.

Hou et al. 2022, GraphMAE: Self-Supervised Masked Graph Autoencoders, arXiv:2205.10803, and the
authors' code (github.com/THUDM/GraphMAE: models/edcoder.py, models/loss_func.py). No hidden node
is given another node's features in place of the mask token (the authors' 5 %), and the decoder
is one graph convolution whatever the encoder's layers are.

Shapes: V = nodes of a batch, F = features, D = token width.
"""

from __future__ import annotations

from typing import Annotated, Any

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional as F

from sslsearch import registry
from sslsearch.distributed import draw, full_precision, global_mean
from sslsearch.encoders.base import Encoder
from sslsearch.graph import Graph
from sslsearch.pretext.base import Pretext
from sslsearch.registry import MaskingSlot, Unit, register
from sslsearch.values import Batch, Loss

RANDOM_05: dict[str, Any] = {"random": {"ratio": 0.5}}


@register(
    "pretext",
    "graphmae",
    modality="graph",
    needs={"tokens"},
    paper="Hou et al. 2022, arXiv:2205.10803",
)
class GraphMAE(Pretext):
    """Restore hidden nodes' features: their vectors are hidden again before a graph decoder."""

    views = 1

    def __init__(
        self,
        encoder: Encoder,
        *,
        masking: MaskingSlot = RANDOM_05,
        gamma: Annotated[
            float, Field(ge=1), Unit("exponent of the cosine error: how much easy nodes weigh less")
        ] = 2.0,
    ) -> None:
        super().__init__()
        from torch_geometric.nn import GCNConv  # here: its import takes seconds

        self.mask, self.gamma = registry.bind("masking", masking), gamma
        self.between = nn.Linear(encoder.width, encoder.width, bias=False)
        self.decoder = GCNConv(encoder.width, encoder.patch_width)

    def loss(self, encoder: Encoder, views: list[Batch], rng: torch.Generator) -> Loss:
        batch, graph = views[0], views[0].x
        valid_GCN = encoder.token_valid(batch)
        hidden_GCN = draw(lambda valid: self.mask(valid, rng), valid_GCN) & valid_GCN
        tokens_GND = encoder(batch, hidden_GCN).tokens_BND
        hidden_V = graph.packed(hidden_GCN[:, 0])
        h_VD = self.between(graph.packed(tokens_GND)).masked_fill(hidden_V[:, None], 0.0)
        restored_VF = self.decoder(h_VD, graph.edge_2E, graph.weight_E)
        total = cosine_error(restored_VF, self._target(graph), hidden_V, self.gamma)
        share = global_mean(hidden_V.sum().float(), graph.valid_V.sum())
        return Loss(total, {"cosine_error": total.detach(), "hidden_share": share})

    @staticmethod
    def _target(graph: Graph) -> torch.Tensor:
        return torch.where(graph.valid_V[:, None], graph.x_VF, torch.zeros_like(graph.x_VF))


def cosine_error(
    restored_VF: torch.Tensor, target_VF: torch.Tensor, hidden_V: torch.Tensor, gamma: float
) -> torch.Tensor:
    """(1 - cos)^gamma, mean over hidden nodes (the paper's equation 2)."""
    with full_precision(restored_VF.device):
        restored, target = restored_VF[hidden_V].float(), target_VF[hidden_V].float()
        cosine_V = F.cosine_similarity(restored, target, dim=1)
        # 1 - cos may be -1e-7 by rounding, and a power of it not a number
        error_V = (1 - cosine_V).clamp(min=0).pow(gamma)
        return global_mean(error_V.sum() + 0.0 * restored_VF.float().sum(), hidden_V.sum())
