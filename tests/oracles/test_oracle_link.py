"""The link probe against scikit-learn and networkx, the hidden edges against PyTorch Geometric."""

from __future__ import annotations

from pathlib import Path

import networkx
import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.metrics import average_precision_score, roc_auc_score
from torch_geometric.data import Data
from torch_geometric.transforms import RandomLinkSplit

from sslsearch.data.prepare import prepare
from sslsearch.data.samples import Samples
from sslsearch.modalities.graph_links import asked
from sslsearch.probe.base import FittedProbe
from sslsearch.probe.floor_links import adamic_adar
from sslsearch.probe.link import Link, edge_shares, hadamard, pairs

NODES = 50


def samples(folder: Path) -> tuple[Samples, Samples, np.ndarray]:
    graph = networkx.watts_strogatz_graph(NODES, 8, 0.2, seed=1)
    pair_P2 = np.array(graph.edges)
    x = np.random.default_rng(0).random((NODES, 5))
    np.savez(folder / "g.npz", x=x, edges=pair_P2)
    data = {"modality": "graph", "source": "npz:g.npz", "level": "link", "test": 0.2}
    made = prepare(data, folder)
    return Samples.from_table(made.train), Samples.from_table(made.test), pair_P2


@pytest.mark.parametrize("ties", [False, True])
def test_link_metrics_are_scikit_learns(ties: bool) -> None:
    rng = np.random.default_rng(0)
    score_P, there_P = rng.normal(size=200), rng.random(200) < 0.4
    score_P = score_P.round(0) if ties else score_P
    ours = {m: edge_shares(m, score_P, there_P) for m in Link.metrics}
    assert all(len(share) == there_P.sum() for share in ours.values())
    assert ours["auc"].mean() == pytest.approx(roc_auc_score(there_P, score_P))
    expected = average_precision_score(there_P, score_P)
    assert ours["average_precision"].mean() == pytest.approx(expected)


def test_link_split_is_pygs_in_size(tmp_path: Path) -> None:
    train, test, pair_P2 = samples(tmp_path)
    edges = torch.from_numpy(np.concatenate([pair_P2, pair_P2[:, ::-1]]).T.copy())
    split = RandomLinkSplit(0.1, 0.2, is_undirected=True, add_negative_train_samples=False)
    theirs = split(Data(x=torch.rand(NODES, 2), edge_index=edges))
    for mine, their in zip((train, test), theirs[1:], strict=True):
        assert int(mine.columns["there"].sum()) == int(their.edge_label.sum())
        assert len(mine.columns["there"]) == len(their.edge_label)
    graph = train.batch(torch.arange(NODES), "cpu").x
    assert graph.edge_2E.shape == theirs[0].edge_index.shape


def test_adamic_adar_is_networkxs(tmp_path: Path) -> None:
    train, test, _ = samples(tmp_path)
    edge_2E = train.batch(torch.arange(NODES), "cpu").x.edge_2E
    graph = networkx.Graph(edge_2E.T.tolist())
    graph.add_nodes_from(range(NODES))
    made = adamic_adar(train, test, 0, {})
    for side, answer_VK in ((train, made.train_ND), (test, made.test_ND)):
        truth = Link().truth(side, torch.arange(NODES), train)
        pair_P2 = asked(side.columns).T.tolist()
        known = [score for *_, score in networkx.adamic_adar_index(graph, pair_P2)]
        taken = Link().taken([])
        expected = roc_auc_score(side.columns["there"].numpy(), known)
        assert taken.score(answer_VK, truth).values["auc"] == pytest.approx(expected)


@pytest.mark.parametrize("score", ["dot", "cosine", "hadamard"])
def test_link_scores_are_a_slow_loops(tmp_path: Path, score: str) -> None:
    train, test, _ = samples(tmp_path)
    x_ND = torch.randn(NODES, 6, generator=torch.Generator().manual_seed(0))
    probe = Link(score=score)  # type: ignore[arg-type]
    truths = [probe.truth(side, torch.arange(NODES), train) for side in (train, test)]
    fitted = probe.final(x_ND, truths[0])
    again = FittedProbe.from_dict(fitted.to_dict())
    seen = fitted.score(x_ND, truths[1])
    assert seen.values == again.score(x_ND, truths[1]).values
    for metric in Link.metrics:
        shares = fitted.shares(metric, x_ND, truths[1])
        assert shares.mean() == pytest.approx(seen.values[metric])
    if score == "hadamard":
        return
    told = []
    for a, b in asked(test.columns).T.tolist():
        product = float(x_ND[a] @ x_ND[b])
        told.append(product if score == "dot" else product / float(x_ND[a].norm() * x_ND[b].norm()))
    expected = roc_auc_score(test.columns["there"].numpy(), told)
    assert seen.values["auc"] == pytest.approx(expected)


def test_hadamard_leaves_each_pair_out(tmp_path: Path) -> None:
    train, _, _ = samples(tmp_path)
    x_ND = torch.randn(NODES, 3, generator=torch.Generator().manual_seed(0))
    probe = Link(score="hadamard")
    truth = probe.truth(train, torch.arange(NODES), train)
    seen = probe.rung(x_ND, truth)
    pair_2P, there_P = pairs(truth)
    x_PD = hadamard(x_ND.double().numpy(), pair_2P)
    x_PD = (x_PD - x_PD.mean(0)) / x_PD.std(0)
    told = []
    for out in range(len(there_P)):
        rest = np.arange(len(there_P)) != out
        model = Ridge(seen.settings["alpha"]).fit(x_PD[rest], there_P[rest].astype(float))
        told.append(model.predict(x_PD[out : out + 1])[0])
    assert seen.values["auc"] == pytest.approx(roc_auc_score(there_P, told), abs=1e-9)
