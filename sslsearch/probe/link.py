"""Link prediction as a probe: hidden edges must score above pairs of nodes without one.

Which edges are hidden, the data say (`data.level: link`, modalities/graph_links.py). Scores of a
pair: the inner product of its vectors (Kipf & Welling 2016, Variational Graph Auto-Encoders,
arXiv:1611.07308), their cosine, or a linear probe of their product number by number (Hadamard;
Grover & Leskovec 2016, node2vec, arXiv:1607.00653), which is fitted on the pairs that judge trials.

Shapes: V = nodes, D = features, P = pairs asked for, K = pairs asked of a node at most. A node's
truth is (K, 2): another node (-1 = none), and whether there is an edge.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from pydantic import Field

from sslsearch.data.samples import Samples
from sslsearch.modalities.graph_links import THERE, asked
from sslsearch.probe.base import FittedProbe, FloatArray, Probe, Rows
from sslsearch.probe.interval import mean_interval
from sslsearch.probe.linear import FittedLinear, Linear
from sslsearch.probe.ridge import Ridge
from sslsearch.registry import register
from sslsearch.values import Scores

VERSION = 1  # raised whenever the same features and settings would score differently
Score = Literal["dot", "cosine", "hadamard"]


@register(
    "probe",
    "link",
    modality="graph",
    gives=["links", "pooled"],
    paper="Kipf & Welling 2016, arXiv:1611.07308",
)
class Link(Probe):
    """Area under the ROC curve and average precision of hidden edges among pairs without one."""

    metrics = ranks = ("auc", "average_precision")

    def __init__(
        self, *, score: Annotated[Score, Field(description="how a pair is scored")] = "dot"
    ) -> None:
        self.score = score

    def rows(self, samples: Samples) -> torch.Tensor:
        return torch.arange(len(samples))

    def truth(self, samples: Samples, index_N: torch.Tensor, train: Samples) -> torch.Tensor:
        assert len(index_N) == len(samples), "a pair needs both of its nodes"
        low_P, high_P = asked(samples.columns)
        count_V = torch.bincount(low_P, minlength=len(samples))
        place_P = torch.arange(len(low_P)) - (count_V.cumsum(0) - count_V)[low_P]
        truth_VK2 = torch.full((len(samples), max(int(count_V.max()), 1), 2), -1)
        truth_VK2[low_P, place_P, 0] = high_P
        truth_VK2[low_P, place_P, 1] = samples.columns[THERE].cpu().long()
        return truth_VK2

    def rung(self, features_ND: Rows, truth_N: Rows, groups_N: ArrayLike | None = None) -> Scores:
        """Pairs that judge trials; with hadamard by ridge regressions that leave the pair out."""
        pair_2P, there_P = pairs(truth_N)
        if self.score != "hadamard":
            return self.final(features_ND, truth_N).score(features_ND, truth_N)
        x_PD, target_P2 = hadamard(_vectors(features_ND), pair_2P), np.eye(2)[there_P.astype(int)]
        alphas_A = Linear().alphas_A
        error_AP2 = Ridge(x_PD, target_P2).left_out_errors(alphas_A)
        best = int((error_AP2**2).sum((1, 2)).argmin())
        score_P = (target_P2 - error_AP2[best])[:, 1]
        settings = self._settings(there_P) | {"alpha": float(alphas_A[best])}
        return scores_of(score_P, there_P, settings)

    def final(self, features_ND: Rows, truth_N: Rows) -> FittedProbe:
        pair_2P, there_P = pairs(truth_N)
        settings = self._settings(there_P)
        if self.score != "hadamard":
            return FittedLink(self.score, None, settings)
        x_PD = hadamard(_vectors(features_ND), pair_2P)
        fitted = Linear(head="logistic").final(x_PD, there_P.astype(np.int64))
        return FittedLink(self.score, fitted.to_dict(), settings | {"head": fitted.settings})

    def taken(self, classes: Any) -> FittedProbe:
        """Of answers that a floor gives for each pair that is asked of a node (V, K)."""
        return FittedLink("answer", None, {"name": "link", "version": VERSION})

    @staticmethod
    def load(saved: dict[str, Any]) -> FittedProbe:
        return FittedLink(saved["how"], saved["head"], saved["settings"])

    def _settings(self, there_P: NDArray[np.bool_]) -> dict[str, Any]:
        counts = {"edges": int(there_P.sum()), "others": int((~there_P).sum())}
        return {"name": "link", "version": VERSION, "score": self.score, **counts}


@dataclass(frozen=True)
class FittedLink(FittedProbe):
    """Pairs scored from the vectors of their nodes."""

    how: str  # a Score, or answer: the features are the scores
    head: dict[str, Any] | None
    settings: dict[str, Any]
    probe = "link"

    def score(self, features_ND: Rows, truth_N: Rows, groups_N: ArrayLike | None = None) -> Scores:
        return scores_of(*self._asked(features_ND, truth_N), self.settings)

    def shares(self, metric: str, features_ND: Rows, truth_N: Rows) -> FloatArray:
        """What each hidden edge adds: auc, the share of other pairs that it outranks (ties half);
        average_precision, the share of edges among all pairs that score as high."""
        return edge_shares(metric, *self._asked(features_ND, truth_N))

    def _asked(self, features: Rows, truth_N: Rows) -> tuple[FloatArray, NDArray[np.bool_]]:
        pair_2P, there_P = pairs(truth_N)
        x_ND = _vectors(features)
        if self.how == "answer":
            answer_P: FloatArray = x_ND[_numbers(truth_N)[..., 0] >= 0]
            return answer_P, there_P
        if self.how == "cosine":
            x_ND = x_ND / np.maximum(np.linalg.norm(x_ND, axis=1, keepdims=True), 1e-12)
        product_PD = hadamard(x_ND, pair_2P)
        if self.head is None:
            return product_PD.sum(1), there_P
        fitted = FittedProbe.from_dict(self.head)
        assert isinstance(fitted, FittedLinear)
        proba_P2: FloatArray = fitted.predict_proba(product_PD)
        return proba_P2[:, 1], there_P

    def to_dict(self) -> dict[str, Any]:
        saved = {"how": self.how, "head": self.head, "settings": self.settings}
        return {"probe": self.probe, **saved}


def pairs(truth_N: Rows) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """(pair_2P, there_P) of all nodes, in order."""
    truth_VK2 = _numbers(truth_N)
    node_P, place_P = np.nonzero(truth_VK2[..., 0] >= 0)
    other_P, there_P = truth_VK2[node_P, place_P].T
    return np.stack([node_P, other_P]), there_P > 0


def hadamard(x_ND: FloatArray, pair_2P: NDArray[np.int64]) -> FloatArray:
    """(P, D): the vectors of both nodes, multiplied number by number."""
    product_PD: FloatArray = x_ND[pair_2P[0]] * x_ND[pair_2P[1]]
    return product_PD


def scores_of(score_P: FloatArray, there_P: NDArray[np.bool_], settings: dict[str, Any]) -> Scores:
    """Both metrics, with intervals over hidden edges as if these were independent."""
    share_E = {metric: edge_shares(metric, score_P, there_P) for metric in Link.metrics}
    seen = {metric: mean_interval(share) for metric, share in share_E.items()}
    return Scores(
        values={metric: mean for metric, (mean, _, _) in seen.items()},
        low={metric: max(low, 0.0) for metric, (_, low, _) in seen.items()},
        high={metric: min(high, 1.0) for metric, (_, _, high) in seen.items()},
        settings=settings,
    )


def edge_shares(metric: str, score_P: FloatArray, there_P: NDArray[np.bool_]) -> FloatArray:
    """One number for each hidden edge, whose mean is the metric."""
    edge_E, other_M = score_P[there_P], np.sort(score_P[~there_P])
    below_E = np.searchsorted(other_M, edge_E, "left")
    if metric == "auc":
        upto_E = np.searchsorted(other_M, edge_E, "right")
        return np.asarray((below_E + upto_E) / 2 / len(other_M), np.float64)
    edges_E = len(edge_E) - np.searchsorted(np.sort(edge_E), edge_E, "left")
    return np.asarray(edges_E / (edges_E + len(other_M) - below_E), np.float64)


def _numbers(truth_N: Rows) -> NDArray[np.int64]:
    return np.asarray(truth_N.cpu() if isinstance(truth_N, torch.Tensor) else truth_N)


def _vectors(features: Rows) -> FloatArray:
    """float64. ValueError if they are not numbers all through."""
    x_ND = np.asarray(features.cpu() if isinstance(features, torch.Tensor) else features)
    if not np.isfinite(x_ND).all():
        raise ValueError(
            "features hold NaN or infinity: the encoder has diverged; a lower learning rate is "
            "the usual cure"
        )
    return np.asarray(x_ND, np.float64)
