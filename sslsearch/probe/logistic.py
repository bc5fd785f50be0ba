"""Multinomial logistic regression, its penalty chosen by stratified cross-validation.

Shapes: N = labelled samples, D = features, K = classes.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

# Inverse penalties on standardised features, weakest fit first: each starts from the one before.
GRID = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)
UNCHOSEN = 1.0  # scikit-learn's default, where there are too few labels to choose
STEPS = 1_000  # of L-BFGS at most


@dataclass(frozen=True)
class LogisticFit:
    coef_DK: FloatArray
    bias_K: FloatArray
    c: float
    folds: int  # 0 = c was not chosen but fixed


def fit_logistic(x_ND: FloatArray, code_N: NDArray[np.int64], folds: int) -> LogisticFit:
    """Fit on standardised x; codes 0..K-1 must all occur.

    C is the one of the least log-loss over min(folds, size of the smallest class) stratified
    folds; where a class has one sample only there is no such fold, and C = 1. The folds are the
    same on every call.
    """
    folds = min(folds, int(np.bincount(code_N).min()))
    c = _choose(x_ND, code_N, folds) if folds >= 2 else UNCHOSEN
    ((coef_DK, bias_K),) = _path(x_ND, code_N, (c,))
    return LogisticFit(coef_DK, bias_K, c, folds if folds >= 2 else 0)


def logistic_path(x_ND: FloatArray, code_N: NDArray[np.int64]) -> list[LogisticFit]:
    """The fits at every C of GRID, for another to choose from."""
    fits = zip(GRID, _path(x_ND, code_N, GRID), strict=True)
    return [LogisticFit(coef_DK, bias_K, c, 0) for c, (coef_DK, bias_K) in fits]


def fit_at(x_ND: FloatArray, code_N: NDArray[np.int64], c: float) -> tuple[FloatArray, FloatArray]:
    """(coef_DK, bias_K) on standardised x at one C; codes 0..K-1 must all occur."""
    ((coef_DK, bias_K),) = _path(x_ND, code_N, (c,))
    return coef_DK, bias_K


def _choose(x_ND: FloatArray, code_N: NDArray[np.int64], folds: int) -> float:
    from scipy.special import log_softmax
    from sklearn.model_selection import StratifiedKFold

    losses = np.zeros(len(GRID))
    splits = StratifiedKFold(folds, shuffle=True, random_state=0).split(x_ND, code_N)
    for train, test in splits:
        for i, (coef_DK, bias_K) in enumerate(_path(x_ND[train], code_N[train], GRID)):
            log_proba_NK = log_softmax(x_ND[test] @ coef_DK + bias_K, axis=1)
            losses[i] -= log_proba_NK[np.arange(len(test)), code_N[test]].sum()
    return GRID[int(losses.argmin())]


def _path(
    x_ND: FloatArray, code_N: NDArray[np.int64], grid: tuple[float, ...]
) -> list[tuple[FloatArray, FloatArray]]:
    """(coef, bias) for each C of a rising grid."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits  # scikit-learn's own

    model = LogisticRegression(solver="lbfgs", warm_start=True, max_iter=STEPS)
    fits = []
    # One thread: products are small, and several would wait for each other on a busy machine.
    with threadpool_limits(1), warnings.catch_warnings():
        # unconverged at a weak penalty: judged like any other fit
        warnings.simplefilter("ignore", ConvergenceWarning)
        for c in grid:
            model.set_params(C=c).fit(x_ND, code_N)
            coef, bias = model.coef_.T, model.intercept_
            if coef.shape[1] == 1:  # two classes: scikit-learn keeps the second one's logit only
                coef, bias = np.hstack([0 * coef, coef]), np.append(0.0, bias)
            fits.append((coef.copy(), bias.copy()))
    return fits
