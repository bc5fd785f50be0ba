"""Graphs: the nodes of one graph as samples, or many graphs, each a sample.

**One graph, sample = node.** The rows of the raw table name nodes; the graph itself (features of
all nodes, edges in CSR form) is the dictionary of the column `node`, Arrow's own way to keep what
all rows share once. It is mapped without a copy as every column is, and goes along wherever rows
are taken. A batch holds the whole graph and says which of its nodes are the samples. The split is
transductive: test nodes are pretrained on with all others, without their labels.

**Many graphs, sample = graph.** Ragged list columns `x` and `edges`; a batch packs its graphs into
one with no padding (`Graph`).

Either way a *token* is a node: `Encoded.tokens_BND` has a row per graph, `pooled_BD` one per
sample, which is the node's own vector or the readout of the graph.

Shapes: V = nodes, E = directed edges, F = features, N = rows, B = samples, G = graphs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
import torch
from pydantic import Field

from sslsearch.graph import Graph
from sslsearch.modalities import graph_links, graph_made, graph_picture, graph_sources, graph_text
from sslsearch.modalities.base import Modality, Role
from sslsearch.modalities.graph_arrays import arrays_of_graphs, graphs_of_arrays
from sslsearch.modalities.graph_raw import (
    NODE,
    Net,
    graph_columns,
    node_column,
    of_graphs,
    of_nodes,
    simple,
)
from sslsearch.modalities.raw_input import RawInput
from sslsearch.registry import Count, Unit, register
from sslsearch.values import Batch, InputSpec

ALONE = (
    "a node is nothing without its graph, so nodes of one graph are not asked for as rows: hand "
    "in the whole graph, as a table of .read('parquet:NODES.parquet') and the like"
)
FLAT = 1e-12  # a spread below this is rounding


@register("modality", name="graph", gives={"graph"})
class GraphModality(Modality):
    """Nodes of one graph, or many graphs.

    normalise: rows = the absolute features of each node sum to 1 (the literature's, for words);
    columns = z-score over all nodes; none. edges: both_ways = an edge there is one back.
    validation: the nodes that the source calls validation judge trials (the literature's
    protocol), or are labelled training samples as any others. level: samples are nodes or graphs,
    as the source says; or nodes that are judged by edges kept back, `data.test` of them as the test
    and half as many while searching (probe link). words: of the nodes' text (`columns.text`), the
    most frequent; how often a node says each is a feature.
    """

    roles: ClassVar[Mapping[str, Role]] = {"text": Role("column that holds the text of a node")}

    default_encoder = "gcn"
    floors = ("majority", "raw", "propagated", "untrained", "supervised")
    full_batch = True

    def __init__(
        self,
        *,
        normalise: Annotated[
            Literal["rows", "columns", "none"], Field(description="scale of node features")
        ] = "rows",
        edges: Annotated[
            Literal["both_ways", "as_given"], Field(description="direction of edges")
        ] = "both_ways",
        validation: Annotated[
            Literal["judge", "train"], Field(description="what a given validation split does")
        ] = "judge",
        level: Annotated[
            Literal["sample", "link"], Field(description="what is judged: samples, or their edges")
        ] = "sample",
        words: Annotated[
            Count, Unit("words"), Field(description="of the nodes' text, the most frequent")
        ] = 2_000,
    ) -> None:
        self.rules: dict[str, Any] = {
            "normalise": normalise,
            "edges": edges,
            "validation": validation,
            "level": level,
            "words": words,
        }
        self.validation_judges = validation == "judge"
        self.keeps_back = level == "link"

    def read(
        self, source: str, columns: Mapping[str, Any], root: Path, *, unlabelled: bool = False
    ) -> pa.Table:
        """karate:club, planetoid:NAME, tu:NAME, npz:FILE, parquet:NODES.parquet or txt:FILE."""
        raw = graph_sources.read(source, columns, root, unlabelled)
        hidden = [name for name in ("label", "split") if name in raw.column_names]
        return raw.drop_columns(hidden) if self.keeps_back else raw

    def kept_back(self, raw: pa.Table, share: float, seed: int) -> tuple[pa.Table, pa.Table]:
        if not self.whole(raw):
            raise ValueError(
                "data.level: link keeps edges of one graph back, and these are many: write sample"
            )
        return graph_links.keep_back(raw, share, self.rules["edges"] == "both_ways", seed)

    def whole(self, raw: pa.Table) -> bool:
        return NODE in raw.column_names

    def from_arrays(self, arrays: Any, state: Mapping[str, Any]) -> pa.Table:
        """Many graphs as a data frame with `x` and `edges`, a row each (`graph_arrays`)."""
        if state["sample"] == "node":
            raise ValueError(ALONE)
        return graphs_of_arrays(arrays, state["features"])

    def to_arrays(self, raw: pa.Table, state: Mapping[str, Any]) -> Any:
        if state["sample"] == "node":
            raise ValueError(ALONE)
        return arrays_of_graphs(raw)

    def usable(self, raw: pa.Table) -> np.ndarray:
        if self.whole(raw):
            return np.ones(len(raw), bool)
        return np.diff(of_graphs(raw).first_G) > 0

    def fit(self, train: pa.Table, others: Sequence[pa.Table] = ()) -> dict[str, Any]:
        nets = [self._net(table)[0] for table in (train, *others) if len(table)]
        net, sizes = nets[0], [int(np.diff(n.first_G).max(initial=1)) for n in nets]
        words = graph_text.vocabulary(net.text_V, self.rules["words"])
        net = graph_text.in_numbers(net, words)
        mean_F, std_F = net.x_VF.mean(0, dtype=np.float64), net.x_VF.std(0, dtype=np.float64)
        return {
            "modality": "graph",
            "rules": self.rules,
            "sample": "node" if self.whole(train) else "graph",
            "features": int(net.x_VF.shape[1]),
            "nodes": max(sizes),
            "words": words,
            "mean": mean_F.tolist(),
            "std": np.where(std_F <= FLAT, 1.0, std_F).tolist(),
        }

    def preprocess(self, raw: pa.Table, state: Mapping[str, Any]) -> pa.Table:
        net, places_N = self._net(raw)
        net = graph_text.in_numbers(net, state["words"])
        if net.x_VF.shape[1] != state["features"]:
            raise ValueError(
                f"these nodes have {net.x_VF.shape[1]} features, but {state['features']} are "
                "expected"
            )
        if self.whole(raw) != (state["sample"] == "node"):
            raise ValueError(f"a sample is one {state['sample']} here; these are of the other kind")
        net = simple(net, state["rules"]["edges"] == "both_ways")
        net = replace(net, x_VF=_scaled(net.x_VF, state))
        if self.whole(raw):
            asked = {name: raw[name] for name in graph_links.COLUMNS if name in raw.column_names}
            return pa.table({NODE: node_column(net, places_N), **asked})
        return pa.table(graph_columns(net))

    def seal(self, tensors: pa.Table, hidden_N: np.ndarray) -> pa.Table:
        there = graph_links.THERE in tensors.column_names and hidden_N.any()
        return tensors.drop_columns([graph_links.THERE]) if there else tensors

    def describe(self, raw: pa.Table, state: Mapping[str, Any]) -> list[str]:
        net, _ = self._net(raw)
        tidy = simple(net, state["rules"]["edges"] == "both_ways")
        notes = []
        if self.whole(raw):
            notes.append("Nodes of one graph: all are pretrained on, test nodes without labels.")
        if state["words"]:
            notes.append(
                f"The nodes' text is taken as how often each of {len(state['words'])} words "
                "is said."
            )
        if graph_links.THERE in raw.column_names:
            kept = pa.compute.sum(pa.compute.list_flatten(raw[graph_links.THERE])).as_py()
            notes.append(f"{kept} edges are kept back, and asked for beside as many pairs without.")
        loops = int((net.edge_2E[0] == net.edge_2E[1]).sum())
        if loops:
            notes.append(f"{loops} edges from a node to itself are left out.")
        if tidy.edge_2E.shape[1] > net.edge_2E.shape[1] - loops:
            notes.append("Edges are made to hold both ways.")
        alone = len(net.x_VF) - len(np.unique(tidy.edge_2E))
        if alone:
            notes.append(f"{alone} of {len(net.x_VF)} nodes have no edge.")
        return notes

    def raw_input(self, state: Mapping[str, Any]) -> RawInput:
        raise ValueError(
            "a sample is nodes and edges, of any number, and the layers (PyTorch Geometric's) "
            "gather along the edges, by sparse products where that is quicker"
        )

    def spec(self, state: Mapping[str, Any]) -> InputSpec:
        return InputSpec("graph", {"features": state["features"], "nodes": state["nodes"]})

    def collate(self, columns: Mapping[str, torch.Tensor], index_B: torch.Tensor) -> Batch:
        pack = _with_nodes if NODE in columns else _packed
        valid_B1 = torch.ones((len(index_B), 1), dtype=torch.bool, device=index_B.device)
        return Batch(x=pack(columns, index_B), valid=valid_B1, index=index_B)

    def flat(self, batch: Batch, spec: InputSpec) -> torch.Tensor:
        """A node's features; of a graph their sum over nodes, and how many nodes and edges."""
        graph: Graph = batch.x
        if graph.sample_B is not None:
            return graph.x_VF.index_select(0, graph.sample_B)
        edges_G = torch.bincount(graph.graph_V[graph.edge_2E[0]], minlength=graph.count)
        total_GF = graph.x_VF.new_zeros((graph.count, graph.x_VF.shape[1]))
        total_GF = total_GF.index_add(0, graph.graph_V, graph.x_VF)
        return torch.cat([torch.stack([graph.nodes_G, edges_G], 1).float(), total_GF], 1)

    def pictured(self, batch: Batch, original: Batch, spec: InputSpec) -> list[np.ndarray]:
        return graph_picture.drawings(batch.x, original.x)

    def panel(self, axes: Any, x: np.ndarray, original: np.ndarray) -> None:
        graph_picture.draw(axes, x, original)

    def synthetic(self, n: int, seed: int) -> pa.Table:
        return graph_made.shapes(n, seed)

    def _net(self, raw: pa.Table) -> tuple[Net, np.ndarray]:
        """The graphs, and for rows of nodes which node each is."""
        if not self.whole(raw):
            return of_graphs(raw), np.empty(0, np.int64)
        nodes = {chunk.dictionary.nbytes for chunk in raw[NODE].chunks}
        if len(nodes) > 1:
            raise ValueError(
                "data.pool: nodes of one graph are pretrained on with that graph alone; leave "
                "data.pool out, or write both graphs as one"
            )
        return of_nodes(raw[NODE])


def _scaled(x_VF: np.ndarray, state: Mapping[str, Any]) -> np.ndarray:
    rule = state["rules"]["normalise"]
    if rule == "rows":
        total_V1 = np.abs(x_VF).sum(1, keepdims=True)
        x_VF = np.divide(x_VF, total_V1, out=np.zeros_like(x_VF), where=total_V1 > 0)
    if rule == "columns":
        mean_F, std_F = (np.array(state[key], np.float32) for key in ("mean", "std"))
        x_VF = (x_VF - mean_F) / std_F
    return x_VF


def _with_nodes(columns: Mapping[str, torch.Tensor], index_B: torch.Tensor) -> Graph:
    x_VF, to_E, starts = columns["node.x"], columns["node.to"], columns["node.to.offsets"]
    nodes = torch.arange(len(x_VF), device=x_VF.device)
    from_E = torch.repeat_interleave(nodes, starts.diff(), output_size=len(to_E))
    return Graph(
        x_VF=x_VF,
        edge_2E=torch.stack([from_E, to_E]),
        graph_V=torch.zeros_like(nodes),
        count=1,
        valid_V=torch.ones_like(nodes, dtype=torch.bool),
        sample_B=columns[NODE].index_select(0, index_B),
    )


def _packed(columns: Mapping[str, torch.Tensor], index_B: torch.Tensor) -> Graph:
    node_V, graph_V, nodes_B = _ragged(columns["x.offsets"], index_B)
    edge_E, of_E, _ = _ragged(columns["edges.offsets"], index_B)
    first_B = nodes_B.cumsum(0) - nodes_B
    return Graph(
        x_VF=columns["x"].index_select(0, node_V),
        edge_2E=columns["edges"].index_select(0, edge_E).T + first_B[of_E],
        graph_V=graph_V,
        count=len(index_B),
        valid_V=torch.ones_like(graph_V, dtype=torch.bool),
    )


def _ragged(
    offsets: torch.Tensor, index_B: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Places of all elements of the rows asked for, which of the rows each is of, their counts."""
    start_B = offsets[index_B]
    count_B = offsets[index_B + 1] - start_B
    row = torch.repeat_interleave(torch.arange(len(index_B), device=index_B.device), count_B)
    before_B = count_B.cumsum(0) - count_B
    at = torch.arange(len(row), device=row.device) + (start_B - before_B)[row]
    return at, row, count_B
