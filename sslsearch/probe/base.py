"""The contract of a probe: what it is shown of an encoder in, scores out.

Shapes: N = samples it is shown, D = features, K = classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from sslsearch import registry
from sslsearch.data.samples import Samples
from sslsearch.encoders.base import Encoder
from sslsearch.modalities.base import Modality
from sslsearch.probe.metrics import class_shares, judge
from sslsearch.values import Batch, Encoded, InputSpec, Scores

Rows = torch.Tensor | NDArray[Any]
FloatArray = NDArray[np.float64]


class FittedProbe(ABC):
    """A probe that has learnt: it judges features it has not seen, and goes to JSON and back."""

    probe: str  # the name it is registered under
    settings: dict[str, Any]

    @abstractmethod
    def score(self, features_ND: Rows, truth_N: Rows, groups_N: ArrayLike | None = None) -> Scores:
        """Scores on samples it has not learnt from; truth_N as the probe's `truth` makes it."""

    @abstractmethod
    def shares(self, metric: str, features_ND: Rows, truth_N: Rows) -> FloatArray:
        """What each sample adds to a metric (N,), more = better: their mean is the metric, of a
        loss its negative. So two recipes can be compared sample by sample."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Everything it needs, in plain numbers and lists; has "probe": its registered name."""

    @staticmethod
    def from_dict(saved: dict[str, Any]) -> FittedProbe:
        """What `to_dict` wrote; predictions are the same."""
        probe: type[Probe] = registry.get("probe", saved["probe"]).make  # type: ignore[assignment]
        return probe.load(saved)


class FittedClassifier(FittedProbe):
    """It tells the classes that it has learnt apart; a label that it does not know is wrong."""

    classes: list[int]  # the labels it knows, sorted; column k of predict_proba is classes[k]

    @abstractmethod
    def predict_proba(self, features_ND: Rows) -> FloatArray:
        """Probabilities (N, K)."""

    def score(self, features_ND: Rows, truth_N: Rows, groups_N: ArrayLike | None = None) -> Scores:
        """`r2` is 1 - squared error of the probabilities / that of the labels' own shares."""
        proba_NK = self.predict_proba(features_ND)
        return score_predictions(proba_NK, self.classes, truth_N, groups_N, self.settings)

    def shares(self, metric: str, features_ND: Rows, truth_N: Rows) -> FloatArray:
        proba_NK, _, code_N = against(
            self.predict_proba(features_ND), self.classes, as_labels(truth_N)
        )
        return class_shares(metric, proba_NK, code_N)


class Probe(ABC):
    """Judges an encoder: by labels, or by whatever else the samples can tell.

    A subclass is registered with `@register("probe", gives=…)` and built as `Probe(*, knobs…)`. It
    gives what floors may need: `pooled` where it reads one vector a sample, `labels` where all that
    it is shown have one, `classes` where it judges probabilities of them.

    Attributes:
        metrics: those that a goal may name: each a mean over samples (see `FittedProbe.shares`).
        ranks: those that may rank trials at a rung; the first does where a space names none.
    """

    metrics: ClassVar[tuple[str, ...]] = ("accuracy", "balanced_accuracy", "macro_f1", "log_loss")
    ranks: ClassVar[tuple[str, ...]] = ("r2", *metrics)

    def rows(self, samples: Samples) -> torch.Tensor:
        """int64: the samples it is shown; those with labels, unless it learns without."""
        return samples.labelled

    def truth(self, samples: Samples, index_N: torch.Tensor, train: Samples) -> torch.Tensor:
        """What samples are judged by, one row each: labels, -1 where none may be seen.

        `train` is what the probe learns from; samples may be the same, or the test split.
        """
        return samples.labels_N[index_N]

    def look(self, batch: Batch) -> Batch:
        """The batch as the encoder is to see it."""
        return batch

    def read(self, encoded: Encoded) -> torch.Tensor:
        """The features of what the encoder made of a batch, one row (of any shape) a sample."""
        return encoded.pooled_BD

    def plain(self, batch: Batch, modality: Modality, spec: InputSpec) -> torch.Tensor:
        """The same of the batch itself: features without any encoder."""
        return modality.flat(batch, spec)

    def adapt(
        self, encoder: Encoder, samples: Samples, device: torch.device
    ) -> tuple[Encoder, FittedProbe | None]:
        """The encoder as users will get it, and the probe that has learnt with it, if any has."""
        return encoder, None

    def examine(
        self,
        encoder: Encoder,
        samples: Samples,
        features_ND: torch.Tensor,
        truth_N: torch.Tensor,
        groups_N: ArrayLike | None,
        device: torch.device,
    ) -> Scores:
        """What ranks trials, asked at every rung: of frozen features, unless overridden."""
        return rung_scores(self, features_ND, truth_N, groups_N, samples.judging)

    @abstractmethod
    def rung(self, features_ND: Rows, truth_N: Rows, groups_N: ArrayLike | None = None) -> Scores:
        """Cross-validated scores within the given rows: cheap, asked at every rung."""

    @abstractmethod
    def final(self, features_ND: Rows, truth_N: Rows) -> FittedProbe:
        """The probe the field reports, fitted on all given rows, for samples yet unseen."""

    def chosen(self, features_ND: Rows, truth_N: Rows, held_MD: Rows, held_M: Rows) -> FittedProbe:
        """As `final`, but what is chosen on labels is chosen on the held rows (features, truth).

        A probe that chooses nothing has no use for them.
        """
        return self.final(features_ND, truth_N)

    def taken(self, classes: Sequence[int]) -> FittedProbe:
        """A fitted probe whose features are its answers already: how floors that predict are
        judged. `classes` are those of the columns."""
        return Taken(list(classes), {"cv": "held out"})

    @staticmethod
    @abstractmethod
    def load(saved: dict[str, Any]) -> FittedProbe:
        """The fitted probe that `to_dict` wrote."""


@dataclass(frozen=True)
class Taken(FittedClassifier):
    """Probabilities as they were handed in."""

    classes: list[int]
    settings: dict[str, Any]
    probe = "taken"

    def predict_proba(self, features_ND: Rows) -> FloatArray:
        return np.asarray(features_ND, np.float64)

    def to_dict(self) -> dict[str, Any]:
        raise ValueError("answers that were handed in belong to no encoder: nothing can be saved")


def build(section: Mapping[str, Any]) -> Probe:
    """The probe of a recipe's (or a space's) `probe` section."""
    made: Probe = registry.get("probe", section["name"]).bind(section.get("knobs"))()
    return made


def crowd(samples: Samples, most: int) -> torch.Tensor:
    """int64, ascending: what a probe is shown that learns without labels: the labelled rows and
    evenly spaced others, `most` in all (of more labelled rows than that no others)."""
    others = torch.nonzero(~torch.isin(torch.arange(len(samples)), samples.labelled)).flatten()
    room = min(max(0, most - len(samples.labelled)), len(others))
    spaced = torch.linspace(0, len(others) - 1, room).long() if room else torch.arange(0)
    return torch.cat([samples.labelled, others[spaced]]).sort().values


def rung_scores(
    probe: Probe,
    features_ND: torch.Tensor,
    truth_N: torch.Tensor,
    groups_N: ArrayLike | None,
    judging_N: torch.Tensor | None,
) -> Scores:
    """What ranks trials: cross-validation, or a validation split that the probe is not fitted on.

    judging_N: bool, the rows of that split; None without one.
    """
    if judging_N is None:
        return probe.rung(features_ND, truth_N, groups_N)
    fitted = final_probe(probe, features_ND, truth_N, judging_N)
    held = None if groups_N is None else np.asarray(groups_N)[judging_N.numpy()]
    return fitted.score(features_ND[judging_N], truth_N[judging_N], held)


def score_predictions(
    proba_NK: FloatArray,
    known: Sequence[int],
    labels_N: Rows,
    groups_N: ArrayLike | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Scores:
    """Scores of probabilities (N, K), whose column k is of the class known[k] (sorted)."""
    all_NK, classes, code_N = against(proba_NK, known, as_labels(labels_N))
    error_N = ((np.eye(len(classes))[code_N] - all_NK) ** 2).sum(1)
    groups = None if groups_N is None else np.asarray(groups_N)
    return judge(all_NK, code_N, error_N, groups, {**(settings or {}), "cv": "held out"})


def against(
    proba_NK: FloatArray, known: Sequence[int], labels_N: NDArray[np.int64]
) -> tuple[FloatArray, NDArray[np.int64], NDArray[np.int64]]:
    """Probabilities with a column for each class, known or only seen here; these classes, sorted;
    and each row's class as its place among them."""
    classes = np.union1d(known, labels_N)
    all_NK = np.zeros((len(labels_N), len(classes)))
    all_NK[:, np.searchsorted(classes, known)] = proba_NK
    return all_NK, classes, np.searchsorted(classes, labels_N)


def final_probe(
    probe: Probe, features_ND: torch.Tensor, truth_N: torch.Tensor, judging_N: torch.Tensor | None
) -> FittedProbe:
    """The probe that the field reports: a validation split chooses its penalty and no more."""
    if judging_N is None:
        return probe.final(features_ND, truth_N)
    fits_N = ~judging_N
    held = features_ND[judging_N], truth_N[judging_N]
    return probe.chosen(features_ND[fits_N], truth_N[fits_N], *held)


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
