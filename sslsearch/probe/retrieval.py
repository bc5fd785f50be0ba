"""Retrieval: does a sample find others of its class? Ranked by cosine similarity, nothing learnt.

Manning, Raghavan & Schuetze 2008, Introduction to Information Retrieval, chapter 8 (average
precision); Jarvelin & Kekalainen 2002, Cumulated gain-based evaluation of IR techniques (nDCG).
Every asked sample counts once, also where nothing it could find is in the bank: that is a zero.

Shapes: Q = asked samples, N = samples of the bank, D = features, k = places looked at.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sslsearch.probe.base import (
    FittedProbe,
    Probe,
    Rows,
    as_features,
    as_groups,
    as_labels,
    as_task,
)
from sslsearch.probe.metrics import share_scores
from sslsearch.probe.neighbours import Neighbours, nearest, unit
from sslsearch.registry import register
from sslsearch.values import Scores

FloatArray = NDArray[np.float64]
VERSION = 1  # raised whenever the same features and settings would score differently


@register("probe", "retrieval", gives=["labels", "pooled"], paper="Manning et al. 2008, chapter 8")
class Retrieval(Probe):
    """Mean average precision, nDCG and precision of the k nearest: labelled samples find others.

    At rungs every labelled sample asks the others (with groups: those of other groups); in the end
    test samples ask the labelled ones.
    """

    metrics: ClassVar[tuple[str, ...]] = ("map", "ndcg", "precision")
    ranks: ClassVar[tuple[str, ...]] = metrics

    def __init__(self, *, k: Neighbours = 10) -> None:
        self.k = k

    def rung(self, features_ND: Rows, truth_N: Rows, groups_N: ArrayLike | None = None) -> Scores:
        features, _, code_N = as_task(features_ND, truth_N)
        groups = as_groups(groups_N, len(code_N))
        apart = np.arange(len(code_N)) if groups is None else groups
        x_ND = unit(features)
        near_Qk, top_Qk = nearest(x_ND, x_ND, min(self.k, len(x_ND) - 1), apart, apart)
        right_Qk = (code_N[top_Qk] == code_N[:, None]) & np.isfinite(near_Qk)
        findable_Q = _findable(code_N, apart)
        found = share_scores(_shares(right_Qk, findable_Q), groups)
        settings = self._settings(features) | {"cv": "leave-one-out"}
        return Scores(*found, settings)

    def final(self, features_ND: Rows, truth_N: Rows) -> FittedProbe:
        features, labels = as_features(features_ND), as_labels(truth_N)
        return FittedRetrieval(
            bank=unit(features).tolist(),
            labels=labels.tolist(),
            k=self.k,
            settings=self._settings(features),
        )

    @staticmethod
    def load(saved: dict[str, Any]) -> FittedProbe:
        return FittedRetrieval(**{key: value for key, value in saved.items() if key != "probe"})

    def _settings(self, features_ND: NDArray[Any]) -> dict[str, Any]:
        n, d = features_ND.shape
        return {"name": "retrieval", "version": VERSION, "n": n, "d": d, "k": self.k}


@dataclass(frozen=True)
class FittedRetrieval(FittedProbe):
    """The labelled samples as unit vectors, in which others are looked for."""

    bank: list[list[float]]
    labels: list[int]
    k: int
    settings: dict[str, Any]
    probe = "retrieval"

    def score(self, features_ND: Rows, truth_N: Rows, groups_N: ArrayLike | None = None) -> Scores:
        groups = as_groups(groups_N, len(features_ND))
        found = share_scores(self._all_shares(features_ND, truth_N), groups)
        return Scores(*found, {**self.settings, "cv": "held out"})

    def shares(self, metric: str, features_ND: Rows, truth_N: Rows) -> FloatArray:
        return self._all_shares(features_ND, truth_N)[metric]

    def _all_shares(self, features_ND: Rows, truth_N: Rows) -> dict[str, FloatArray]:
        labels_N, truth_Q = np.asarray(self.labels), as_labels(truth_N)
        _, top_Qk = nearest(unit(as_features(features_ND)), np.asarray(self.bank), self.k)
        right_Qk = labels_N[top_Qk] == truth_Q[:, None]
        findable_Q = (labels_N == truth_Q[:, None]).sum(1)
        return _shares(right_Qk, findable_Q)

    def to_dict(self) -> dict[str, Any]:
        return {"probe": self.probe, **asdict(self)}


def _findable(code_N: NDArray[np.int64], apart_N: NDArray[Any]) -> NDArray[np.int64]:
    """For each sample how many of its class are of other groups than its own."""
    pair_2N = np.stack([code_N, apart_N])
    _, pair_N, together = np.unique(pair_2N, axis=1, return_inverse=True, return_counts=True)
    left_N: NDArray[np.int64] = np.bincount(code_N)[code_N] - together[pair_N.reshape(-1)]
    return left_N


def _shares(right_Qk: NDArray[np.bool_], findable_Q: NDArray[np.int64]) -> dict[str, FloatArray]:
    """Each asked sample's average precision, nDCG and precision at k; places are ranked.

    At most min(k, findable) of the places can be right: both sums are over the best there can be.
    """
    place_k = np.arange(1, right_Qk.shape[1] + 1)
    most_Q = np.minimum(findable_Q, len(place_k))
    hits_Qk = right_Qk.cumsum(1)
    precision_Q = (right_Qk * hits_Qk / place_k).sum(1) / np.maximum(most_Q, 1)
    gain_k = 1 / np.log2(place_k + 1)
    best_Q = np.concatenate([[0.0], gain_k.cumsum()])[most_Q]
    ndcg_Q = (right_Qk * gain_k).sum(1) / np.where(best_Q > 0, best_Q, 1.0)
    return {"map": precision_Q, "ndcg": ndcg_Q, "precision": right_Qk.mean(1)}
