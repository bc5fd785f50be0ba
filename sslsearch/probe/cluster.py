"""Clustering: do k-means clusters of the features agree with the classes? Fitted without labels.

Strehl & Ghosh 2002, Cluster Ensembles (normalised mutual information, here over the mean of the
entropies); Hubert & Arabie 1985, Comparing Partitions (adjusted Rand index).

Shapes: N = samples that it is shown, D = features, K = clusters. Truth: classes, -1 = not known.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from pydantic import Field
from scipy.stats import entropy
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning

from sslsearch.data.samples import Samples
from sslsearch.probe.base import FittedProbe, Probe, Rows, as_features, as_groups, as_labels, crowd
from sslsearch.probe.metrics import cell_shares, share_scores
from sslsearch.registry import Count, Unit, register
from sslsearch.values import Scores

FloatArray = NDArray[np.float64]
VERSION = 1  # raised whenever the same features and settings would score differently


@register("probe", "cluster", gives=["pooled"], paper="Hubert & Arabie 1985; Strehl & Ghosh 2002")
class Cluster(Probe):
    """NMI and adjusted Rand index of k-means clusters against classes; no label is learnt from.

    Knobs: `clusters` 0 is as many as there are labelled classes; `restarts` are k-means' own, of
    which the tightest is taken; `most` bounds how many samples of the pool are clustered.
    """

    metrics: ClassVar[tuple[str, ...]] = ("nmi", "ari")
    ranks: ClassVar[tuple[str, ...]] = metrics

    def __init__(
        self,
        *,
        clusters: Annotated[int, Field(ge=0), Unit("clusters, 0 = as many as classes")] = 0,
        restarts: Annotated[Count, Unit("restarts")] = 10,
        most: Annotated[Count, Unit("samples of the pool")] = 4_096,
    ) -> None:
        self.clusters, self.restarts, self.most = clusters, restarts, most

    def rows(self, samples: Samples) -> torch.Tensor:
        return crowd(samples, self.most)

    def rung(self, features_ND: Rows, truth_N: Rows, groups_N: ArrayLike | None = None) -> Scores:
        """All are clustered; those whose class is known are judged."""
        features, truth = as_features(features_ND), as_labels(truth_N)
        judged, fitted = truth >= 0, self.final(features, truth)
        groups = as_groups(groups_N, len(truth))
        return fitted.score(
            features[judged], truth[judged], None if groups is None else groups[judged]
        )

    def final(self, features_ND: Rows, truth_N: Rows) -> FittedProbe:
        features, truth = as_features(features_ND), as_labels(truth_N)
        asked = self.clusters or len(np.unique(truth[truth >= 0]))
        k = min(asked, len(np.unique(features, axis=0)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            found = KMeans(n_clusters=k, n_init=self.restarts, random_state=0).fit(features)
        n, d = features.shape
        settings = {"name": "cluster", "version": VERSION, "n": n, "d": d, "clusters": k}
        return FittedCluster(
            centres=found.cluster_centers_.tolist(),
            settings={**settings, "restarts": self.restarts},
        )

    @staticmethod
    def load(saved: dict[str, Any]) -> FittedProbe:
        return FittedCluster(**{key: value for key, value in saved.items() if key != "probe"})


@dataclass(frozen=True)
class FittedCluster(FittedProbe):
    """The centres of the clusters; a sample belongs to the nearest."""

    centres: list[list[float]]
    settings: dict[str, Any]
    probe = "cluster"

    def assign(self, features_ND: Rows) -> NDArray[np.int64]:
        """The cluster of each sample (N,)."""
        x_ND, centre_KD = as_features(features_ND), np.asarray(self.centres)
        # |x - c|² less |x|², which does not change which is nearest
        far_NK = (centre_KD**2).sum(1) - 2 * x_ND.astype(np.float64) @ centre_KD.T
        nearest_N: NDArray[np.int64] = far_NK.argmin(1)
        return nearest_N

    def score(self, features_ND: Rows, truth_N: Rows, groups_N: ArrayLike | None = None) -> Scores:
        shares = {name: self.shares(name, features_ND, truth_N) for name in AGREEMENTS}
        groups = as_groups(groups_N, len(features_ND))
        return Scores(*share_scores(shares, groups), self.settings)

    def shares(self, metric: str, features_ND: Rows, truth_N: Rows) -> FloatArray:
        classes, code_N = np.unique(as_labels(truth_N), return_inverse=True)
        of = AGREEMENTS[metric]
        cluster_N = self.assign(features_ND)
        return cell_shares(code_N, cluster_N, len(classes), len(self.centres), of)

    def to_dict(self) -> dict[str, Any]:
        return {"probe": self.probe, **asdict(self)}


def nmi(table: NDArray[Any]) -> float:
    """Mutual information over the mean of the two entropies; 1 where both are one group.

    table: counts (classes, clusters).
    """
    rows, columns = entropy(table.sum(1)), entropy(table.sum(0))
    if rows == 0 and columns == 0:
        return 1.0
    return float((rows + columns - entropy(table.ravel())) / ((rows + columns) / 2))


def ari(table: NDArray[Any]) -> float:
    """Pairs that both keep together, less those expected by chance, over the most there can be."""
    together, rows, columns, pairs = (
        _pairs(part) for part in (table, table.sum(1), table.sum(0), table.sum())
    )
    expected = rows * columns / pairs if pairs else 0.0
    most = (rows + columns) / 2
    return 1.0 if most == expected else float((together - expected) / (most - expected))


def _pairs(counts: Any) -> float:
    counts = np.asarray(counts, np.float64)
    return float((counts * (counts - 1) / 2).sum())


AGREEMENTS: dict[str, Callable[[NDArray[Any]], float]] = {"nmi": nmi, "ari": ari}
