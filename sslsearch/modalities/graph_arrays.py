"""Many graphs as people hold them in memory: a row each, `x` and `edges` as nested lists.

Shapes: V = nodes, E = directed edges, F = features.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from sslsearch.modalities.graph_raw import EDGES, Net, X, graph_columns

WHERE = "these graphs"


def graphs_of_arrays(arrays: Any, features: int) -> pa.Table:
    """A data frame, a mapping of columns, or a list of mappings, with `x` (nodes of features) and
    `edges` (pairs: from, to, counted from 0 in each graph) -> raw.

    Raises:
        ValueError: a column is missing, features are not as many, or an edge leads to no node.
    """
    frame = pd.DataFrame(arrays)
    missing = [name for name in (X, EDGES) if name not in frame.columns]
    if missing:
        raise ValueError(f"{WHERE} have no column {missing[0]!r}; a graph is its `x` and `edges`")
    pairs = zip(frame[X], frame[EDGES], strict=True)
    graphs = [_graph(x, edges, features, number) for number, (x, edges) in enumerate(pairs)]
    first_G = np.cumsum([0, *(len(x_VF) for x_VF, _ in graphs)])
    edges_G = np.cumsum([0, *(edge_2E.shape[1] for _, edge_2E in graphs)])
    shifted = [edge_2E + first for (_, edge_2E), first in zip(graphs, first_G, strict=False)]
    x_VF = np.concatenate([np.empty((0, features), np.float32), *(x for x, _ in graphs)])
    edge_2E = np.concatenate([np.empty((2, 0), np.int64), *shifted], axis=1)
    return pa.table(graph_columns(Net(x_VF, edge_2E, first_G, edges_G)))


def arrays_of_graphs(raw: pa.Table) -> pd.DataFrame:
    """The inverse, in plain lists."""
    return pd.DataFrame({name: raw[name].to_pylist() for name in (X, EDGES)})


def _graph(x: Any, edges: Any, features: int, number: int) -> tuple[np.ndarray, np.ndarray]:
    """(V, F) float32 and (2, E) int64."""
    where = f"graph {number} (counted from 0)"
    x_VF = np.array([np.asarray(node, np.float32) for node in x], np.float32)
    x_VF = x_VF.reshape(len(x), -1)
    if x_VF.shape[1] != features and len(x_VF):
        raise ValueError(
            f"{where}: nodes have {x_VF.shape[1]} features, but {features} are expected"
        )
    edge_E2 = np.array([np.asarray(edge, np.int64) for edge in edges], np.int64).reshape(-1, 2)
    if edge_E2.size and not (edge_E2.min() >= 0 and edge_E2.max() < len(x_VF)):
        raise ValueError(f"{where}: an edge leads to a node that is not among its {len(x_VF)}")
    return x_VF.reshape(len(x_VF), features), edge_E2.T
