"""Pictures of graphs: nodes on a circle, the same in all views; edges that went are faint.

Shapes: n = nodes shown, of a graph the first, of a node itself and its neighbourhood.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from sslsearch import plots
from sslsearch.graph import Graph

MOST = 24  # nodes of one picture


def drawings(view: Graph, original: Graph) -> list[np.ndarray]:
    """For each sample (n, n + 1): which of its nodes have an edge, and at the end which have any
    feature left."""
    there = torch.sparse_coo_tensor(
        view.edge_2E, torch.ones(view.edge_2E.shape[1]), (len(view.graph_V),) * 2
    ).to_dense()
    lit_V = (view.valid_V & view.x_VF.any(1)).float()
    return [
        torch.cat([there[nodes][:, nodes].clamp(max=1), lit_V[nodes, None]], 1).numpy()
        for nodes in _shown(original)
    ]


def _shown(graph: Graph) -> list[torch.Tensor]:
    """The nodes of each sample's picture."""
    if graph.sample_B is None:
        return [torch.nonzero(graph.graph_V == g).flatten()[:MOST] for g in range(graph.count)]
    found = []
    for node in graph.sample_B.tolist():
        seen, edge = [node], [node]
        while edge and len(seen) < MOST:
            near = graph.edge_2E[1, torch.isin(graph.edge_2E[0], torch.tensor(edge))]
            edge = [v for v in torch.unique(near).tolist() if v not in seen]
            seen += edge
        found.append(torch.tensor(seen[:MOST]))
    return found


def draw(axes: Any, x: np.ndarray, original: np.ndarray) -> None:
    """One picture: x and original as of `drawings`. A square is the sample itself."""
    turn = 2 * np.pi * np.arange(len(x)) / max(len(x), 1)
    at = np.stack([np.cos(turn), np.sin(turn)], 1)
    for matrix, hue, wide in ((original, "#DADCE0", 0.5), (x, plots.HUES[0], 0.9)):
        for a, b in zip(*np.nonzero(np.triu(matrix[:, :-1] + matrix[:, :-1].T)), strict=True):
            axes.plot(*at[[a, b]].T, color=hue, lw=wide, zorder=1)
    lit = x[:, -1] > 0
    for rows, face in ((lit, plots.HUES[0]), (~lit, "white")):
        axes.scatter(*at[rows].T, s=9, c=face, edgecolors=plots.INK, linewidths=0.4, zorder=2)
    axes.scatter(*at[:1].T, s=26, marker="s", c="none", edgecolors=plots.INK, lw=0.8, zorder=3)
    axes.set_aspect("equal")
