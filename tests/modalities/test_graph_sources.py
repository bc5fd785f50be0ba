"""Graphs from every source, through Arrow and back, and the splits that they are judged by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from scipy.sparse import csr_matrix

from sslsearch import registry
from sslsearch.data.prepare import Prepared, prepare
from sslsearch.data.samples import Samples

V, F = 12, 4


def numbers(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, pairs of nodes with an edge, labels."""
    rng = np.random.default_rng(seed)
    pairs = np.unique(rng.integers(0, V, (20, 2)), axis=0)
    pairs = pairs[pairs[:, 0] < pairs[:, 1]]
    return rng.random((V, F)).astype(np.float32), pairs, np.arange(V) % 3


def prepared(source: str, root: Path, **more: Any) -> Prepared:
    data = {"modality": "graph", "source": source, "normalise": "none", **more}
    return prepare(data, root)


def expect_graph(samples: Samples, x: np.ndarray, pairs: np.ndarray) -> None:
    graph = samples.batch(torch.tensor([2, 0]), "cpu").x
    assert torch.equal(graph.x_VF, torch.from_numpy(x))
    found = set(map(tuple, graph.edge_2E.T.tolist()))
    assert found == {tuple(p) for p in pairs.tolist()} | {tuple(p[::-1]) for p in pairs.tolist()}
    assert graph.sample_B.tolist() == [2, 0]


def test_npz_of_csr_pieces(tmp_path: Path) -> None:
    x, pairs, label = numbers()
    adjacency = csr_matrix((np.ones(len(pairs)), pairs.T), (V, V))
    attributes = csr_matrix(x)
    pieces = {
        f"{name}_{part}": getattr(matrix, part)
        for name, matrix in (("adj", adjacency), ("attr", attributes))
        for part in ("data", "indices", "indptr", "shape")
    }
    np.savez(tmp_path / "g.npz", **pieces, labels=label)
    made = prepared("npz:g.npz", tmp_path)
    expect_graph(Samples.from_table(made.train), x, pairs)
    assert len(made.train) == V
    assert "drawn" in " ".join(made.notes)


def planetoid_like(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x, pairs, label = numbers()
    row, column = x.nonzero()
    at = np.arange(V)
    np.savez(
        path,
        x_row=row,
        x_col=column,
        x_val=x[row, column],
        shape=np.array(x.shape),
        edges=pairs,
        y=label,
        train=at < 4,
        val=(at >= 4) & (at < 7),
        test=at >= 9,
    )
    return x, pairs, label


def test_given_masks_are_kept_and_validation_judges(tmp_path: Path) -> None:
    x, pairs, label = planetoid_like(tmp_path / "g.npz")
    made = prepared("npz:g.npz", tmp_path)
    train, test = Samples.from_table(made.train), Samples.from_table(made.test)
    expect_graph(train, x, pairs)
    assert train.labelled.tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert train.judging is not None
    assert train.judging.tolist() == [False] * 4 + [True] * 3
    assert torch.equal(train.fitting, ~train.judging)
    assert test.labels_N.tolist() == label[9:].tolist()
    # the whole graph is pretrained on; nothing of a test label is in it
    assert len(train) == V
    assert (train.labels_N[7:] == -1).all()
    seen = test.batch(torch.tensor([1]), "cpu").x
    assert torch.equal(seen.x_VF, torch.from_numpy(x))
    assert seen.sample_B.tolist() == [10]
    assert "3 rows of the given validation split judge the trials." in made.notes


def test_validation_may_train(tmp_path: Path) -> None:
    planetoid_like(tmp_path / "g.npz")
    train = Samples.from_table(prepared("npz:g.npz", tmp_path, validation="train").train)
    assert train.judging is None
    assert train.fitting.all()
    assert len(train.labelled) == 7


def test_labels_are_drawn_among_training_nodes_alone(tmp_path: Path) -> None:
    planetoid_like(tmp_path / "g.npz")
    train = Samples.from_table(prepared("npz:g.npz", tmp_path, labels="1 per class").train)
    assert train.judging is not None
    assert int(train.judging.sum()) == 3
    assert int(train.fitting.sum()) == 3


def test_the_graph_is_mapped_not_copied(tmp_path: Path) -> None:
    planetoid_like(tmp_path / "g.npz")
    table = prepared("npz:g.npz", tmp_path).train
    samples = Samples.from_table(table)
    node = table["node"].chunk(0).dictionary
    address = node.field("x").flatten().buffers()[1].address
    assert samples.columns["node.x"].data_ptr() == address


def test_normalised_rows_sum_to_one(tmp_path: Path) -> None:
    planetoid_like(tmp_path / "g.npz")
    samples = Samples.from_table(prepared("npz:g.npz", tmp_path, normalise="rows").train)
    torch.testing.assert_close(samples.columns["node.x"].sum(1), torch.ones(V))


def test_tables_of_nodes_and_edges(tmp_path: Path) -> None:
    x, pairs, label = numbers()
    names = [f"n{v}" for v in range(V)]
    columns = {f"f{f}": x[:, f] for f in range(F)}
    kinds = [str(k) for k in label]
    pq.write_table(pa.table({"id": names, **columns, "label": kinds}), tmp_path / "nodes.parquet")
    ends = {"from": [names[a] for a, _ in pairs], "to": [names[b] for _, b in pairs]}
    pq.write_table(pa.table(ends), tmp_path / "edges.parquet")
    expect_graph(Samples.from_table(prepared("parquet:nodes.parquet", tmp_path).train), x, pairs)
    ends["to"][0] = "nobody"
    pq.write_table(pa.table(ends), tmp_path / "edges.parquet")
    with pytest.raises(ValueError, match="'nobody' is no node of id"):
        prepared("parquet:nodes.parquet", tmp_path)


def test_tables_of_many_graphs(tmp_path: Path) -> None:
    nodes = {"graph": ["b", "a", "a", "b", "b"], "x0": [1.0, 2.0, 3.0, 4.0, 5.0]}
    label = ["q", "p", "p", "q", "q"]
    pq.write_table(pa.table({**nodes, "label": label}), tmp_path / "nodes.parquet")
    edges = {"from": [0, 1, 4], "to": [3, 2, 3]}
    pq.write_table(pa.table(edges), tmp_path / "edges.parquet")
    raw_like = prepared("parquet:nodes.parquet", tmp_path, test=0.0)
    samples = Samples.from_table(raw_like.train)
    graph = samples.batch(torch.tensor([1, 0]), "cpu").x
    assert graph.x_VF[:, 0].tolist() == [1.0, 4.0, 5.0, 2.0, 3.0]
    assert graph.graph_V.tolist() == [0, 0, 0, 1, 1]
    found = set(map(tuple, graph.edge_2E.T.tolist()))
    assert found == {(0, 1), (1, 0), (1, 2), (2, 1), (3, 4), (4, 3)}


def test_text_of_many_graphs(tmp_path: Path) -> None:
    text = "2\n3 0\n5 1 1\n7 2 0 2\n5 1 1\n2 1\n7 1 1\n7 1 0\n"
    (tmp_path / "g.txt").write_text(text)
    made = prepared("txt:g.txt", tmp_path, test=0.0)
    assert made.classes == ["0", "1"]
    graph = Samples.from_table(made.train).batch(torch.tensor([0, 1]), "cpu").x
    assert graph.nodes_G.tolist() == [3, 2]
    assert graph.x_VF.argmax(1).tolist() == [0, 1, 0, 1, 1]
    assert graph.edge_2E.T.tolist() == [[0, 1], [1, 0], [1, 2], [2, 1], [3, 4], [4, 3]]
    (tmp_path / "g.txt").write_text(text[:-8])
    with pytest.raises(ValueError, match="graph 2 is not"):
        prepared("txt:g.txt", tmp_path)


def test_karate_is_networkx(tmp_path: Path) -> None:
    import networkx

    made = prepared("karate:club", tmp_path)
    pairs = np.array(networkx.karate_club_graph().edges)
    expect_graph(Samples.from_table(made.train), np.eye(34, dtype=np.float32), pairs)


def test_synthetic_graphs_can_be_learnt(tmp_path: Path) -> None:
    from sslsearch import registry

    made = prepared("synthetic:120", tmp_path)
    train, test = Samples.from_table(made.train), Samples.from_table(made.test)
    floor = registry.bind("floor", {"raw": {}})(train, test, 0, {})
    fitted = registry.bind("probe", {"linear": {}})().final(floor.train_ND, train.labels_N)
    assert fitted.score(floor.test_ND, test.labels_N).values["accuracy"] > 0.8


def test_dense_and_packed_are_inverse(tmp_path: Path) -> None:
    graph = Samples.from_table(prepared("synthetic:9", tmp_path).train).batch(
        torch.tensor([3, 0, 2]), "cpu"
    )
    x = graph.x
    assert torch.equal(x.packed(x.dense(x.x_VF)), x.x_VF)
    assert torch.equal(x.dense(x.valid_V).sum(1), x.nodes_G)


def test_tu_reads_a_local_folder(tmp_path: Path) -> None:
    raw = tmp_path / "sets" / "TOY" / "raw"
    raw.mkdir(parents=True)
    files = {  # nodes are counted from 1 through all graphs
        "A": "1, 2\n2, 1\n3, 4\n4, 3\n4, 5\n5, 4\n",
        "graph_indicator": "1\n1\n2\n2\n2\n",
        "graph_labels": "1\n-1\n",
        "node_labels": "0\n2\n1\n1\n0\n",
    }
    for name, text in files.items():
        (raw / f"TOY_{name}.txt").write_text(text)
    made = prepared("tu:sets/TOY", tmp_path, test=0.0)
    graph = Samples.from_table(made.train).batch(torch.tensor([0, 1]), "cpu").x
    assert graph.nodes_G.tolist() == [2, 3]
    assert graph.x_VF.argmax(1).tolist() == [0, 2, 1, 1, 0]
    assert graph.edge_2E.T.tolist() == [[0, 1], [1, 0], [2, 3], [3, 2], [3, 4], [4, 3]]
    assert sorted(made.classes) == ["0", "1"]


def test_planetoid_reads_a_local_folder(tmp_path: Path) -> None:
    import pickle
    from collections import defaultdict

    raw = tmp_path / "data" / "Cora" / "raw"
    raw.mkdir(parents=True)
    nodes, kinds, width = 1620, 3, 4  # the public split is 500 validation rows after training's
    rng = np.random.default_rng(0)
    x = csr_matrix((rng.random((nodes, width)) < 0.5).astype(np.float32))
    y = np.eye(kinds, dtype=np.int64)[np.arange(nodes) % kinds]
    test = np.arange(620, nodes)
    graph = defaultdict(list, {v: [(v + 1) % nodes] for v in range(nodes)})
    parts = {"x": x[:20], "allx": x[:620], "tx": x[620:], "y": y[:20], "ally": y[:620]}
    for name, value in {**parts, "ty": y[620:], "graph": graph}.items():
        (raw / f"ind.cora.{name}").write_bytes(pickle.dumps(value))
    (raw / "ind.cora.test.index").write_text("".join(f"{v}\n" for v in test))
    made = prepared("planetoid:Cora", tmp_path)
    train = Samples.from_table(made.train)
    assert len(train) == nodes
    assert int(train.fitting.sum()) == 20
    assert train.judging is not None
    assert int(train.judging.sum()) == 500
    assert len(made.test) == 1000
    assert torch.equal(train.columns["node.x"], torch.from_numpy(x.toarray()))


TEXTS = ["Neural networks learn", "networks of genes", "a neural gene", None, "learn learn genes"]


def text_graph(folder: Path, **more: Any) -> None:
    nodes = {"id": list("abcde"), "abstract": TEXTS, "label": ["x", "y", "x", "y", "x"], **more}
    pq.write_table(pa.table(nodes), folder / "nodes.parquet")
    pq.write_table(pa.table({"from": list("abcd"), "to": list("bcde")}), folder / "edges.parquet")


def test_the_text_of_nodes_becomes_counts_of_its_most_frequent_words(tmp_path: Path) -> None:
    text_graph(tmp_path)
    named = {"columns": {"text": "abstract"}, "test": 0.3}
    made = prepared("parquet:nodes.parquet", tmp_path, **named)
    words = made.preprocess["words"]
    assert words == sorted(words) == ["gene", "genes", "learn", "networks", "neural", "of"]
    x = Samples.from_table(made.train).batch(torch.arange(5), "cpu").x.x_VF
    expected = [[0, 0, 1, 1, 1, 0], [0, 1, 0, 1, 0, 1], [1, 0, 0, 0, 1, 0], [0] * 6]
    assert x.tolist() == [*expected, [0, 1, 2, 0, 0, 0]]
    assert "6 words" in " ".join(made.notes)
    fewer = prepared("parquet:nodes.parquet", tmp_path, words=3, **named).preprocess["words"]
    assert "learn" in fewer
    assert len(fewer) == 3


def test_text_stands_behind_numbers(tmp_path: Path) -> None:
    text_graph(tmp_path, year=[1, 2, 3, 4, 5])
    made = prepared("parquet:nodes.parquet", tmp_path, columns={"text": "abstract"}, words=3)
    x = Samples.from_table(made.train).batch(torch.arange(5), "cpu").x.x_VF
    assert x.shape == (5, 4)
    assert x[:, 0].tolist() == [1, 2, 3, 4, 5]


def test_new_text_is_counted_by_the_words_that_were_learnt(tmp_path: Path) -> None:
    text_graph(tmp_path)
    state = prepared(
        "parquet:nodes.parquet", tmp_path, columns={"text": "abstract"}, words=3
    ).preprocess
    modality = registry.get("modality", "graph").bind(state["rules"])()
    raw = modality.read("parquet:nodes.parquet", {"text": "abstract"}, tmp_path)
    assert modality.spec(state).sizes["features"] == 3
    assert len(modality.preprocess(raw, state)) == 5
    with pytest.raises(ValueError, match="no text: map its column"):
        modality.preprocess(modality.read("karate:club", {}, tmp_path), state)


def test_text_that_cannot_be_counted(tmp_path: Path) -> None:
    text_graph(tmp_path, empty=[""] * 5)
    with pytest.raises(ValueError, match="no word"):
        prepared("parquet:nodes.parquet", tmp_path, columns={"text": "empty"})
    with pytest.raises(ValueError, match=r"data\.columns\.text"):
        prepared("parquet:nodes.parquet", tmp_path, columns={"text": "abstrakt"})
    text_graph(tmp_path, graph=[0, 0, 0, 1, 1])
    with pytest.raises(ValueError, match="of one graph, not of many"):
        prepared("parquet:nodes.parquet", tmp_path, columns={"text": "abstract"})
