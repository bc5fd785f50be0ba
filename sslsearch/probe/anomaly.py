"""Anomaly detection: how far a sample lies from its k-th nearest neighbour. Fitted without labels.

Sun et al. 2022, Out-of-Distribution Detection with Deep Nearest Neighbors, arXiv:2204.06507 (the
distance to the k-th neighbour of features of length one); Bergman et al. 2020, Deep Nearest
Neighbor Anomaly Detection, arXiv:2002.10445. The bank is the pool as it is, anomalies included, as
a heap of unlabelled data has them. Labels only judge: AUROC over the labelled samples.

Shapes: N = samples that it is shown, D = features. Truth: 1 = anomaly, 0 = normal, -1 = not known.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from sslsearch.data.samples import Samples
from sslsearch.probe.base import FittedProbe, Probe, Rows, as_features, as_groups, as_labels, crowd
from sslsearch.probe.metrics import share_scores
from sslsearch.probe.neighbours import Neighbours, nearest, unit
from sslsearch.registry import Count, Unit, did_you_mean, register
from sslsearch.values import Scores

FloatArray = NDArray[np.float64]
VERSION = 1  # raised whenever the same features and settings would score differently


@register("probe", "anomaly", gives=["pooled"], paper="Sun et al. 2022, arXiv:2204.06507")
class Anomaly(Probe):
    """AUROC of the distance to the k-th nearest neighbour in the pool; no label is learnt from.

    Knobs: `anomalies` are the names of the classes that count as such, by default the one with the
    fewest labels; `bank` bounds how many samples of the pool are neighbours.
    """

    metrics: ClassVar[tuple[str, ...]] = ("auroc",)
    ranks: ClassVar[tuple[str, ...]] = metrics

    def __init__(
        self,
        *,
        anomalies: Annotated[list[str], Unit("names of classes")] = [],  # noqa: B006 - never changed
        k: Neighbours = 5,
        bank: Annotated[Count, Unit("samples of the pool")] = 4_096,
    ) -> None:
        self.anomalies, self.k, self.bank = anomalies, k, bank

    def rows(self, samples: Samples) -> torch.Tensor:
        return crowd(samples, self.bank)

    def truth(self, samples: Samples, index_N: torch.Tensor, train: Samples) -> torch.Tensor:
        labels_N = samples.labels_N[index_N]
        odd = torch.tensor([train.classes.index(name) for name in self._names(train)])
        truth_N = torch.isin(labels_N, odd).long()
        truth_N[labels_N < 0] = -1
        return truth_N

    def _names(self, train: Samples) -> list[str]:
        """The classes that count as anomalies. ValueError where they are not known or not rare."""
        for name in self.anomalies:
            if name not in train.classes:
                raise ValueError(
                    f"anomalies: no class is {name!r}{did_you_mean(name, train.classes)}"
                )
        seen_N = train.labels_N[train.labels_N >= 0]
        count_K = torch.bincount(seen_N, minlength=len(train.classes))
        known = [k for k in range(len(train.classes)) if count_K[k] > 0]
        fewest = sorted(known, key=lambda k: int(count_K[k]))
        names = self.anomalies or [train.classes[k] for k in fewest[:1]]
        if not self.anomalies and len(fewest) > 1 and count_K[fewest[0]] == count_K[fewest[1]]:
            raise ValueError(
                "which class is the anomaly? Several have the fewest labels: say it, as in "
                f"probe: {{name: anomaly, knobs: {{anomalies: [{names[0]}]}}}}"
            )
        odd = sum(int(count_K[train.classes.index(name)]) for name in names)
        if odd == 0 or odd == len(seen_N):
            raise ValueError(
                f"{odd} of {len(seen_N)} labels are of anomalies ({', '.join(names)}): labels of "
                "both kinds are needed to judge"
            )
        return names

    def rung(self, features_ND: Rows, truth_N: Rows, groups_N: ArrayLike | None = None) -> Scores:
        """Distances to the others (with groups: of other groups), judged where a label is known."""
        features, truth = as_features(features_ND), as_labels(truth_N)
        groups = as_groups(groups_N, len(truth))
        apart = np.arange(len(truth)) if groups is None else groups
        judged, x_ND = truth >= 0, unit(features)
        far_Q = _distance(x_ND[judged], x_ND, self.k, apart[judged], apart)
        found = share_scores(
            {"auroc": auroc_shares(far_Q, truth[judged] == 1)},
            None if groups is None else groups[judged],
        )
        return Scores(*found, self._settings(features) | {"cv": "leave-one-out"})

    def final(self, features_ND: Rows, truth_N: Rows) -> FittedProbe:
        features = as_features(features_ND)
        return FittedAnomaly(
            bank=unit(features).tolist(), k=self.k, settings=self._settings(features)
        )

    @staticmethod
    def load(saved: dict[str, Any]) -> FittedProbe:
        return FittedAnomaly(**{key: value for key, value in saved.items() if key != "probe"})

    def _settings(self, features_ND: NDArray[Any]) -> dict[str, Any]:
        n, d = features_ND.shape
        named = {"anomalies": self.anomalies or "the class with the fewest labels"}
        return {"name": "anomaly", "version": VERSION, "n": n, "d": d, "k": self.k, **named}


@dataclass(frozen=True)
class FittedAnomaly(FittedProbe):
    """The pool's features as unit vectors; a sample far from all of them is odd."""

    bank: list[list[float]]
    k: int
    settings: dict[str, Any]
    probe = "anomaly"

    def distance(self, features_ND: Rows) -> FloatArray:
        """Cosine distance to the k-th nearest, 0 to 2 (N,): more is odder."""
        return _distance(unit(as_features(features_ND)), np.asarray(self.bank), self.k)

    def score(self, features_ND: Rows, truth_N: Rows, groups_N: ArrayLike | None = None) -> Scores:
        shares = {"auroc": self.shares("auroc", features_ND, truth_N)}
        groups = as_groups(groups_N, len(features_ND))
        return Scores(*share_scores(shares, groups), {**self.settings, "cv": "held out"})

    def shares(self, metric: str, features_ND: Rows, truth_N: Rows) -> FloatArray:
        return auroc_shares(self.distance(features_ND), as_labels(truth_N) == 1)

    def to_dict(self) -> dict[str, Any]:
        return {"probe": self.probe, **asdict(self)}


def _distance(
    asked_QD: FloatArray,
    bank_ND: FloatArray,
    k: int,
    apart_Q: NDArray[Any] | None = None,
    apart_N: NDArray[Any] | None = None,
) -> FloatArray:
    """Cosine distance to the k-th nearest, or to the farthest that there is of fewer; 2 of none."""
    near_Qk, _ = nearest(asked_QD, bank_ND, k, apart_Q, apart_N)
    last_Q = np.where(np.isfinite(near_Qk), near_Qk, np.inf).min(1)
    return np.asarray(1 - np.where(np.isfinite(last_Q), last_Q, -1.0), np.float64)


def auroc_shares(score_N: FloatArray, odd_N: NDArray[np.bool_]) -> FloatArray:
    """Each sample's share in the area under the ROC curve; their mean is the area.

    DeLong et al. 1988's placements: of an anomaly the share of normal samples that score below it,
    of a normal one the share of anomalies above it, ties half; each kind weighs one half.
    """
    odd, n = int(odd_N.sum()), len(odd_N)
    if odd in (0, n):
        raise ValueError("AUROC needs anomalies and normal samples, but there is one kind only")
    among_all_N = rankdata(score_N)
    share_N = np.empty(n)
    below_O = among_all_N[odd_N] - rankdata(score_N[odd_N])
    above_M = odd - (among_all_N[~odd_N] - rankdata(score_N[~odd_N]))
    share_N[odd_N] = below_O / (n - odd) * n / (2 * odd)
    share_N[~odd_N] = above_M / odd * n / (2 * (n - odd))
    return share_N
