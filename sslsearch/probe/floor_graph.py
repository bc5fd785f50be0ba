"""Floors of graphs that learn nothing: node features alone, and averaged over neighbours.

Wu et al. 2019, Simplifying Graph Convolutional Networks (SGC), arXiv:1902.07153.
Shapes: V = nodes of a batch, F = features, G = graphs, N = samples.
"""

from __future__ import annotations

from typing import Annotated, Any

import torch

from sslsearch.graph import Graph
from sslsearch.probe.floors import FloorFeatures, Samples, batches, everything
from sslsearch.registry import Count, Unit, register


@register("floor", modality="graph")
def attributes(train: Samples, test: Samples, seed: int, encoder: dict[str, Any]) -> FloorFeatures:
    """A node's features; of a graph their sum over nodes, and how many nodes and edges it has."""
    return _features(train, test, steps=0)


@register("floor", modality="graph", paper="Wu et al. 2019, arXiv:1902.07153")
def propagated(
    train: Samples,
    test: Samples,
    seed: int,
    encoder: dict[str, Any],
    *,
    steps: Annotated[Count, Unit("steps along edges")] = 2,
) -> FloorFeatures:
    """The same after `steps` graph convolutions without weights, beside those of fewer steps."""
    return _features(train, test, steps)


def _features(train: Samples, test: Samples, steps: int) -> FloorFeatures:
    def rows(samples: Samples, index_N: torch.Tensor) -> torch.Tensor:
        taken = batches(samples, index_N, torch.device("cpu"))
        return torch.cat([_of(batch.x, steps) for batch in taken])

    return FloorFeatures(rows(train, train.labelled), rows(test, everything(test)))


def _of(graph: Graph, steps: int) -> torch.Tensor:
    x_VF = graph.x_VF
    if graph.sample_B is not None:
        for _ in range(steps):
            x_VF = _convolve(graph, x_VF)
        return x_VF.index_select(0, graph.sample_B)
    edges_G = torch.bincount(graph.graph_V[graph.edge_2E[0]], minlength=graph.count)
    parts = [torch.stack([graph.nodes_G, edges_G], 1).float(), _sum(graph, x_VF)]
    for _ in range(steps):
        x_VF = _convolve(graph, x_VF)
        parts.append(_sum(graph, x_VF))
    return torch.cat(parts, 1)


def _sum(graph: Graph, x_VF: torch.Tensor) -> torch.Tensor:
    return x_VF.new_zeros((graph.count, x_VF.shape[1])).index_add(0, graph.graph_V, x_VF)


def _convolve(graph: Graph, x_VF: torch.Tensor) -> torch.Tensor:
    """Neighbours and the node itself, weighed by the roots of their degrees."""
    from_E, to_E = graph.edge_2E
    root_V1 = (1 + torch.bincount(to_E, minlength=len(x_VF))).rsqrt()[:, None]
    scaled_VF = x_VF * root_V1
    return (scaled_VF.index_add(0, to_E, scaled_VF[from_E])) * root_V1
