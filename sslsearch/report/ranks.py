"""Do early ranks foretell late ones? Spearman's correlation of the scores at every two rungs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sslsearch.report.answers import Lessons

FEWEST = 4  # trials that reached both


@dataclass(frozen=True)
class Agreement:
    """Of two rungs, over the trials that reached both; nan where they are too few. The interval is
    Fisher's z with Bonett and Wright's (2000) error."""

    trials: int
    rho: float = math.nan
    low: float = math.nan
    high: float = math.nan


def agreement(lessons: Lessons) -> list[list[Agreement]]:
    """Row by row for each rung but the last, the later rungs in its columns."""
    rungs = len(lessons.rungs)
    return [
        [_of(lessons, early, late) for late in range(early + 1, rungs)]
        for early in range(rungs - 1)
    ]


def _of(lessons: Lessons, early: int, late: int) -> Agreement:
    both = [one.scores for one in lessons.trials if len(one.scores) > late]
    pairs = [(s[early], s[late]) for s in both if s[early] is not None and s[late] is not None]
    if len(pairs) < FEWEST:
        return Agreement(len(pairs))
    first_N, then_N = np.array(pairs, float).T
    if not np.ptp(first_N) or not np.ptp(then_N):
        return Agreement(len(pairs))
    from scipy.stats import spearmanr  # slow to import, and only here

    rho = float(spearmanr(first_N, then_N).statistic)
    error = math.sqrt((1 + rho**2 / 2) / (len(pairs) - 3))
    z = math.atanh(max(-0.999999, min(0.999999, rho)))
    return Agreement(len(pairs), rho, math.tanh(z - 1.96 * error), math.tanh(z + 1.96 * error))
