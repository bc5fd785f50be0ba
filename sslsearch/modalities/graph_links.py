"""Edges kept back: no encoder sees them, and they are asked for beside pairs without an edge.

Kipf & Welling 2016, Variational Graph Auto-Encoders, arXiv:1611.07308: a share of the edges is the
test, half as many judge trials, and as many pairs without an edge stand beside either. All other
edges are the graph that is pretrained on and encoded.

Two columns hold what is asked of each node: `ask` (other nodes) and `there` (is there an edge?).
The latter is what tests are judged by.

Shapes: V = nodes, E = directed edges, P = unordered pairs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pyarrow as pa
import torch

from sslsearch.modalities.graph_raw import NODE, node_column, of_nodes, simple

COLUMNS = ASK, THERE = "ask", "there"
FEWEST = 20  # edges of which a share can be kept back


def keep_back(raw: pa.Table, share: float, both_ways: bool, seed: int) -> tuple[pa.Table, pa.Table]:
    """All nodes twice, of the graph without the hidden edges: asked for those that judge trials,
    and for those of the test. Both directions of an edge share one fate."""
    net, places = of_nodes(raw[NODE])
    net = simple(net, both_ways)
    nodes = len(net.x_VF)
    key_E = net.edge_2E.min(0) * nodes + net.edge_2E.max(0)
    key_P = np.unique(key_E)
    if len(key_P) < FEWEST:
        raise ValueError(
            f"data.level: link keeps edges back, of which there are {len(key_P)}; it takes {FEWEST}"
        )
    rng = np.random.default_rng([seed, 2])
    tests = max(1, round(share * len(key_P)))
    judges = max(1, round(share / 2 * len(key_P)))
    hidden_P = rng.permutation(key_P)[: tests + judges]
    absent_P = absent(key_P, nodes, tests + judges, rng)
    seen_E = ~np.isin(key_E, hidden_P)
    column = node_column(replace(net, edge_2E=net.edge_2E[:, seen_E]), places)
    raw = raw.set_column(raw.column_names.index(NODE), NODE, column)
    sides = (slice(tests, None), slice(tests))  # those that judge, those of the test
    judging, test = (_asking(raw, nodes, hidden_P[side], absent_P[side]) for side in sides)
    return judging, test


def absent(key_P: np.ndarray, nodes: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """`count` different pairs of two nodes without an edge, low * nodes + high, drawn evenly."""
    most = nodes * (nodes - 1) // 2 - len(key_P)
    if count > most:
        raise ValueError(
            f"data.level: link needs {count} pairs of nodes without an edge, but there are {most}"
        )
    found = np.empty(0, np.int64)
    while len(found) < count:
        ends_2K = np.sort(rng.integers(0, nodes, (2, 2 * count)), axis=0)
        key_K = ends_2K[0] * nodes + ends_2K[1]
        good_K = (ends_2K[0] != ends_2K[1]) & ~np.isin(key_K, key_P)
        found = np.concatenate([found, key_K[good_K]])
        found = found[np.sort(np.unique(found, return_index=True)[1])]  # in the order drawn
    return found[:count]


def _asking(raw: pa.Table, nodes: int, present_P: np.ndarray, absent_P: np.ndarray) -> pa.Table:
    """The table with its two columns: a pair is asked of its lower node."""
    low_P, high_P = np.divmod(np.concatenate([present_P, absent_P]), nodes)
    there_P = np.repeat(np.array([1, 0], np.uint8), [len(present_P), len(absent_P)])
    order_P = np.argsort(low_P, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(low_P, minlength=nodes))])
    for name, value_P in ((ASK, high_P), (THERE, there_P)):
        lists = pa.LargeListArray.from_arrays(pa.array(starts), pa.array(value_P[order_P]))
        raw = raw.append_column(name, lists)
    return raw


def asked(columns: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """pair_2P: which pairs of nodes the tensor columns ask for. ValueError if they ask for none."""
    if ASK not in columns:
        raise ValueError(
            "no edges are kept back, so none can be asked for: write level: link under data"
        )
    count_V = columns[f"{ASK}.offsets"].diff()
    low_P = torch.repeat_interleave(torch.arange(len(count_V)), count_V.cpu())
    return torch.stack([low_P, columns[ASK].cpu()])
