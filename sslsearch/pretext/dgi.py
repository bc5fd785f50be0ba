"""DGI: tell the nodes of a graph from those of a corrupted one by what the whole graph is like.

Velickovic et al. 2019, Deep Graph Infomax, arXiv:1809.10341 (equation 1).

Shapes: V = nodes of a batch, F = features, G = graphs, N = nodes of the largest, D = token width.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn
from torch.nn import functional as F

from sslsearch.distributed import full_precision, global_mean
from sslsearch.encoders.base import Encoder
from sslsearch.graph import Graph
from sslsearch.pretext.base import Pretext
from sslsearch.registry import register
from sslsearch.values import Batch, Loss


@register("pretext", "dgi", modality="graph", paper="Velickovic et al. 2019, arXiv:1809.10341")
class DGI(Pretext):
    """A bilinear discriminator between nodes and the summary of their graph.

    The corruption gives each node the features of another; the summary is the logistic function
    of the mean over a graph's nodes.
    """

    views = 1

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(encoder.width, encoder.width))
        nn.init.xavier_uniform_(self.weight)

    def loss(self, encoder: Encoder, views: list[Batch], rng: torch.Generator) -> Loss:
        batch = views[0]
        true = encoder(batch)
        false_GND = encoder(batch.with_x(shuffled(batch.x, rng))).tokens_BND
        total = discrimination(true.tokens_BND, false_GND, true.valid_BN, self.weight)
        return Loss(total, {"discrimination": total.detach()})


def shuffled(graph: Graph, rng: torch.Generator) -> Graph:
    """The graph with the features of its valid nodes in another order."""
    valid = torch.nonzero(graph.valid_V).flatten()
    order = torch.rand(len(valid), generator=rng, device=rng.device).argsort().to(valid.device)
    x_VF = graph.x_VF.index_copy(0, valid, graph.x_VF.index_select(0, valid[order]))
    return replace(graph, x_VF=x_VF)


def discrimination(
    true_GND: torch.Tensor, false_GND: torch.Tensor, valid_GN: torch.Tensor, weight_DD: torch.Tensor
) -> torch.Tensor:
    """Binary cross entropy over true and false nodes alike, against the true graph's summary."""
    with full_precision(true_GND.device):
        true_GND, false_GND = true_GND.float(), false_GND.float()
        count_G1 = valid_GN.sum(1, keepdim=True).clamp(min=1)
        mean_GD = (true_GND * valid_GN[..., None]).sum(1) / count_G1
        target_GD = torch.sigmoid(mean_GD) @ weight_DD.T.float()
        # -log σ(s) and -log(1 - σ(s)), in a form that stays finite
        right_GN = F.softplus(-torch.einsum("gnd,gd->gn", true_GND, target_GD))
        wrong_GN = F.softplus(torch.einsum("gnd,gd->gn", false_GND, target_GD))
        total = ((right_GN + wrong_GN) * valid_GN).sum()
        return global_mean(total, 2 * valid_GN.sum())
