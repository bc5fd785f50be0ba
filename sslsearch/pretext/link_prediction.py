"""Link prediction: edges that the encoder does not see must be told from pairs without an edge.

Hamilton et al. 2017, Inductive Representation Learning on Large Graphs, arXiv:1706.02216 (the
unsupervised loss, over edges instead of walks); as a pretext task: Hu et al. 2020, Strategies for
Pre-training Graph Neural Networks, arXiv:1905.12265 (EdgePred).

Shapes: V = nodes of a batch, D = token width, K = pairs.
"""

from __future__ import annotations

from typing import Annotated

import torch
from torch import nn

from sslsearch.encoders.base import Encoder
from sslsearch.graph import Graph, undirected
from sslsearch.pretext.base import Pretext
from sslsearch.pretext.node_pairs import absent, link_loss
from sslsearch.registry import Ratio, Unit, register
from sslsearch.values import Batch, Loss


@register("pretext", "link_prediction", modality="graph", paper="Hu et al. 2020, arXiv:1905.12265")
class LinkPrediction(Pretext):
    """Hide some edges, and score pairs by an MLP of the product of their vectors."""

    views = 1

    def __init__(
        self,
        encoder: Encoder,
        *,
        hidden: Annotated[Ratio, Unit("probability per edge to be hidden and asked for")] = 0.5,
    ) -> None:
        super().__init__()
        self.hidden = hidden
        width = encoder.width
        self.score = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1))

    def loss(self, encoder: Encoder, views: list[Batch], rng: torch.Generator) -> Loss:
        batch, graph = views[0], views[0].x
        pair_E, pairs = undirected(graph.edge_2E)
        asked_P = torch.rand(pairs, generator=rng, device=rng.device) < self.hidden
        asked_E = asked_P.to(pair_E.device)[pair_E]
        seen: Graph = graph.with_edges(~asked_E)
        z_VD = graph.packed(encoder(batch.with_x(seen)).tokens_BND)
        present_2K = graph.edge_2E[:, asked_E]
        absent_2K = absent(graph, present_2K.shape[1], rng)
        scores = [
            self.score(z_VD[pair[0]] * z_VD[pair[1]]).squeeze(1) for pair in (present_2K, absent_2K)
        ]
        total = link_loss(*scores) + 0.0 * z_VD.float().sum()
        return Loss(total, {"links": total.detach()})
