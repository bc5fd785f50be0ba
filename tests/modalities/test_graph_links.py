"""Edges kept back: hidden from all encoders, asked for, and sealed as labels are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from sslsearch.data.prepare import Prepared, prepare
from sslsearch.data.samples import Samples
from sslsearch.modalities.graph_links import asked
from sslsearch.probe.base import build
from sslsearch.search.confirm import without_labels

V = 60
Pairs = set[tuple[int, int]]


def written(folder: Path) -> Pairs:
    """A file of a graph with labels and masks; its edges as unordered pairs."""
    rng = np.random.default_rng(0)
    pair_P2 = np.unique(np.sort(rng.integers(0, V, (200, 2)), axis=1), axis=0)
    pair_P2 = pair_P2[pair_P2[:, 0] != pair_P2[:, 1]]
    at = np.arange(V)
    masks = {"train": at < 20, "val": (at >= 20) & (at < 40), "test": at >= 40}
    x, y = rng.random((V, 4)), at % 3
    np.savez(folder / "g.npz", x=x, edges=np.concatenate([pair_P2, pair_P2[:, ::-1]]), y=y, **masks)
    return {(int(a), int(b)) for a, b in pair_P2}


def kept(folder: Path, **more: Any) -> Prepared:
    data = {"modality": "graph", "source": "npz:g.npz", "level": "link", "test": 0.2, **more}
    return prepare(data, folder)


def seen_by_encoders(samples: Samples) -> Pairs:
    edge_2E = samples.batch(torch.arange(len(samples)), "cpu").x.edge_2E
    both = {(int(a), int(b)) for a, b in edge_2E.T}
    assert both == {(b, a) for a, b in both}
    return {(a, b) for a, b in both if a < b}


def asked_of(samples: Samples) -> tuple[Pairs, Pairs]:
    """With an edge, and without."""
    there = samples.columns["there"].tolist()
    pairs = [(int(a), int(b)) for a, b in asked(samples.columns).T]
    both = set(zip(pairs, there, strict=True))
    return {pair for pair, edge in both if edge}, {pair for pair, edge in both if not edge}


def test_what_is_asked_is_hidden_and_asked_once(tmp_path: Path) -> None:
    edges = written(tmp_path)
    made = kept(tmp_path)
    train, test = Samples.from_table(made.train), Samples.from_table(made.test)
    seen = seen_by_encoders(train)
    assert seen == seen_by_encoders(test)
    (judging, no_judging), (final, no_final) = asked_of(train), asked_of(test)
    assert seen | judging | final == edges
    assert len(seen) + len(judging) + len(final) == len(edges)
    assert len(final) == len(no_final) == round(0.2 * len(edges))
    assert len(judging) == len(no_judging) == round(0.1 * len(edges))
    assert not (no_judging | no_final) & edges
    assert not no_judging & no_final
    assert all(a < b for a, b in no_judging | no_final)
    assert "edges are kept back" in " ".join(made.notes)


def test_the_seed_draws_the_edges(tmp_path: Path) -> None:
    written(tmp_path)
    first, again, other = (kept(tmp_path, seed=seed).test["ask"] for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_labels_have_no_say(tmp_path: Path) -> None:
    written(tmp_path)
    made = kept(tmp_path)
    assert made.summary["pool"] == made.summary["test"] == V
    assert made.summary["labelled"] == made.summary["classes"] == 0


def test_workers_are_not_told_the_answers(tmp_path: Path) -> None:
    written(tmp_path)
    made = kept(tmp_path)
    assert "there" in made.test.column_names
    sealed = without_labels(made.test)
    assert "there" not in sealed.column_names
    assert "there" not in Samples.from_table(sealed).columns
    assert torch.equal(
        Samples.from_table(sealed).columns["ask"], Samples.from_table(made.test).columns["ask"]
    )


def test_text_stays_when_edges_go(tmp_path: Path) -> None:
    at = np.arange(V)
    nodes = pa.table({"id": at, "abstract": [f"word{v % 7} and more" for v in at]})
    pq.write_table(nodes, tmp_path / "nodes.parquet")
    pairs = {"from": at, "to": (at + 1) % V}
    pq.write_table(pa.table(pairs), tmp_path / "edges.parquet")
    made = kept(tmp_path, source="parquet:nodes.parquet", columns={"text": "abstract"})
    assert made.spec.sizes["features"] == 9
    samples = Samples.from_table(made.train)
    assert samples.batch(torch.arange(V), "cpu").x.x_VF.sum(1).gt(0).all()


def test_faults_say_the_cure(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="write sample"):
        prepare({"modality": "graph", "source": "synthetic:9", "level": "link"}, tmp_path)
    x = np.eye(5)
    np.savez(tmp_path / "g.npz", x=x, edges=np.array([[0, 1], [1, 2]]))
    with pytest.raises(ValueError, match="there are 2; it takes 20"):
        kept(tmp_path)
    pairs = np.stack(np.triu_indices(9, 1), 1)
    np.savez(tmp_path / "g.npz", x=np.eye(9), edges=pairs)
    with pytest.raises(ValueError, match="without an edge, but there are 0"):
        kept(tmp_path)
    written(tmp_path)
    samples = Samples.from_table(kept(tmp_path, level="sample").train)
    with pytest.raises(ValueError, match="level: link under data"):
        build({"name": "link"}).truth(samples, torch.arange(len(samples)), samples)
