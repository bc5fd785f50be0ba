"""The contract of a probe: features and labels in, scores out; and what may be handed to one.

Shapes: N = labelled samples, D = features, K = classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from sslsearch import registry
from sslsearch.probe.metrics import judge
from sslsearch.values import Scores

Rows = torch.Tensor | NDArray[Any]
FloatArray = NDArray[np.float64]


class FittedProbe(ABC):
    """A probe that has learnt from labels: it judges new features, and goes to JSON and back."""

    probe: str  # the name it is registered under
    classes: list[int]  # the labels it knows, sorted; column k of predict_proba is classes[k]
    settings: dict[str, Any]

    @abstractmethod
    def predict_proba(self, features_ND: Rows) -> FloatArray:
        """Probabilities (N, K)."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Everything it needs, in plain numbers and lists; has "probe": its registered name."""

    def score(self, features_ND: Rows, labels_N: Rows, groups_N: ArrayLike | None = None) -> Scores:
        """Scores on samples it has not learnt from; a label it does not know counts as wrong.

        `r2` is 1 - squared error of the probabilities / that of the labels' own shares.
        """
        proba_NK = self.predict_proba(features_ND)
        return score_predictions(proba_NK, self.classes, labels_N, groups_N, self.settings)

    @staticmethod
    def from_dict(saved: dict[str, Any]) -> FittedProbe:
        """What `to_dict` wrote; predictions are the same."""
        probe: type[Probe] = registry.get("probe", saved["probe"]).make  # type: ignore[assignment]
        return probe.load(saved)


class Probe(ABC):
    """Judges frozen features by labels.

    A subclass is registered with `@register("probe")` and built as `Probe(*, knobs…)`.
    """

    @abstractmethod
    def rung(self, features_ND: Rows, labels_N: Rows, groups_N: ArrayLike | None = None) -> Scores:
        """Cross-validated scores within the given rows: cheap, asked at every rung."""

    @abstractmethod
    def final(self, features_ND: Rows, labels_N: Rows) -> FittedProbe:
        """The probe the field reports, fitted on all given rows, for samples yet unseen."""

    def chosen(self, features_ND: Rows, labels_N: Rows, held_MD: Rows, held_M: Rows) -> FittedProbe:
        """As `final`, but what is chosen on labels is chosen on the held rows (features, labels).

        A probe that chooses nothing has no use for them.
        """
        return self.final(features_ND, labels_N)

    @staticmethod
    @abstractmethod
    def load(saved: dict[str, Any]) -> FittedProbe:
        """The fitted probe that `to_dict` wrote."""


def rung_scores(
    probe: Probe,
    features_ND: torch.Tensor,
    labels_N: torch.Tensor,
    groups_N: ArrayLike | None,
    judging_N: torch.Tensor | None,
) -> Scores:
    """What ranks trials: cross-validation, or a validation split that the probe is not fitted on.

    judging_N: bool, the rows of that split; None without one.
    """
    if judging_N is None:
        return probe.rung(features_ND, labels_N, groups_N)
    fitted = final_probe(probe, features_ND, labels_N, judging_N)
    return fitted.score(features_ND[judging_N], labels_N[judging_N])


def score_predictions(
    proba_NK: FloatArray,
    known: Sequence[int],
    labels_N: Rows,
    groups_N: ArrayLike | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Scores:
    """Scores of probabilities (N, K), whose column k is of the class known[k] (sorted)."""
    labels = as_labels(labels_N)
    classes = np.union1d(known, labels)
    code_N = np.searchsorted(classes, labels)
    all_NK = np.zeros((len(labels), len(classes)))
    all_NK[:, np.searchsorted(classes, known)] = proba_NK
    target_NK = np.eye(len(classes))[code_N]
    error_N = ((target_NK - all_NK) ** 2).sum(1)
    groups = None if groups_N is None else np.asarray(groups_N)
    return judge(all_NK, code_N, error_N, groups, {**(settings or {}), "cv": "held out"})


def final_probe(
    probe: Probe, features_ND: torch.Tensor, labels_N: torch.Tensor, judging_N: torch.Tensor | None
) -> FittedProbe:
    """The probe that the field reports: a validation split chooses its penalty and no more."""
    if judging_N is None:
        return probe.final(features_ND, labels_N)
    fits_N = ~judging_N
    held = features_ND[judging_N], labels_N[judging_N]
    return probe.chosen(features_ND[fits_N], labels_N[fits_N], *held)


def as_features(features_ND: Rows) -> NDArray[Any]:
    """Features as a float array on the CPU. ValueError if they are not numbers all through."""
    if isinstance(features_ND, torch.Tensor):
        wide = features_ND.dtype == torch.float64
        features_ND = features_ND.detach().to("cpu", torch.float64 if wide else torch.float32)
        features_ND = features_ND.numpy()
    rows = np.asarray(features_ND)
    if rows.dtype not in (np.float32, np.float64):
        rows = rows.astype(np.float64)
    if rows.ndim != 2 or rows.size == 0:
        raise ValueError(f"features must be (samples, features), but have shape {rows.shape}")
    # a sum is finite only if all its terms are, and needs no (N, D) mask of its own
    bad_N = ~np.isfinite(rows.sum(1, dtype=np.float64))
    if bad_N.any():
        what = "NaN" if np.isnan(rows[bad_N]).any() else "infinity"
        raise ValueError(
            f"features hold {what} in {bad_N.sum()} of {len(rows)} rows (first: row "
            f"{bad_N.argmax()}): the encoder has diverged; a lower learning rate is the usual cure"
        )
    return rows


def as_labels(labels_N: Rows) -> NDArray[np.int64]:
    labels = labels_N.detach().cpu().numpy() if isinstance(labels_N, torch.Tensor) else labels_N
    return np.asarray(labels).astype(np.int64)


def as_groups(groups_N: ArrayLike | None, n: int) -> NDArray[np.int64] | None:
    """Each row's group as a number from 0, or None. ValueError if there are not n of them."""
    if groups_N is None:
        return None
    given = groups_N.detach().cpu().numpy() if isinstance(groups_N, torch.Tensor) else groups_N
    names, group_N = np.unique(np.asarray(given), return_inverse=True)
    if group_N.shape != (n,):
        raise ValueError(f"{n} samples need as many groups, not {group_N.shape}")
    if len(names) < 2:
        raise ValueError(
            "all labelled samples are of one group, so none can be judged by the others: label "
            "samples of another group, or leave out `group`"
        )
    return group_N.astype(np.int64)


def as_task(
    features_ND: Rows, labels_N: Rows
) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[np.int64]]:
    """Checked features, the sorted classes, and each row's class as its place among them."""
    features, labels = as_features(features_ND), as_labels(labels_N)
    if labels.shape != (len(features),):
        raise ValueError(f"{len(features)} rows of features need as many labels: {labels.shape}")
    if (labels < 0).any():
        raise ValueError("a probe learns from labelled rows only: leave out labels of -1")
    classes, code_N = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(
            f"all {len(labels)} labels are {classes[0]}: a probe tells classes apart and needs "
            "at least 2; label samples of another class"
        )
    return features, classes, code_N.astype(np.int64)
