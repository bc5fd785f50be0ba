"""What all graph networks share: what may be seen, layers in a row, tokens and the readout.

No batch statistics: training equals inference.

Shapes: V = nodes of a batch, E = edges, F = features, D = width, G = graphs, B = samples,
N = nodes of the largest graph.
"""

from __future__ import annotations

from abc import abstractmethod
from itertools import pairwise
from typing import Annotated, Any, Literal

import torch
from torch import nn

from sslsearch import distributed
from sslsearch.encoders.base import Encoder
from sslsearch.graph import Graph
from sslsearch.registry import Count, Unit
from sslsearch.values import Batch, Encoded, InputSpec

Pool = Literal["mean", "max", "sum"]
Act = Literal["relu", "prelu", "elu"]
Norm = Literal["none", "layer"]
Depth = Annotated[Count, Unit("layers")]
Width = Annotated[Count, Unit("units")]
ACTS: dict[str, Any] = {"relu": nn.ReLU, "prelu": nn.PReLU, "elu": nn.ELU}


class Gnn(Encoder):
    """Layers of message passing; a token is a node. Hidden nodes show a learned mask token.

    Between layers stands `act`; with `act_last` also behind the last. norm: layer = each node's
    vector is normalised (Ba et al. 2016, arXiv:1607.06450). jump: a node's vector is what all
    layers made of it, side by side (Xu et al. 2018, arXiv:1806.03536). pool: how a graph is read
    out of its nodes; the vector of a sample that is a node is its own.
    """

    channels = 1
    samples_apart = False  # nodes of one graph are not; graphs would be

    def __init__(
        self,
        spec: InputSpec,
        depth: int,
        width: int,
        act: Act,
        act_last: bool,
        norm: Norm,
        jump: bool,
        pool: Pool,
    ) -> None:
        super().__init__()
        self.patch_width, self.nodes = spec.sizes["features"], spec.sizes["nodes"]
        self.pool, self.jump = pool, jump
        self.mask_token = nn.Parameter(torch.zeros(self.patch_width))
        widths = [self.patch_width] + [width] * depth
        self.layers = nn.ModuleList(self.layer(a, b) for a, b in pairwise(widths))
        acted = depth if act_last else depth - 1
        self.acts = nn.ModuleList(ACTS[act]() if i < acted else nn.Identity() for i in range(depth))
        self.norms = nn.ModuleList(
            nn.LayerNorm(width) if norm == "layer" else nn.Identity() for _ in range(depth)
        )
        self.width = self.pooled_width = width * depth if jump else width

    @abstractmethod
    def layer(self, before: int, after: int) -> nn.Module:
        """One layer of message passing, built by its widths."""

    def edges(self, graph: Graph) -> tuple[torch.Tensor, ...]:
        """What a layer is told of the edges, the same for all layers."""
        return (graph.edge_2E,)

    def forward(self, batch: Batch, hidden_BCN: torch.Tensor | None = None) -> Encoded:
        graph: Graph = batch.x
        nodes_VD = self._nodes(
            graph, None if hidden_BCN is None else graph.packed(hidden_BCN[:, 0])
        )
        tokens_GND, valid_GN = self._dense(graph, nodes_VD), self._dense(graph, graph.valid_V)
        if graph.sample_B is not None:
            return Encoded(tokens_GND, nodes_VD.index_select(0, graph.sample_B), valid_GN)
        return Encoded(tokens_GND, _readout(tokens_GND, valid_GN, self.pool), valid_GN)

    def _nodes(self, graph: Graph, hidden_V: torch.Tensor | None) -> torch.Tensor:
        valid_V1 = graph.valid_V[:, None]
        ends_E = graph.valid_V[graph.edge_2E].all(0)
        if not bool(ends_E.all()):
            graph = graph.with_edges(ends_E)
        # where(), not a product: what is not valid may well be NaN
        h_VD = torch.where(valid_V1, graph.x_VF, torch.zeros_like(graph.x_VF))
        if hidden_V is not None:
            h_VD = torch.where(hidden_V[:, None], self.mask_token.to(h_VD.dtype), h_VD)
        edges, outs = self.edges(graph), []
        for layer, norm, act in zip(self.layers, self.norms, self.acts, strict=True):
            h_VD = act(norm(layer(h_VD, *edges))) * valid_V1
            outs.append(h_VD)
        return torch.cat(outs, 1) if self.jump else h_VD

    def token_valid(self, batch: Batch) -> torch.Tensor:
        return self._dense(batch.x, batch.x.valid_V)[:, None]

    def patchify(self, batch: Batch) -> torch.Tensor:
        graph: Graph = batch.x
        x_VF = torch.where(graph.valid_V[:, None], graph.x_VF, torch.zeros_like(graph.x_VF))
        return self._dense(graph, x_VF)[:, None]

    def _dense(self, graph: Graph, value_VX: torch.Tensor) -> torch.Tensor:
        """A row per graph; of one length on all workers, whose graphs are of other sizes."""
        return graph.dense(value_VX, self.nodes if distributed.world() > 1 else 1)


def _readout(tokens_GND: torch.Tensor, valid_GN: torch.Tensor, how: Pool) -> torch.Tensor:
    """One vector per graph over its valid nodes; zeros for a graph that has none."""
    valid_GN1 = valid_GN[..., None]
    if how == "max":
        top_GD = tokens_GND.masked_fill(~valid_GN1, float("-inf")).max(1).values
        return torch.where(valid_GN1.any(1), top_GD, torch.zeros_like(top_GD))
    total_GD = (tokens_GND * valid_GN1).sum(1)
    return total_GD if how == "sum" else total_GD / valid_GN1.sum(1).clamp(min=1)
