"""Retrieval, anomaly and cluster against scikit-learn and slow loops."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.metrics import (
    adjusted_rand_score,
    ndcg_score,
    normalized_mutual_info_score,
    roc_auc_score,
)
from sklearn.neighbors import NearestNeighbors

from sslsearch.probe.anomaly import Anomaly, auroc_shares
from sslsearch.probe.base import FittedProbe
from sslsearch.probe.cluster import Cluster, ari, nmi
from sslsearch.probe.metrics import cell_shares
from sslsearch.probe.retrieval import Retrieval


def blobs(n: int, d: int, k: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, k, n)
    labels[:k] = np.arange(k)
    return rng.normal(size=(n, d)) + 1.5 * rng.normal(size=(k, d))[labels], labels


def ranked(asked: np.ndarray, bank: np.ndarray) -> list[int]:
    """Rows of the bank by falling cosine similarity, one by one."""
    similar = [asked @ row / (np.linalg.norm(asked) * np.linalg.norm(row)) for row in bank]
    return sorted(range(len(bank)), key=lambda i: -similar[i])


def average_precision(relevant: list[bool], findable: int, k: int) -> float:
    hits, total = 0, 0.0
    for place, right in enumerate(relevant[:k], start=1):
        if right:
            hits += 1
            total += hits / place
    return total / min(findable, k) if findable else 0.0


@pytest.mark.parametrize("k", [1, 5, 200])
def test_retrieval_is_average_precision_by_a_slow_loop_and_sklearns_ndcg(k: int) -> None:
    x, y = blobs(60, 6, 4)
    asked, truth = blobs(25, 6, 5, seed=1)  # a class that the bank does not hold
    seen = Retrieval(k=k).final(x, y).score(asked, truth)
    ap, gain = [], []
    for row, label in zip(asked, truth, strict=True):
        order = ranked(row, x)
        relevant = [bool(y[i] == label) for i in order]
        ap.append(average_precision(relevant, sum(relevant), k))
        scores = -np.arange(len(x), dtype=float)[None]
        gain.append(ndcg_score(np.array([relevant], float), scores, k=k) if any(relevant) else 0.0)
    assert seen.values["map"] == pytest.approx(np.mean(ap))
    assert seen.values["ndcg"] == pytest.approx(np.mean(gain))


def test_retrieval_at_a_rung_never_finds_the_sample_itself_or_its_group() -> None:
    x, y = blobs(40, 6, 3)
    group = np.arange(40) // 4
    for groups in (None, group):
        seen = Retrieval(k=7).rung(x, y, groups)
        apart = np.arange(40) if groups is None else groups
        ap = []
        for i in range(40):
            others = np.flatnonzero(apart != apart[i])
            relevant = [bool(y[others[j]] == y[i]) for j in ranked(x[i], x[others])]
            ap.append(average_precision(relevant, sum(relevant), 7))
        assert seen.values["map"] == pytest.approx(np.mean(ap))
        assert seen.low["map"] < seen.values["map"] < seen.high["map"]


def test_anomaly_is_sklearns_auroc_of_sklearns_neighbour_distances() -> None:
    x, y = blobs(80, 5, 2)
    asked, truth = blobs(50, 5, 2, seed=2)
    fitted = Anomaly(k=3).final(x, np.full(80, -1))
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    neighbours = NearestNeighbors(n_neighbors=3, metric="cosine").fit(unit)
    distance = neighbours.kneighbors(asked)[0][:, -1]
    np.testing.assert_allclose(fitted.distance(asked), distance, atol=1e-12)
    seen = fitted.score(asked, truth).values["auroc"]
    assert seen == pytest.approx(roc_auc_score(truth, distance))
    # at a rung a sample is no neighbour of its own, and what is not labelled only is a neighbour
    known = np.where(np.arange(80) < 30, y, -1)
    itself = neighbours.kneighbors(unit, n_neighbors=4)[0][:30, -1]
    assert Anomaly(k=3).rung(x, known).values["auroc"] == pytest.approx(
        roc_auc_score(y[:30], itself)
    )


def test_anomaly_ties_count_half() -> None:
    score, odd = np.array([1.0, 1.0, 2.0, 0.0, 1.0, 2.0]), np.array([1, 0, 1, 0, 0, 0], bool)
    shares = auroc_shares(score, odd)
    assert shares.mean() == pytest.approx(roc_auc_score(odd, score))
    with pytest.raises(ValueError, match="one kind only"):
        auroc_shares(score, np.zeros(6, bool))


def test_cluster_is_sklearns_kmeans_nmi_and_ari() -> None:
    x, y = blobs(90, 4, 3)
    asked, truth = blobs(40, 4, 3, seed=3)
    fitted = Cluster().final(x, np.where(np.arange(90) < 20, y, -1))
    theirs = KMeans(3, n_init=10, random_state=0).fit(x)
    np.testing.assert_array_equal(fitted.assign(asked), theirs.predict(asked))
    seen = fitted.score(asked, truth).values
    assert seen["nmi"] == pytest.approx(normalized_mutual_info_score(truth, theirs.predict(asked)))
    assert seen["ari"] == pytest.approx(adjusted_rand_score(truth, theirs.predict(asked)))


@pytest.mark.parametrize("seed", range(5))
def test_cluster_agreements_are_sklearns_and_their_shares_average_to_them(seed: int) -> None:
    rng = np.random.default_rng(seed)
    row, column = rng.integers(0, 4, 50), rng.integers(0, 6, 50)
    table = np.histogram2d(row, column, bins=(np.arange(5), np.arange(7)))[0].astype(int)
    assert nmi(table) == pytest.approx(normalized_mutual_info_score(row, column))
    assert ari(table) == pytest.approx(adjusted_rand_score(row, column))
    for of in (nmi, ari):
        assert cell_shares(row, column, 4, 6, of).mean() == pytest.approx(of(table))


def test_cluster_of_one_group_on_each_side() -> None:
    assert nmi(np.array([[5]])) == ari(np.array([[5]])) == 1.0
    assert nmi(np.array([[5], [5]])) == ari(np.array([[5], [5]])) == 0.0


@pytest.mark.parametrize(
    "probe", [Retrieval(k=4), Anomaly(k=2), Cluster()], ids=lambda p: type(p).__name__
)
def test_saved_and_loaded_they_say_the_same(probe: Retrieval | Anomaly | Cluster) -> None:
    x, y = blobs(30, 4, 2)
    asked, truth = blobs(20, 4, 2, seed=1)
    fitted = probe.final(x, y)
    again = FittedProbe.from_dict(json.loads(json.dumps(fitted.to_dict())))
    before, after = fitted.score(asked, truth), again.score(asked, truth)
    assert before == after
    assert all(math.isfinite(value) for value in before.values.values())
