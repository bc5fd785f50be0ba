"""The linear probe: ridge with exact leave-one-out at rungs, logistic regression at the end.

Ridge on one-hot targets is within a hair of logistic regression in what it ranks first, and its
cross-validation is closed-form (ridge.py), so it may be asked at every rung. The field reports
logistic regression, so that is what `final` fits; on features as wide as a rocket's the field
reports ridge (Dempster et al. 2020, arXiv:1910.13051), and so does `final`.

Shapes: N = labelled samples, D = features, K = classes, A = penalties tried.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from torch import nn

from sslsearch.probe.affine import Affine
from sslsearch.probe.base import (
    FittedClassifier,
    FittedProbe,
    Probe,
    Rows,
    as_features,
    as_groups,
    as_labels,
    as_task,
)
from sslsearch.probe.logistic import fit_logistic, logistic_path
from sslsearch.probe.metrics import judge
from sslsearch.probe.ridge import FeatureArray, Ridge, standardisation
from sslsearch.registry import Count, Positive, Unit, register
from sslsearch.values import Scores

FloatArray = NDArray[np.float64]
VERSION = 2  # raised whenever the same features and settings would score differently
TINY = 1e-12  # of a deviation

Head = Literal["auto", "logistic", "ridge"]
Folds = Annotated[int, Field(ge=2), Unit("folds")]
Penalty = Annotated[Positive, Unit("ridge penalty on standardised features")]


@register("probe", "linear", gives=["classes", "labels", "pooled"])
class Linear(Probe):
    """Ridge with exact leave-one-out at rungs; at the end logistic regression (ridge if wide).

    Knobs: the penalties tried are alpha_steps numbers from alpha_low to alpha_high, evenly spaced
    in orders of magnitude. head "auto" is ridge where there are more than `wide` features, else
    logistic: the width decides alone, so that the number of labels never changes the method.
    """

    def __init__(
        self,
        *,
        alpha_low: Penalty = 1e-2,
        alpha_high: Penalty = 1e6,
        alpha_steps: Annotated[Count, Unit("penalties tried")] = 17,
        folds: Folds = 5,
        head: Head = "auto",
        wide: Annotated[Count, Unit("features")] = 1_024,
    ) -> None:
        if alpha_low > alpha_high:
            raise ValueError(
                f"alpha_low <= alpha_high must hold, but got ({alpha_low}, {alpha_high})"
            )
        grid = np.geomspace(alpha_low, alpha_high, alpha_steps)
        self.alphas_A = grid[::-1]  # the strongest first: it wins where the data cannot tell
        self.folds, self.head, self.wide = folds, head, wide

    def rung(self, features_ND: Rows, labels_N: Rows, groups_N: ArrayLike | None = None) -> Scores:
        """Scores of every sample as predicted from the others: leave-one-out, or by group folds.

        With groups_N no group is on both sides of a fold, and the intervals are over groups.
        alpha is the one of the least squared error left out; `r2` = 1 - that / the targets' own.
        Labels are predicted from the left-out scores with the classes' shares put back to those
        of all rows (`decisions`); `log_loss` from their softmax at one temperature, fitted on
        them: two numbers, alpha and temperature, are chosen on what they are judged by.
        A class of one sample is never predicted by the others: it counts as wrong.
        """
        features, classes, code_N = as_task(features_ND, labels_N)
        groups = as_groups(groups_N, len(code_N))
        left_out = self._left_out(features, code_N, len(classes), groups)
        sharpness = sharpen(left_out.scores_NK, code_N)
        proba_NK = softmax(sharpness * left_out.scores_NK, axis=1)
        settings = self._settings(features, len(classes)) | {
            "head": "ridge",
            "alpha": left_out.alpha,
            "cv": left_out.cv,
        }
        return judge(proba_NK, code_N, (left_out.error_NK**2).sum(1), groups, settings)

    def final(self, features_ND: Rows, labels_N: Rows) -> FittedLinear:
        """Fitted on all rows; its penalty is chosen on them too (by folds, or leave-one-out)."""
        features, classes, code_N = as_task(features_ND, labels_N)
        settings = self._settings(features, len(classes))
        wide = self.head == "ridge" or (self.head == "auto" and features.shape[1] > self.wide)
        if wide:
            left_out = self._left_out(features, code_N, len(classes), None)
            ridge = Ridge(features, np.eye(len(classes))[code_N])
            sharpness = sharpen(left_out.scores_NK, code_N)
            mean_D, gain_D = ridge.mean_D, ridge.gain_D
            coef_DK = sharpness * ridge.coef(left_out.alpha)
            bias_K = sharpness * ridge.mean_K
            settings |= {"head": "ridge", "alpha": left_out.alpha}
        else:
            mean_D, gain_D = standardisation(features)
            fit = fit_logistic((features - mean_D) * gain_D, code_N, self.folds)
            coef_DK, bias_K = fit.coef_DK, fit.bias_K
            settings |= {"head": "logistic", "C": fit.c, "folds": fit.folds}
        return FittedLinear(
            classes=[int(c) for c in classes],
            mean=mean_D.tolist(),
            gain=gain_D.tolist(),
            coef=coef_DK.tolist(),
            bias=bias_K.tolist(),
            settings=settings,
        )

    def chosen(self, features_ND: Rows, labels_N: Rows, held_MD: Rows, held_M: Rows) -> FittedProbe:
        """Logistic regression at the C and the scale of the most hits on the held rows; of equals
        the least log-loss decides, however wide features are.

        Features are scaled each by its own deviation, or all by one: where most are rare, as words
        are, few labels say little of a single deviation.
        """
        if self.head == "ridge":
            return self.final(features_ND, labels_N)
        features, classes, code_N = as_task(features_ND, labels_N)
        mean_D, gain_D = standardisation(features)
        together = 1 / max(float((features - mean_D).std()), TINY)
        scales = {"feature": gain_D, "together": np.full_like(gain_D, together)}
        tried = [
            FittedLinear(
                classes=[int(c) for c in classes],
                mean=mean_D.tolist(),
                gain=scale_D.tolist(),
                coef=fit.coef_DK.tolist(),
                bias=fit.bias_K.tolist(),
                settings=self._settings(features, len(classes))
                | {"head": "logistic", "C": fit.c, "scale": scale}
                | {"chosen_on": len(as_labels(held_M))},
            )
            for scale, scale_D in scales.items()
            for fit in logistic_path((features - mean_D) * scale_D, code_N)
        ]
        seen = [fitted.score(held_MD, held_M).values for fitted in tried]
        best = max(range(len(tried)), key=lambda i: (seen[i]["accuracy"], -seen[i]["log_loss"]))
        return tried[best]

    @staticmethod
    def load(saved: dict[str, Any]) -> FittedProbe:
        return FittedLinear(**{key: value for key, value in saved.items() if key != "probe"})

    def _settings(self, features: FeatureArray, classes: int) -> dict[str, Any]:
        n, d = features.shape
        low, high = float(self.alphas_A[-1]), float(self.alphas_A[0])
        return {
            "name": "linear",
            "version": VERSION,
            "n": n,
            "d": d,
            "classes": classes,
            "standardise": True,
            "alphas": {"low": low, "high": high, "steps": len(self.alphas_A)},
        }

    def _left_out(
        self,
        features: FeatureArray,
        code_N: NDArray[np.int64],
        k: int,
        group_N: NDArray[np.int64] | None,
    ) -> LeftOut:
        """What is left out at the alpha that leaves the least squared error there."""
        target_NK = np.eye(k)[code_N]
        n, mean_K = target_NK.shape[0], target_NK.mean(0)
        if group_N is None or group_N.max() == n - 1:  # or each sample is a group of its own
            cv = "leave-one-out"
            others_NK = (n * mean_K - target_NK) / (n - 1)
            error_ANK = Ridge(features, target_NK).left_out_errors(self.alphas_A)
        else:
            fold_N = group_folds(code_N, group_N, self.folds)
            cv = f"{fold_N.max() + 1} folds by group"
            error_ANK, others_NK = self._fold_errors(features, target_NK, fold_N)
        best = int((error_ANK**2).sum((1, 2)).argmin())
        error_NK = error_ANK[best]
        scores_NK = decisions(target_NK - error_NK, others_NK, mean_K)
        return LeftOut(float(self.alphas_A[best]), error_NK, scores_NK, cv)

    def _fold_errors(
        self, features: FeatureArray, target_NK: FloatArray, fold_N: NDArray[np.int64]
    ) -> tuple[FloatArray, FloatArray]:
        """Errors (A, N, K) of ridges that never saw a sample's fold, and their class shares."""
        error_ANK = np.empty((len(self.alphas_A), *target_NK.shape))
        others_NK = np.empty_like(target_NK)
        for fold in range(fold_N.max() + 1):
            test_N = fold_N == fold
            ridge = Ridge(features[~test_N], target_NK[~test_N])
            others_NK[test_N] = ridge.mean_K
            predicted = ridge.predict(features[test_N], self.alphas_A)
            error_ANK[:, test_N] = target_NK[test_N] - predicted
        return error_ANK, others_NK


@dataclass(frozen=True)
class LeftOut:
    alpha: float
    error_NK: FloatArray  # exact: target - what a fit without the sample predicts
    scores_NK: FloatArray  # see decisions()
    cv: str


@dataclass(frozen=True)
class FittedLinear(FittedClassifier):
    """softmax of an affine map of standardised features."""

    classes: list[int]
    mean: list[float]
    gain: list[float]
    coef: list[list[float]]
    bias: list[float]
    settings: dict[str, Any]
    probe = "linear"

    def predict_proba(self, features_ND: Rows) -> FloatArray:
        features = as_features(features_ND)
        if features.shape[1] != len(self.mean):
            raise ValueError(
                f"this probe was fitted on {len(self.mean)} features, not {features.shape[1]}"
            )
        x_ND = (features - np.asarray(self.mean)) * np.asarray(self.gain)
        proba_NK: FloatArray = softmax(x_ND @ np.asarray(self.coef) + np.asarray(self.bias), axis=1)
        return proba_NK

    def arithmetic(self) -> nn.Module:
        """`predict_proba` as a torch module, (N, D) to (N, K) float32, for an exported graph."""
        return Affine(self.mean, self.gain, self.coef, self.bias)

    def to_dict(self) -> dict[str, Any]:
        return {"probe": self.probe, **asdict(self)}


def decisions(left_out_NK: FloatArray, others_NK: FloatArray, mean_K: FloatArray) -> FloatArray:
    """Scores to decide by: left-out predictions with the shares of the classes put back.

    Leaving a sample out makes its own class the rarer one among the others, so features that say
    nothing would score far below chance (0 % for balanced classes) rather than at chance. How
    many samples of each class there are is a matter of design, not something to be predicted: the
    shares of the others are taken off, the shares of all rows added. Both are constants.
    """
    return left_out_NK - others_NK + mean_K


def sharpen(scores_NK: FloatArray, code_N: NDArray[np.int64]) -> float:
    """The inverse temperature, within 1e-2..1e3, at which softmax(scores) fits the labels best."""
    rows = np.arange(len(code_N))

    def loss(log_sharpness: float) -> float:
        log_proba_NK = log_softmax(np.exp(log_sharpness) * scores_NK, axis=1)
        return -float(log_proba_NK[rows, code_N].mean())

    found = minimize_scalar(
        loss, bounds=(np.log(1e-2), np.log(1e3)), method="bounded", options={"xatol": 1e-3}
    )
    return float(np.exp(found.x))


def group_folds(
    code_N: NDArray[np.int64], group_N: NDArray[np.int64], folds: int
) -> NDArray[np.int64]:
    """Each row's fold: no group in two folds, classes spread as evenly as that allows.

    As many folds as asked for, or as there are groups. Groups go in by falling size, each to the
    fold that holds the least of the classes it brings (this keeps the squares of the counts per
    fold and class, as shares of the class, smallest), among those to the one of fewest samples.
    """
    count_GK = np.zeros((int(group_N.max()) + 1, int(code_N.max()) + 1))
    np.add.at(count_GK, (group_N, code_N), 1)
    share_GK, size_G = count_GK / count_GK.sum(0), count_GK.sum(1)
    folds = min(folds, len(count_GK))
    share_FK, size_F = np.zeros((folds, share_GK.shape[1])), np.zeros(folds)
    fold_G = np.empty(len(count_GK), dtype=np.int64)
    for g in np.argsort(-size_G, kind="stable"):
        fold = np.lexsort((size_F, share_FK @ share_GK[g]))[0]
        share_FK[fold] += share_GK[g]
        size_F[fold] += size_G[g]
        fold_G[g] = fold
    return fold_G[group_N]
