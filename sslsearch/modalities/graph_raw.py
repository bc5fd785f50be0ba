"""The two Arrow forms of graphs, and how rows of numbers become them.

nodes of one graph   a dictionary column `node`: its values are all nodes of the graph, each a
                     struct of `x` (features), `text` (or only one of these) and `to` (the nodes
                     that its edges lead to: CSR), and a row's index names its node. Rows are
                     taken, filtered and shipped as any others, and the graph, which all of them
                     share, goes with them uncopied.
many graphs          list columns `x` (nodes of features) and `edges` (pairs: from, to, counted
                     from 0 in each graph): ragged rows over flat buffers.

Shapes: V = nodes, E = directed edges, F = features, G = graphs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

NODE, X, EDGES, TO, TEXT = "node", "x", "edges", "to", "text"


@dataclass(frozen=True)
class Net:
    """The nodes and edges of one graph, or of many in a row.

    Attributes:
        x_VF: float32.
        edge_2E: int64, places in x_VF.
        first_G: int64, G + 1 numbers: where each graph's nodes begin, and the end.
        edges_G: int64, G + 1 numbers: where each graph's edges begin, and the end.
        text_V: the text of each node, or None.
    """

    x_VF: np.ndarray
    edge_2E: np.ndarray
    first_G: np.ndarray
    edges_G: np.ndarray
    text_V: np.ndarray | None = None

    @property
    def graph_V(self) -> np.ndarray:
        """Which graph each node is of."""
        return np.repeat(np.arange(len(self.first_G) - 1), np.diff(self.first_G))


def one(x_VF: np.ndarray, edge_2E: np.ndarray, text_V: np.ndarray | None = None) -> Net:
    """One graph. Where nodes have a text they may have no features (V, 0)."""
    ends = np.array([0, edge_2E.shape[1]], np.int64)
    x_VF = np.ascontiguousarray(x_VF, np.float32)
    first = np.array([0, len(x_VF)], np.int64)
    return Net(x_VF, edge_2E.astype(np.int64), first, ends, text_V)


def many(x_VF: np.ndarray, edge_2E: np.ndarray, graph_V: np.ndarray, count: int) -> Net:
    """Graphs whose nodes (graph_V: which graph) and edges come in any order."""
    order_V = np.argsort(graph_V, kind="stable")
    place_V = np.empty_like(order_V)
    place_V[order_V] = np.arange(len(order_V))
    edge_2E = place_V[edge_2E]
    of_E = graph_V[order_V][edge_2E[0]]
    edge_2E = edge_2E[:, np.argsort(of_E, kind="stable")]
    return Net(
        np.ascontiguousarray(x_VF[order_V], np.float32),
        edge_2E.astype(np.int64),
        _starts(np.bincount(graph_V, minlength=count)),
        _starts(np.bincount(of_E, minlength=count)),
    )


def simple(net: Net, both_ways: bool) -> Net:
    """Without doubles and edges from a node to itself, sorted; each both ways if asked for."""
    edge_2E = net.edge_2E[:, net.edge_2E[0] != net.edge_2E[1]]
    if both_ways:
        edge_2E = np.concatenate([edge_2E, edge_2E[::-1]], axis=1)
    key_E = np.unique(edge_2E[0] * max(len(net.x_VF), 1) + edge_2E[1])
    edge_2E = np.stack(np.divmod(key_E, max(len(net.x_VF), 1)))
    # sorted by their first node, and so by graph
    edges_G = np.searchsorted(edge_2E[0], net.first_G)
    return replace(net, edge_2E=edge_2E, edges_G=edges_G.astype(np.int64))


def node_column(net: Net, places: np.ndarray | None = None) -> pa.Array:
    """The dictionary column over one graph; `places`: the nodes of the rows, by default all."""
    order_E = np.argsort(net.edge_2E[0], kind="stable")
    starts = _starts(np.bincount(net.edge_2E[0], minlength=len(net.x_VF)))
    to = pa.LargeListArray.from_arrays(pa.array(starts), pa.array(net.edge_2E[1][order_E]))
    fields = {X: _fixed(net.x_VF)} if net.x_VF.shape[1] else {}
    if net.text_V is not None:
        fields[TEXT] = pa.array(net.text_V, pa.string())
    fields[TO] = to
    nodes = pa.StructArray.from_arrays(list(fields.values()), list(fields))
    rows = np.arange(len(net.x_VF)) if places is None else places
    return pa.DictionaryArray.from_arrays(pa.array(rows.astype(np.int64)), nodes)


def of_nodes(column: pa.ChunkedArray) -> tuple[Net, np.ndarray]:
    """The graph of a dictionary column, and which node each row is."""
    array = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    nodes = array.dictionary
    names = [field.name for field in nodes.type]
    x_VF = _matrix(nodes.field(X)) if X in names else np.zeros((len(nodes), 0), np.float32)
    text_V = np.array(nodes.field(TEXT).to_pylist(), object) if TEXT in names else None
    to = nodes.field(TO)
    starts = np.asarray(to.offsets)
    target_E = np.asarray(to.values)[starts[0] : starts[-1]]
    source_E = np.repeat(np.arange(len(nodes)), np.diff(starts))
    return one(x_VF, np.stack([source_E, target_E]), text_V), np.asarray(array.indices)


def graph_columns(net: Net) -> dict[str, pa.Array]:
    """The list columns of many graphs."""
    local_2E = net.edge_2E - net.first_G[net.graph_V][net.edge_2E[0]]
    pairs = _fixed(np.ascontiguousarray(local_2E.T))
    return {
        X: pa.LargeListArray.from_arrays(pa.array(net.first_G), _fixed(net.x_VF)),
        EDGES: pa.LargeListArray.from_arrays(pa.array(net.edges_G), pairs),
    }


def of_graphs(table: pa.Table) -> Net:
    """The inverse of `graph_columns`."""
    x, edges = (table[name].combine_chunks() for name in (X, EDGES))
    x, edges = (a.chunk(0) if isinstance(a, pa.ChunkedArray) else a for a in (x, edges))
    first_G, edges_G = np.asarray(x.offsets), np.asarray(edges.offsets)
    x_VF = _matrix(x.values)[first_G[0] : first_G[-1]]
    pair_E2 = _matrix(edges.values)[edges_G[0] : edges_G[-1]]
    first_G, edges_G = first_G - first_G[0], edges_G - edges_G[0]
    shift_E = np.repeat(first_G[:-1], np.diff(edges_G))
    return Net(x_VF, (pair_E2 + shift_E[:, None]).T, first_G, edges_G)


def labels_of(values: Any) -> pa.Array:
    """Numbers or words as labels: text, null where negative or missing."""
    array = np.asarray(values)
    if array.dtype.kind in "iu":
        return pa.array([None if v < 0 else str(v) for v in array.tolist()], pa.string())
    return pa.array([None if v is None else str(v) for v in array.tolist()], pa.string())


def masks(sides: Sequence[tuple[str, np.ndarray]], rows: int) -> pa.Array:
    """A split column out of boolean masks; rows in none of them train."""
    words = np.full(rows, "train", object)
    for side, mask_N in sides:
        words[np.asarray(mask_N, bool)] = side
    return pa.array(words.tolist(), pa.string())


def _fixed(x: np.ndarray) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), x.shape[1])


def _matrix(array: pa.Array) -> np.ndarray:
    return np.asarray(array.flatten()).reshape(len(array), array.type.list_size)


def _starts(counts: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
