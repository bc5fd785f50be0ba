"""Random walks on a batch of graphs, all walkers a step at a time.

Shapes: V = nodes, E = directed edges, W = walkers.
"""

from __future__ import annotations

import torch

from sslsearch.augment.draw import uniform
from sslsearch.graph import Graph


class Walker:
    """Steps along the edges of a graph; where no edge leads away walkers stay."""

    def __init__(self, graph: Graph) -> None:
        from_E, to_E = graph.edge_2E
        self.to_E = to_E[from_E.argsort(stable=True)]
        self.degree_V = torch.bincount(from_E, minlength=len(graph.graph_V))
        self.first_V = self.degree_V.cumsum(0) - self.degree_V

    def step(self, at_W: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """Where each walker stands after one step, to a neighbour drawn at random."""
        share_W = uniform((len(at_W),), 0.0, 1.0, rng)
        if not len(self.to_E):
            return at_W
        degree_W = self.degree_V[at_W]
        pick_W = (share_W * degree_W).long().minimum((degree_W - 1).clamp(min=0))
        place_W = (self.first_V[at_W] + pick_W).clamp(max=len(self.to_E) - 1)
        return torch.where(degree_W > 0, self.to_E[place_W], at_W)
