"""The floor of graphs that learns nothing but sees edges: features averaged over neighbours.

Wu et al. 2019, Simplifying Graph Convolutional Networks (SGC), arXiv:1902.07153.
Shapes: V = nodes of a batch, F = features, G = graphs, N = samples.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import torch

from sslsearch.graph import Graph
from sslsearch.probe.floors import FloorFeatures, Samples, batches, everything
from sslsearch.registry import Count, Unit, register
from sslsearch.values import Batch


@register("floor", modality="graph", needs=["pooled"], paper="Wu et al. 2019, arXiv:1902.07153")
def propagated(
    train: Samples,
    test: Samples,
    seed: int,
    encoder: dict[str, Any],
    *,
    steps: Annotated[Count, Unit("steps along edges")] = 2,
) -> FloorFeatures:
    """Raw features after `steps` graph convolutions without weights."""

    def rows(samples: Samples, index_N: torch.Tensor) -> torch.Tensor:
        taken = batches(samples, index_N, torch.device("cpu"))
        return torch.cat(
            [samples.modality.flat(_propagated(b, steps), samples.spec) for b in taken]
        )

    return FloorFeatures(rows(train, train.labelled), rows(test, everything(test)))


def _propagated(batch: Batch, steps: int) -> Batch:
    graph: Graph = batch.x
    from_E, to_E = graph.edge_2E
    root_V1 = (1 + torch.bincount(to_E, minlength=len(graph.x_VF))).rsqrt()[:, None]
    x_VF = graph.x_VF
    for _ in range(steps):  # neighbours and the node itself, weighed by the roots of degrees
        scaled_VF = x_VF * root_V1
        x_VF = scaled_VF.index_add(0, to_E, scaled_VF[from_E]) * root_V1
    return batch.with_x(replace(graph, x_VF=x_VF))
