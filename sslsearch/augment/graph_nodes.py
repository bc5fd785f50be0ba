"""Augmentations of graphs that change nodes: mask features, mask or drop nodes, keep a subgraph.

Shapes: V = nodes of a batch, F = features, G = graphs.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import torch
from pydantic import Field

from sslsearch.augment.draw import uniform
from sslsearch.augment.graph_walk import Walker
from sslsearch.graph import Graph
from sslsearch.registry import Count, Identity, Ratio, Unit, register

GRACE = "Zhu 2020 (GRACE), arXiv:2006.04131"
GRAPHCL = "You 2020 (GraphCL), arXiv:2010.13902"


@register("augment", modality="graph", paper=GRACE)
def feature_mask(
    graph: Graph,
    rng: torch.Generator,
    *,
    ratio: Annotated[Ratio, Unit("probability per feature"), Identity(0.0)] = 0.3,
) -> Graph:
    """Set features to zero, the same ones for all nodes of a graph."""
    kept_GF = uniform((graph.count, graph.x_VF.shape[1]), 0.0, 1.0, rng) >= ratio
    kept_VF = kept_GF if graph.count == 1 else kept_GF[graph.graph_V]
    return replace(graph, x_VF=graph.x_VF * kept_VF)


@register("augment", modality="graph", paper=GRAPHCL)
def attribute_mask(
    graph: Graph,
    rng: torch.Generator,
    *,
    ratio: Annotated[Ratio, Unit("probability per node"), Identity(0.0)] = 0.2,
) -> Graph:
    """Set all features of some nodes to zero; their edges stay."""
    kept_V = uniform((len(graph.graph_V),), 0.0, 1.0, rng) >= ratio
    return replace(graph, x_VF=graph.x_VF * kept_V[:, None])


@register("augment", modality="graph", paper=GRAPHCL)
def node_drop(
    graph: Graph,
    rng: torch.Generator,
    *,
    ratio: Annotated[Ratio, Unit("probability per node"), Identity(0.0)] = 0.2,
) -> Graph:
    """Leave nodes out with their edges, never all of a graph's."""
    noise_V = uniform((len(graph.graph_V),), 0.0, 1.0, rng)
    return graph.without((noise_V < ratio) & ~_top(graph, noise_V))


@register("augment", modality="graph", paper=GRAPHCL + "; Zeng 2020, arXiv:1907.04931")
def subgraph(
    graph: Graph,
    rng: torch.Generator,
    *,
    roots: Annotated[
        float, Field(gt=0, le=1), Unit("probability per node to be a root"), Identity(1.0)
    ] = 0.2,
    length: Annotated[Count, Unit("steps of the walk from each root")] = 8,
) -> Graph:
    """Keep the nodes that random walks from some roots visit, and the edges between them.

    At least one root in each graph.
    """
    noise_V = uniform((len(graph.graph_V),), 0.0, 1.0, rng)
    visited_V = (noise_V >= 1 - roots) | _top(graph, noise_V)
    at_W = torch.nonzero(visited_V & graph.valid_V).flatten()
    walker = Walker(graph)
    for _ in range(length):
        at_W = walker.step(at_W, rng)
        visited_V = visited_V.index_fill(0, at_W, True)
    return graph.without(~visited_V)


def _top(graph: Graph, noise_V: torch.Tensor) -> torch.Tensor:
    """True at the valid node of the largest noise in each graph."""
    noise_V = noise_V.masked_fill(~graph.valid_V, -1.0)
    top_G = noise_V.new_full((graph.count,), -1.0)
    top_G = top_G.scatter_reduce(0, graph.graph_V, noise_V, "amax")
    return graph.valid_V & (noise_V == top_G[graph.graph_V])
