"""Graphs from files: npz in two layouts, text of many graphs, Parquet tables of nodes and edges.

Shapes: V = nodes, E = directed edges, F = features, N = rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.sparse import csr_matrix

from sslsearch.modalities.columns import column, common_roles, with_roles
from sslsearch.modalities.graph_raw import (
    NODE,
    graph_columns,
    labels_of,
    many,
    masks,
    node_column,
    one,
)

ONE_HOT = 5_000  # nodes without features are told apart by their number up to this many
MOST_EDGES = 32  # degrees from here on are one


def read_npz(path: Path) -> pa.Table:
    """One graph, in either of the layouts of the literature.

    adj_data, adj_indices, adj_indptr, adj_shape, attr_* the same, labels: CSR pieces, as of Shchur
    et al. 2018, arXiv:1811.05868 (`attr_matrix` where features are dense).
    x_row, x_col, x_val, shape, edges (pairs), y; and masks train, val, test: labels outside of
    them are not seen, as in the public split of Yang et al. 2016, arXiv:1603.08861.
    """
    with np.load(path, allow_pickle=False) as archive:
        try:
            a = {name: archive[name] for name in archive.files}
        except ValueError as error:
            raise ValueError(f"{path}: holds Python objects, which are never loaded") from error
    if "adj_indptr" in a:
        edge_2E, x_VF, label = _compressed(a)
    elif "edges" in a:
        edge_2E, x_VF, label = _listed(a)
    else:
        raise ValueError(
            f"{path}: holds {', '.join(a)}; a graph is adj_indptr, adj_indices, adj_shape and "
            "attr_* (CSR), or edges with x_row, x_col, x_val, shape (or x)"
        )
    table = pa.table({NODE: node_column(one(x_VF, edge_2E))})
    given = [(side, a[side].astype(bool)) for side in ("train", "val", "test") if side in a]
    if given:
        table = table.append_column("split", masks(given, len(x_VF)))
        inside_V = np.any([mask for _, mask in given], axis=0)
        label = None if label is None else np.where(inside_V, label, -1)
    return table if label is None else table.append_column("label", labels_of(label))


def _compressed(a: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray, Any]:
    """edge_2E, x_VF and labels (or None) of the CSR pieces."""
    numbers = a.get("adj_data", np.ones(len(a["adj_indices"])))
    pieces = (numbers, a["adj_indices"], a["adj_indptr"])
    adjacency = csr_matrix(pieces, tuple(a["adj_shape"])).tocoo()
    edge_2E = np.stack([adjacency.row, adjacency.col])
    if "attr_indptr" in a:
        pieces = (a["attr_data"], a["attr_indices"], a["attr_indptr"])
        x_VF = csr_matrix(pieces, tuple(a["attr_shape"])).toarray()
    elif "attr_matrix" in a:
        x_VF = a["attr_matrix"]
    else:
        x_VF = plain_features(edge_2E, int(adjacency.shape[0]))
    return edge_2E, x_VF, a.get("labels")


def _listed(a: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray, Any]:
    """The same of pairs of nodes."""
    edge_2E = a["edges"].T if a["edges"].shape[1] == 2 else a["edges"]
    if "x_row" not in a:
        return edge_2E, a["x"], a.get("y")
    x = csr_matrix((a["x_val"], (a["x_row"], a["x_col"])), tuple(a["shape"]))
    return edge_2E, x.toarray(), a.get("y")


def read_txt(path: Path) -> pa.Table:
    """Many graphs as text: their number; then for each `nodes label`, and a line for each node:
    `tag degree neighbours…` (the layout of DGCNN, Zhang et al. 2018). Tags become one-hot."""
    lines = iter(path.read_text().splitlines())
    tags: list[int] = []
    edges: list[tuple[int, int]] = []
    graph: list[int] = []
    labels: list[str] = []
    try:
        for number in range(int(next(lines))):
            nodes, label = next(lines).split()[:2]
            first = len(tags)
            labels.append(label)
            for node in range(int(nodes)):
                tag, degree, *others = map(int, next(lines).split())
                tags.append(tag)
                graph.append(number)
                edges += [(first + node, first + other) for other in others[:degree]]
    except (ValueError, StopIteration) as error:
        raise ValueError(
            f"{path}: not many graphs as text (their number; `nodes label`; for each node `tag "
            f"degree neighbours…`): graph {len(labels)} is not"
        ) from error
    names, code_V = np.unique(tags, return_inverse=True)
    x_VF = np.eye(len(names), dtype=np.float32)[code_V]
    edge_2E = np.array(edges, np.int64).reshape(-1, 2).T
    net = many(x_VF, edge_2E, np.array(graph, np.int64), len(labels))
    return pa.table(graph_columns(net)).append_column("label", pa.array(labels, pa.string()))


def read_parquet(path: Path, columns: Mapping[str, Any], unlabelled: bool) -> pa.Table:
    """A table of nodes, and beside it `edges.parquet` with the columns `from` and `to`.

    Nodes have `id` (else they are counted from 0), numbers (their features) or the text that
    `columns.text` names. With a column `graph` they are of many graphs: a sample is a graph and its
    label that of its first node.
    """
    nodes = pq.read_table(path)
    edges_path = path.with_name("edges.parquet")
    if not edges_path.is_file():
        raise ValueError(f"{path}: there is no {edges_path.name} beside it, with columns from, to")
    edges = pq.read_table(edges_path)
    roles = common_roles(nodes.column_names, columns, str(path), unlabelled)
    edge_2E = _places(nodes, edges, roles.get("id"), edges_path)
    text_V = _text(nodes, columns.get("text"), path)
    x_VF = _features(nodes, {*roles.values(), "graph"})
    if x_VF is None and text_V is not None:
        x_VF = np.zeros((len(nodes), 0), np.float32)
    elif x_VF is None:
        plain = degrees if "graph" in nodes.column_names else plain_features
        x_VF = plain(edge_2E, len(nodes))
    if "graph" not in nodes.column_names:
        node = node_column(one(x_VF, edge_2E, text_V))
        return with_roles(pa.table({NODE: node}), nodes, roles)
    names, first, graph_V = np.unique(
        nodes["graph"].to_numpy(zero_copy_only=False), return_index=True, return_inverse=True
    )
    table = pa.table(graph_columns(many(x_VF, edge_2E, graph_V, len(names))))
    roles.pop("id", None)  # it names nodes
    return with_roles(table, nodes.take(first), roles)


def _places(nodes: pa.Table, edges: pa.Table, named: str | None, path: Path) -> np.ndarray:
    """edge_2E as places in the table of nodes."""
    ends = [column(edges.column_names, word, word, str(path)) for word in ("from", "to")]
    ids = pa.array(np.arange(len(nodes))) if named is None else nodes[named].combine_chunks()
    found = [pa.compute.index_in(edges[end].cast(ids.type), ids) for end in ends]
    for end, place in zip(ends, found, strict=True):
        if place.null_count:
            odd = edges[end].filter(place.is_null())[0].as_py()
            raise ValueError(f"{path}: column {end}: {odd!r} is no node of {named or 'the table'}")
    return np.stack([place.to_numpy() for place in found]).astype(np.int64)


def _features(nodes: pa.Table, roles: set[str]) -> np.ndarray | None:
    """A list column `x`, or all columns of numbers that play no other part."""
    if "x" in nodes.column_names and pa.types.is_nested(nodes["x"].type):
        return np.stack(nodes["x"].to_pylist()).astype(np.float32)
    numbers = [
        field.name
        for field in nodes.schema
        if field.name not in roles
        and (pa.types.is_integer(field.type) or pa.types.is_floating(field.type))
    ]
    if not numbers:
        return None
    return np.stack([nodes[name].to_numpy() for name in numbers], axis=1).astype(np.float32)


def _text(nodes: pa.Table, named: str | None, path: Path) -> np.ndarray | None:
    if named is None:
        return None
    if "graph" in nodes.column_names:
        raise ValueError(f"{path}: data.columns.text is for the nodes of one graph, not of many")
    texts = nodes[column(nodes.column_names, "text", named, str(path))]
    return np.array(texts.cast(pa.string()).to_pylist(), object)


def plain_features(edge_2E: np.ndarray, nodes: int) -> np.ndarray:
    """Where nodes have none: which node it is, in a large graph how many edges it has."""
    if nodes <= ONE_HOT:
        return np.eye(nodes, dtype=np.float32)
    return degrees(edge_2E, nodes)


def degrees(edge_2E: np.ndarray, nodes: int) -> np.ndarray:
    """One-hot numbers of edges, from MOST_EDGES on one: what graphs without features are given."""
    degree_V = np.bincount(edge_2E.ravel(), minlength=nodes).clip(max=MOST_EDGES)
    one_hot: np.ndarray = np.eye(MOST_EDGES + 1, dtype=np.float32)[degree_V]
    return one_hot
