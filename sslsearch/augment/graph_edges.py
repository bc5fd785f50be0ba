"""Augmentations of graphs that change edges: drop, perturb, diffuse.

Both directions of an edge share one fate. Shapes: V = nodes of a batch, E = directed edges, P =
unordered pairs of nodes with an edge, W = walks.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import torch
from pydantic import Field

from sslsearch.augment.draw import uniform
from sslsearch.augment.graph_walk import Walker
from sslsearch.graph import Graph, undirected
from sslsearch.registry import Count, Identity, Probability, Ratio, Unit, register


@register("augment", modality="graph", paper="Zhu 2020 (GRACE), arXiv:2006.04131")
def edge_drop(
    graph: Graph,
    rng: torch.Generator,
    *,
    ratio: Annotated[Ratio, Unit("probability per edge"), Identity(0.0)] = 0.2,
) -> Graph:
    """Leave edges out at random."""
    pair_E, pairs = undirected(graph.edge_2E)
    return graph.with_edges(uniform((pairs,), 0.0, 1.0, rng)[pair_E] >= ratio)


@register("augment", modality="graph", paper="You 2020 (GraphCL), arXiv:2010.13902")
def edge_perturb(
    graph: Graph,
    rng: torch.Generator,
    *,
    ratio: Annotated[Ratio, Unit("probability per edge"), Identity(0.0)] = 0.2,
) -> Graph:
    """Move edges at random: for each that is left out one is drawn between nodes of its graph."""
    pair_E, pairs = undirected(graph.edge_2E)
    moved_P = uniform((pairs,), 0.0, 1.0, rng) < ratio
    # Every edge of a pair is of one graph: its new ends are drawn among that graph's nodes.
    first_P = torch.zeros(pairs, dtype=torch.int64, device=pair_E.device)
    first_P = first_P.scatter(0, pair_E, graph.edge_2E[0])
    graph_P = graph.graph_V[first_P]
    nodes_G = graph.nodes_G
    start_G = nodes_G.cumsum(0) - nodes_G
    place_2P = uniform((2, pairs), 0.0, 1.0, rng) * nodes_G[graph_P]
    end_2P = start_G[graph_P] + place_2P.long().minimum(nodes_G[graph_P] - 1)
    new_2P = end_2P[:, moved_P & (end_2P[0] != end_2P[1]) & graph.valid_V[end_2P].all(0)]
    kept = graph.with_edges(~moved_P[pair_E])
    edge_2E = torch.cat([kept.edge_2E, new_2P, new_2P.flip(0)], 1)
    ones = kept.x_VF.new_ones(2 * new_2P.shape[1])
    weight_E = None if kept.weight_E is None else torch.cat([kept.weight_E, ones])
    return replace(kept, edge_2E=edge_2E, weight_E=weight_E)


@register(
    "augment",
    modality="graph",
    paper="Gasteiger 2019 (GDC), arXiv:1911.05485; Hassani 2020 (MVGRL), arXiv:2006.05582",
)
def diffusion(
    graph: Graph,
    rng: torch.Generator,
    *,
    p: Annotated[Probability, Unit("probability per node"), Identity(0.0)] = 1.0,
    alpha: Annotated[
        float, Field(gt=0, le=1), Unit("probability to stop after a step; PageRank's")
    ] = 0.15,
    walks: Annotated[Count, Unit("walks from each node")] = 16,
    length: Annotated[Count, Unit("steps at most")] = 20,
) -> Graph:
    """Join a node to where random walks from it end, in place of its neighbours.

    The ends of walks that stop with probability alpha are drawn from personalised PageRank: with
    many walks this is its diffusion matrix, sparse and drawn anew for each view. A node's edges
    into it weigh 1 / walks each (encoder gcn sees weights, the others only which edges there are);
    those that end where they began are left out.
    """
    device = graph.graph_V.device
    changed_V = uniform((len(graph.graph_V),), 0.0, 1.0, rng) < p
    start_W = torch.nonzero(changed_V & graph.valid_V).flatten().repeat_interleave(walks)
    walker, at_W = Walker(graph), start_W
    going_W = torch.ones_like(start_W, dtype=torch.bool)
    for _ in range(length):
        going_W = going_W & (uniform((len(start_W),), 0.0, 1.0, rng) >= alpha)
        at_W = torch.where(going_W, walker.step(at_W, rng), at_W)
    moved_W = at_W != start_W
    kept = graph.with_edges(~changed_V[graph.edge_2E[1]])
    new_2E = torch.stack([at_W[moved_W], start_W[moved_W]])
    if not new_2E.shape[1]:
        return kept
    weight = torch.full((new_2E.shape[1],), 1.0 / walks, device=device)
    return replace(
        kept,
        edge_2E=torch.cat([kept.edge_2E, new_2E], 1),
        weight_E=torch.cat([kept.weights, weight]),
    )
