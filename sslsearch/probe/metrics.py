"""From predictions to Scores: accuracy, balanced accuracy, macro F1, log-loss, r2, intervals.

Shapes: N = samples, K = classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sslsearch.probe.interval import ratio_interval, wilson
from sslsearch.values import Scores

FloatArray = NDArray[np.float64]
TINY = 1e-12  # the least probability a log-loss is taken of
LOSSES = frozenset({"log_loss", "mse", "mae"})  # of all probes' metrics those where less is better


def sign(metric: str) -> int:
    """+1 where more is better, -1 for losses: scores are always maximised."""
    return -1 if metric in LOSSES else 1


def as_score(metric: str) -> str:
    """What a score by this metric is called: `r2`, or `-mse` of a loss, for more is better."""
    return metric if sign(metric) > 0 else f"-{metric}"


def judge(
    proba_NK: FloatArray,
    code_N: NDArray[np.int64],
    error_N: FloatArray,
    groups_N: NDArray[Any] | None,
    settings: dict[str, Any],
) -> Scores:
    """All metrics over all samples at once (never an average of batches).

    error_N: each sample's squared error of the one-hot target, summed over classes; r2 is one
    minus their sum over that of always answering the shares of the classes.
    Intervals (95 %): Wilson's for accuracy, class by class for balanced accuracy, a jackknife for
    r2 and log_loss; over groups where there are any. Macro F1 has none.
    """
    n, k = proba_NK.shape
    predicted_N = proba_NK.argmax(1)
    table_KK = np.bincount(code_N * k + predicted_N, minlength=k * k).reshape(k, k)
    right_N = (predicted_N == code_N).astype(np.float64)
    hits_K, true_K = table_KK.diagonal(), table_KK.sum(1)
    seen_K = true_K > 0  # a class without a sample has no recall

    loss_N = -np.log(np.maximum(proba_NK[np.arange(n), code_N], TINY))
    spread_N = ((np.eye(k)[code_N] - true_K / n) ** 2).sum(1)
    ones_N = np.ones(n)
    accuracy = ratio_interval(right_N, ones_N, groups_N)
    loss = ratio_interval(loss_N, ones_N, groups_N)
    values = {
        "accuracy": accuracy.value,
        "balanced_accuracy": float((hits_K[seen_K] / true_K[seen_K]).mean()),
        "macro_f1": _macro_f1(table_KK),
        "log_loss": loss.value,
    }
    effective = n if groups_N is None else _effective(accuracy.value, accuracy.variance, groups_N)
    low, high = {}, {}
    low["accuracy"], high["accuracy"] = wilson(accuracy.value * effective, effective)
    low["balanced_accuracy"], high["balanced_accuracy"] = _balanced_interval(
        hits_K[seen_K], true_K[seen_K], effective / n
    )
    low["log_loss"], high["log_loss"] = max(0.0, loss.low), loss.high
    if spread_N.sum() > 0:  # else all samples are of one class, and there is nothing to explain
        unexplained = ratio_interval(error_N, spread_N, groups_N)
        values["r2"] = 1 - unexplained.value
        low["r2"], high["r2"] = 1 - unexplained.high, min(1.0, 1 - unexplained.low)
    return Scores(values, low, high, settings)


def _effective(share: float, variance: float, groups_N: NDArray[Any]) -> float:
    """How many independent samples would know the share as well as these groups of samples do."""
    groups, n = len(np.unique(groups_N)), groups_N.size
    if not variance > 0:  # all right or all wrong: the groups are what was drawn
        return float(groups)
    return float(np.clip(share * (1 - share) / variance, 1.0, n))


def _balanced_interval(
    hits_K: NDArray[Any], true_K: NDArray[Any], shrink: float
) -> tuple[float, float]:
    """Zou & Donner 2008: the interval of a mean of independent shares, from each share's own.

    shrink: effective samples per sample.
    """
    share_K = hits_K / true_K
    bounds = [wilson(h * shrink, t * shrink) for h, t in zip(hits_K, true_K, strict=True)]
    low_K, high_K = np.array(bounds).T
    mean, k = float(share_K.mean()), len(share_K)
    down = float(((share_K - low_K) ** 2).sum()) ** 0.5 / k
    up = float(((high_K - share_K) ** 2).sum()) ** 0.5 / k
    return mean - down, mean + up


def class_shares(metric: str, proba_NK: FloatArray, code_N: NDArray[np.int64]) -> FloatArray:
    """What each sample adds to a metric of classes; code_N is each sample's column in proba_NK."""
    n, k = proba_NK.shape
    if metric == "log_loss":
        return np.asarray(np.log(np.maximum(proba_NK[np.arange(n), code_N], TINY)), np.float64)
    predicted_N = proba_NK.argmax(1)
    right_N: FloatArray = (predicted_N == code_N).astype(np.float64)
    if metric == "accuracy":
        return right_N
    count_K = np.bincount(code_N, minlength=k)
    if metric == "balanced_accuracy":
        weight_K = n / ((count_K > 0).sum() * np.maximum(count_K, 1))
        balanced_N: FloatArray = right_N * weight_K[code_N]
        return balanced_N
    if metric == "macro_f1":
        return cell_shares(code_N, predicted_N, k, k, _macro_f1)
    raise ValueError(f"{metric} is not a mean over samples")


def _macro_f1(table_KK: NDArray[Any]) -> float:
    true_K, said_K = table_KK.sum(1), table_KK.sum(0)
    there_K = (true_K > 0) | (said_K > 0)
    f1_K = 2 * table_KK.diagonal() / np.maximum(true_K + said_K, 1)
    return float(f1_K[there_K].mean())


def cell_shares(
    row_N: NDArray[np.int64],
    column_N: NDArray[np.int64],
    rows: int,
    columns: int,
    of: Callable[[NDArray[Any]], float],
) -> FloatArray:
    """Each sample's share in a figure of a contingency table (rows, columns): jackknife
    pseudo-values, moved so that their mean is the figure (Efron & Stein 1981)."""
    n = len(row_N)
    cell_N = row_N * columns + column_N
    table = np.bincount(cell_N, minlength=rows * columns)
    whole, without = of(table.reshape(rows, columns)), np.zeros(rows * columns)
    for cell in np.unique(cell_N):
        table[cell] -= 1
        without[cell] = of(table.reshape(rows, columns))
        table[cell] += 1
    return centred(whole, without[cell_N], n)


def centred(whole: float, without_N: FloatArray, n: int) -> FloatArray:
    """Pseudo-values of a figure from what it is without each sample, with the figure as mean."""
    pull_N: FloatArray = -(n - 1) * (without_N - without_N.mean())
    return whole + pull_N


def share_scores(shares: Mapping[str, FloatArray], groups_N: NDArray[Any] | None) -> Figures:
    """Values and 95 % intervals of metrics, from each sample's share in them."""
    values, low, high = {}, {}, {}
    for metric, share_N in shares.items():
        found = ratio_interval(sign(metric) * share_N, np.ones(len(share_N)), groups_N)
        values[metric], low[metric], high[metric] = found.value, found.low, found.high
    return Figures(values, low, high)


class Figures(NamedTuple):
    values: dict[str, float]
    low: dict[str, float]
    high: dict[str, float]
