"""Intervals: what a mean, a share or a difference of two methods is worth. All in closed form.

Nothing is drawn at random, so the same numbers always give the same interval. Shapes: S = seeds,
N = samples, G = groups (samples of one group, say one speaker, are not independent).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri, stdtrit

FloatArray = NDArray[np.float64]
NAN = float("nan")


def wilson(k: float, n: float, level: float = 0.95) -> tuple[float, float]:
    """Wilson 1927's interval of a share of k in n; inside 0..1, and never empty at k = 0 or n.

    n may be fractional: the effective number of samples where they come in groups.
    """
    if not 0 <= k <= n:
        raise ValueError(f"0 <= k <= n must hold for k successes in n, but got k={k}, n={n}")
    if n == 0:
        return 0.0, 1.0
    z = float(ndtri(0.5 + level / 2))
    share, shrink = k / n, 1 + z**2 / n
    centre = (share + z**2 / (2 * n)) / shrink
    half = z / shrink * (share * (1 - share) / n + z**2 / (4 * n**2)) ** 0.5
    return max(0.0, centre - half), min(1.0, centre + half)


def mean_interval(
    values: Sequence[float] | FloatArray, level: float = 0.95
) -> tuple[float, float, float]:
    """Mean and its Student interval over seeds; of one value no interval is known (nan, nan)."""
    seen = np.asarray(values, dtype=np.float64)
    if seen.size == 0:
        raise ValueError("no values to average: hand in at least one, one per seed")
    mean = float(seen.mean())
    if seen.size == 1:
        return mean, NAN, NAN
    half = _student(seen.size - 1, level) * float(seen.std(ddof=1)) / seen.size**0.5
    return mean, mean - half, mean + half


class Ratio(NamedTuple):
    """A ratio of two sums, its interval, and its variance over resampled samples (or groups)."""

    value: float
    low: float
    high: float
    variance: float


def ratio_interval(
    above_N: FloatArray,
    below_N: FloatArray,
    groups_N: ArrayLike | None = None,
    level: float = 0.95,
) -> Ratio:
    """sum(above) / sum(below): the linearised jackknife over samples, or whole groups of them.

    With below = 1 it is a mean. The variance sees a group as one draw, so samples that resemble
    each other do not make the interval narrower than it is.
    """
    value = float(above_N.sum() / below_N.sum())
    pull_N = (above_N - value * below_N) / below_N.sum()
    pull_G = pull_N if groups_N is None else _sum_by(pull_N, groups_N)
    draws = len(pull_G)
    if draws < 2:
        return Ratio(value, NAN, NAN, NAN)
    variance = float((pull_G**2).sum()) * draws / (draws - 1)
    half = _student(draws - 1, level) * variance**0.5
    return Ratio(value, value - half, value + half, variance)


class Difference(NamedTuple):
    """mean(a) - mean(b), its interval, and its standard error over seeds and over test samples."""

    mean: float
    low: float
    high: float
    se_seeds: float
    se_samples: float


def paired_difference(
    a_SN: ArrayLike,
    b_SN: ArrayLike,
    groups_N: ArrayLike | None = None,
    level: float = 0.95,
) -> Difference:
    """How much better a is than b, where each was scored on the same N test samples per seed.

    Rows are seeds (any number on either side, they need not match), columns the test samples in
    the same order (a sample's score: 1 if right, else 0; or a negative loss). Another set of seeds
    and another set of test samples would both give another answer, so both variances count:
    seeds as two independent sets of means (Welch), samples as paired differences of the means
    over seeds (a sample that is hard for both says nothing about which is better). The two errors
    are added and the interval is Student's with Welch and Satterthwaite's degrees of freedom: at
    three seeds resampling them would find only two thirds of their variance, this finds all.

    With one seed on a side the spread over seeds is unknown: se_seeds is nan, and the interval
    speaks of the test samples only.
    """
    a, b = (np.atleast_2d(np.asarray(rows, dtype=np.float64)) for rows in (a_SN, b_SN))
    if a.shape[1] != b.shape[1] or not a.size or not b.size:
        raise ValueError(
            f"a and b must be scored on the same test samples, but got {a.shape[1]} columns in a "
            f"({len(a)} seeds) and {b.shape[1]} in b ({len(b)} seeds)"
        )
    gap_N = a.mean(0) - b.mean(0)
    overall = ratio_interval(gap_N, np.ones_like(gap_N), groups_N)
    draws = gap_N.size if groups_N is None else len(np.unique(np.asarray(groups_N)))
    terms = [(overall.variance, draws - 1)]
    se_seeds = NAN
    if min(len(a), len(b)) > 1:
        by_seed = [(float(x.mean(1).var(ddof=1)) / len(x), len(x) - 1) for x in (a, b)]
        se_seeds = (by_seed[0][0] + by_seed[1][0]) ** 0.5
        terms += by_seed
    variance = sum(v for v, _ in terms)
    spread = sum(v**2 / df for v, df in terms if v > 0)
    half = _student(variance**2 / spread, level) * variance**0.5 if spread > 0 else variance
    mean = overall.value
    return Difference(mean, mean - half, mean + half, se_seeds, overall.variance**0.5)


def _student(freedom: float, level: float) -> float:
    return float(stdtrit(freedom, 0.5 + level / 2))


def _sum_by(values_N: FloatArray, groups_N: ArrayLike) -> FloatArray:
    _, place_N = np.unique(np.asarray(groups_N), return_inverse=True)
    return np.bincount(place_N.ravel(), weights=values_N).astype(np.float64)
