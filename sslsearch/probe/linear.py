"""The linear probe: ridge with exact leave-one-out at rungs, logistic regression at the end.

Ridge on one-hot targets is within a hair of logistic regression in what it ranks first, and its
cross-validation is closed-form (ridge.py), so it may be asked at every rung. The field reports
logistic regression, so that is what `final` fits; on features as wide as a rocket's the field
reports ridge (Dempster et al. 2020, arXiv:1910.13051), and so does `final`.

Shapes: N = labelled samples, D = features, K = classes, A = penalties tried.
"""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from sslsearch.probe.base import FittedProbe, Probe, Rows, as_features, as_task
from sslsearch.probe.logistic import fit_logistic
from sslsearch.probe.metrics import judge
from sslsearch.probe.ridge import FeatureArray, Ridge, standardisation
from sslsearch.registry import Count, Positive, Unit, register
from sslsearch.values import Scores

FloatArray = NDArray[np.float64]
VERSION = 1  # raised whenever the same features and settings would score differently

Head = Literal["auto", "logistic", "ridge"]
Folds = Annotated[int, Field(ge=2), Unit("folds")]
Penalty = Annotated[Positive, Unit("ridge penalty on standardised features")]


@register("probe", "linear")
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

    def rung(
        self, features_ND: Rows, labels_N: Rows, groups_N: ArrayLike | None = None
    ) -> Scores:
        """Scores of every sample as predicted from the others: leave-one-out, or by group folds.

        With groups_N no group is on both sides of a fold, and the intervals are over groups.
        alpha is the one of the least squared error left out; `r2` = 1 - that / the targets' own.
        Labels are predicted from the left-out scores with the classes' shares put back to those
        of all rows (`decisions`); `log_loss` from their softmax at one temperature, fitted on
        them: two numbers, alpha and temperature, are chosen on what they are judged by.
        A class of one sample is never predicted by the others: it counts as wrong.
        """
        features, classes, code_N = as_task(features_ND, labels_N)
        left_out = self._left_out(features, code_N, len(classes), groups_N)
        sharpness = sharpen(left_out.scores_NK, code_N)
        proba_NK = softmax(sharpness * left_out.scores_NK, axis=1)
        settings = self._settings(features, len(classes)) | {
            "head": "ridge",
            "alpha": left_out.alpha,
            "cv": left_out.cv,
        }
        return judge(proba_NK, code_N, (left_out.error_NK**2).sum(1), groups_N, settings)

    def final(self, features_ND: Rows, labels_N: Rows) -> FittedProbe:
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

    @staticmethod
    def load(saved: dict[str, Any]) -> FittedProbe:
        return FittedLinear(**{key: value for key, value in saved.items() if key != "probe"})

    def _settings(self, features: FeatureArray, classes: int) -> dict[str, Any]:
        n, d = features.shape
        grid = {"low": self.alphas_A[-1], "high": self.alphas_A[0], "steps": len(self.alphas_A)}
        return {
            "name": "linear",
            "version": VERSION,
            "n": n,
            "d": d,
            "classes": classes,
            "standardise": True,
            "alphas": {key: float(value) for key, value in grid.items()},
        }

    def _left_out(
        self, features: FeatureArray, code_N: NDArray[np.int64], k: int, groups_N: ArrayLike | None
    ) -> LeftOut:
        """The errors left out at the best alpha: a generator of (N, K), one per alpha, goes in."""
        target_NK = np.eye(k)[code_N]
        n, mean_K = target_NK.shape[0], target_NK.mean(0)
        groups = None if groups_N is None else np.asarray(groups_N)
        if groups is None or len(np.unique(groups)) == n:
            cv = "leave-one-out"
            others_NK = (n * mean_K - target_NK) / (n - 1)
            candidates = Ridge(features, target_NK).left_out_errors(self.alphas_A)
        else:
            folds = group_folds(code_N, groups, self.folds)
            cv = f"{len(folds)} folds by group"
            errors_ANK, others_NK = self._fold_errors(features, target_NK, folds)
            candidates = iter(errors_ANK)
        best = np.inf
        for alpha, error_NK in zip(self.alphas_A, candidates, strict=True):
            if (press := float((error_NK**2).sum())) < best:
                best, chosen, error = press, float(alpha), error_NK
        return LeftOut(chosen, error, decisions(target_NK - error, others_NK, mean_K), cv)

    def _fold_errors(
        self, features: FeatureArray, target_NK: FloatArray, folds: list[NDArray[np.int64]]
    ) -> tuple[FloatArray, FloatArray]:
        """Errors (A, N, K) of ridges that never saw a sample's group, and their class shares."""
        error_ANK = np.empty((len(self.alphas_A), *target_NK.shape))
        shares_NK = np.empty_like(target_NK)
        for test in folds:
            train = np.setdiff1d(np.arange(len(target_NK)), test)
            ridge = Ridge(features[train], target_NK[train])
            shares_NK[test] = ridge.mean_K
            for a, alpha in enumerate(self.alphas_A):
                error_ANK[a, test] = target_NK[test] - ridge.predict(features[test], float(alpha))
        return error_ANK, shares_NK


@dataclass(frozen=True)
class LeftOut:
    alpha: float
    error_NK: FloatArray  # exact: target - what a fit without the sample predicts
    scores_NK: FloatArray  # see decisions()
    cv: str


@dataclass(frozen=True)
class FittedLinear(FittedProbe):
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
    code_N: NDArray[np.int64], groups_N: NDArray[Any], folds: int
) -> list[NDArray[np.int64]]:
    """The test rows of each fold: no group in two folds, classes spread as evenly as that allows.

    As many folds as asked for, or as groups (and samples of the largest class) allow.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    if groups_N.shape != code_N.shape:
        raise ValueError(f"{len(code_N)} samples need as many groups, not {groups_N.shape}")
    groups = len(np.unique(groups_N))
    if groups < 2:
        raise ValueError(
            "all labelled samples are of one group, so none can be judged by the others: label "
            "samples of another group, or leave out `group`"
        )
    splitter = StratifiedGroupKFold(min(folds, groups, int(np.bincount(code_N).max())))
    with warnings.catch_warnings():  # it warns of classes rarer than folds: fine here
        warnings.simplefilter("ignore", UserWarning)
        return [test for _, test in splitter.split(code_N, code_N, groups_N) if len(test)]
