"""Weighted nearest neighbours by cosine similarity.

Wu et al. 2018, Unsupervised Feature Learning via Non-Parametric Instance Discrimination,
arXiv:1805.01978 (weights exp(similarity / 0.07)). 20 neighbours as Caron et al. 2021, DINO,
arXiv:2104.14294, found best: Wu's 200 are more than most label sets here hold.

Shapes: N = labelled samples, Q = asked samples, D = features, K = classes, M = pool samples.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sslsearch.probe.base import (
    FittedClassifier,
    FittedProbe,
    Probe,
    Rows,
    as_features,
    as_groups,
    as_task,
)
from sslsearch.probe.metrics import judge
from sslsearch.probe.neighbours import Neighbours, nearest, unit
from sslsearch.registry import Positive, Unit, register
from sslsearch.values import Scores

FloatArray = NDArray[np.float64]
VERSION = 1  # raised whenever the same features and settings would score differently

Temperature = Annotated[Positive, Unit("cosine similarity")]


@register("watch", "knn", paper="Wu et al. 2018, arXiv:1805.01978")
def knn(
    pool_features_MD: Rows,
    features_ND: Rows,
    labels_N: Rows,
    *,
    k: Neighbours = 20,
    temperature: Temperature = 0.07,
) -> float:
    """Leave-one-out accuracy of weighted cosine nearest neighbours among the labelled samples; nan
    where they are all of one class."""
    if len(np.unique(np.asarray(labels_N))) < 2:
        return float("nan")
    return Knn(k=k, temperature=temperature).rung(features_ND, labels_N).values["accuracy"]


@register(
    "probe",
    "knn",
    gives=["classes", "labels", "pooled"],
    paper="Wu et al. 2018, arXiv:1805.01978",
)
class Knn(Probe):
    """Nearest neighbours by cosine similarity, a closer one's vote weighing more; no training."""

    def __init__(self, *, k: Neighbours = 20, temperature: Temperature = 0.07) -> None:
        self.k, self.temperature = k, temperature

    def rung(self, features_ND: Rows, labels_N: Rows, groups_N: ArrayLike | None = None) -> Scores:
        """Every sample voted on by the others (with groups_N: by the other groups)."""
        features, classes, code_N = as_task(features_ND, labels_N)
        groups = as_groups(groups_N, len(code_N))
        apart = np.arange(len(code_N)) if groups is None else groups
        x_ND, target_NK = unit(features), np.eye(len(classes))[code_N]
        proba_NK = _vote(x_ND, x_ND, target_NK, self.k, self.temperature, apart=apart)
        error_N = ((target_NK - proba_NK) ** 2).sum(1)
        cv = "leave-one-out" if groups is None else "leave-one-group-out"
        settings = self._settings(len(code_N), features.shape[1]) | {"cv": cv}
        return judge(proba_NK, code_N, error_N, groups, settings)

    def final(self, features_ND: Rows, labels_N: Rows) -> FittedProbe:
        features, classes, code_N = as_task(features_ND, labels_N)
        return FittedKnn(
            classes=[int(c) for c in classes],
            bank=unit(features).tolist(),
            codes=code_N.tolist(),
            k=self.k,
            temperature=self.temperature,
            settings=self._settings(*features.shape),
        )

    @staticmethod
    def load(saved: dict[str, Any]) -> FittedProbe:
        return FittedKnn(**{key: value for key, value in saved.items() if key != "probe"})

    def _settings(self, n: int, d: int) -> dict[str, Any]:
        knobs = {"k": self.k, "temperature": self.temperature}
        return {"name": "knn", "version": VERSION, "n": n, "d": d, **knobs}


@dataclass(frozen=True)
class FittedKnn(FittedClassifier):
    """The labelled samples themselves, as unit vectors."""

    classes: list[int]
    bank: list[list[float]]
    codes: list[int]
    k: int
    temperature: float
    settings: dict[str, Any]
    probe = "knn"

    def predict_proba(self, features_ND: Rows) -> FloatArray:
        target_NK = np.eye(len(self.classes))[self.codes]
        asked_QD = unit(as_features(features_ND))
        return _vote(asked_QD, np.asarray(self.bank), target_NK, self.k, self.temperature)

    def to_dict(self) -> dict[str, Any]:
        return {"probe": self.probe, **asdict(self)}


def _vote(
    asked_QD: FloatArray,
    bank_ND: FloatArray,
    target_NK: FloatArray,
    k: int,
    temperature: float,
    apart: NDArray[Any] | None = None,
) -> FloatArray:
    """Shares of the votes (Q, K) of the k nearest, or all if there are fewer.

    apart: the group of each row, where asked and bank are the same rows: none of a sample's own
    group has a vote. Shares are smoothed as if each of the k neighbours counted once and each
    class had one vote more, so that no log-loss is infinite; their order stays.
    """
    k, classes = min(k, len(bank_ND)), target_NK.shape[1]
    near_Qk, top_Qk = nearest(asked_QD, bank_ND, k, apart, apart)
    # less the nearest, which cancels in the shares: exp() can then not overflow
    weight_Qk = np.exp((near_Qk - near_Qk[:, :1]) / temperature)
    votes_QK = np.zeros((len(asked_QD), classes))
    for place in range(k):
        votes_QK += weight_Qk[:, place, None] * target_NK[top_Qk[:, place]]
    smooth_QK: FloatArray = (k * votes_QK / votes_QK.sum(1, keepdims=True) + 1) / (k + classes)
    return smooth_QK
