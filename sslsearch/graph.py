"""A Graph: the graphs of a batch packed into one, as augmentations and encoders take it.

Shapes: V = nodes of all graphs, E = directed edges, F = features, G = graphs, B = samples,
N = nodes of the largest graph.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch


@dataclass(frozen=True)
class Graph:
    """Nodes of several graphs in a row, and edges between places in that row.

    Attributes:
        x_VF: float32 features.
        edge_2E: int64, from and to; what holds both ways stands twice; none from a node to itself.
        graph_V: int64, rising: which graph a node belongs to.
        count: G, also where graphs hold no node.
        valid_V: bool; False = dropped: nothing may be read of this node.
        weight_E: float32, or None where each edge weighs 1.
        sample_B: int64, the nodes that are the batch's samples; None: each graph is a sample.
    """

    x_VF: torch.Tensor
    edge_2E: torch.Tensor
    graph_V: torch.Tensor
    count: int
    valid_V: torch.Tensor
    weight_E: torch.Tensor | None = None
    sample_B: torch.Tensor | None = None

    @property
    def weights(self) -> torch.Tensor:
        """weight_E, written out."""
        if self.weight_E is not None:
            return self.weight_E
        return self.x_VF.new_ones(self.edge_2E.shape[1])

    @property
    def nodes_G(self) -> torch.Tensor:
        """How many nodes each graph has, dropped ones too."""
        return torch.bincount(self.graph_V, minlength=self.count)

    def with_edges(self, keep_E: torch.Tensor) -> Graph:
        """Only the edges where keep_E (bool) is True."""
        weight_E = None if self.weight_E is None else self.weight_E[keep_E]
        return replace(self, edge_2E=self.edge_2E[:, keep_E], weight_E=weight_E)

    def without(self, drop_V: torch.Tensor) -> Graph:
        """The nodes where drop_V is True become not valid: without features and edges."""
        ends_2E = drop_V[self.edge_2E]
        return replace(
            self.with_edges(~ends_2E.any(0)),
            x_VF=self.x_VF.masked_fill(drop_V[:, None], 0.0),
            valid_V=self.valid_V & ~drop_V,
        )

    def dense(self, value_VX: torch.Tensor, least: int = 1) -> torch.Tensor:
        """Values of nodes as (G, N, …): a row per graph, filled up with zeros (False).

        N is `least`, or the nodes of the largest graph if it has more.
        """
        nodes_G = self.nodes_G
        size = max(int(nodes_G.max()) if self.count else 0, least)
        out = value_VX.new_zeros((self.count * size, *value_VX.shape[1:]))
        out = out.index_copy(0, self._places(size), value_VX)
        return out.reshape(self.count, size, *value_VX.shape[1:])

    def packed(self, value_GNX: torch.Tensor) -> torch.Tensor:
        """The inverse of `dense`: (G, N, …) as (V, …)."""
        return value_GNX.flatten(0, 1).index_select(0, self._places(value_GNX.shape[1]))

    def _places(self, size: int) -> torch.Tensor:
        """Where each node stands in G rows of `size` nodes."""
        first_G = torch.nn.functional.pad(self.nodes_G.cumsum(0), (1, 0))[:-1]
        at_V = torch.arange(len(self.graph_V), device=self.graph_V.device)
        return self.graph_V * size + at_V - first_G[self.graph_V]

    def to(self, device: torch.device | str) -> Graph:
        """The same graphs on another device."""
        moved: dict[str, Any] = {
            name: value.to(device)
            for name, value in vars(self).items()
            if isinstance(value, torch.Tensor)
        }
        return replace(self, **moved)


def undirected(edge_2E: torch.Tensor) -> tuple[torch.Tensor, int]:
    """(pair_E, pairs): which unordered pair of nodes each directed edge is of, from 0 to pairs - 1.

    So that both directions of an edge share one fate.
    """
    low_E, high_E = edge_2E.amin(0), edge_2E.amax(0)
    key_E = low_E * (int(high_E.max()) + 1 if len(high_E) else 1) + high_E
    unique_P, pair_E = torch.unique(key_E, return_inverse=True)
    return pair_E, len(unique_P)
