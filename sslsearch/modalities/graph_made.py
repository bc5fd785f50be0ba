"""Made-up graphs for trying things out: rings, stars and cliques."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from sslsearch.modalities.graph_files import degrees
from sslsearch.modalities.graph_raw import graph_columns, many


def shapes(n: int, seed: int) -> pa.Table:
    """Graphs of 8 to 16 nodes: rings, stars and cliques with some random edges; x = degree."""
    rng = np.random.default_rng(seed)
    label_N = rng.permutation(np.arange(n) % 3)
    nodes_N = rng.integers(8, 17, n)
    first_N = np.concatenate([[0], np.cumsum(nodes_N)])
    edges = [
        _shape(int(label), int(size), rng) + start
        for label, size, start in zip(label_N, nodes_N, first_N, strict=False)
    ]
    edge_2E = np.concatenate(edges, axis=1)
    graph_V = np.repeat(np.arange(n), nodes_N)
    x_VF = degrees(edge_2E, len(graph_V))
    table = pa.table(graph_columns(many(x_VF, edge_2E, graph_V, n)))
    return table.append_column("label", pa.array([f"class {c}" for c in label_N]))


def _shape(kind: int, nodes: int, rng: np.random.Generator) -> np.ndarray:
    """A ring, a star or two cliques, and two random edges."""
    at = np.arange(nodes)
    if kind == 0:
        edge_2E = np.stack([at, (at + 1) % nodes])
    elif kind == 1:
        edge_2E = np.stack([np.zeros(nodes - 1, np.int64), at[1:]])
    else:
        pair = np.stack(np.triu_indices(nodes, 1))
        edge_2E = pair[:, (pair[0] < nodes // 2) == (pair[1] < nodes // 2)]
    return np.concatenate([edge_2E, rng.integers(0, nodes, (2, 2))], axis=1)
