"""Several objectives: what a trial reached in each, and which trials no other beats in all.

The first objective is the probe's: its selection score ranks trials and confirmation decides by it.
Early stopping and the choice of finalists look at all of them, by layers: a layer is what no other
trial dominates once the layers before it are taken away (Deb et al. 2002, A Fast and Elitist
Multiobjective Genetic Algorithm: NSGA-II; for halving: Schmucker et al. 2021, Multi-objective
Asynchronous Successive Halving, arXiv:2106.12639).

Shapes: N = trials, M = objectives; values are turned so that more is better in each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sslsearch.space import Goal
from sslsearch.values import Report

Objectives = tuple[float, ...]


def others(report: Report, seconds: float, goal: Goal) -> dict[str, float]:
    """The objectives after the first, by metric, in their own units; nan where not known.

    seconds: what the trial took so far.
    """
    known = {"cost/seconds": seconds, **report.scores}
    return {metric: known.get(metric.removeprefix("probe/"), math.nan) for metric, _ in goal.others}


def objectives(report: Report, seconds: float, goal: Goal) -> Objectives:
    """What a report says of each objective, more = better."""
    said = others(report, seconds, goal)
    return report.score, *(sign * said[metric] for metric, sign in goal.others)


def layers(values_NM: ArrayLike) -> NDArray[np.int64]:
    """The layer of each trial (N,): 0 = on the front; a trial with a nan stands after all layers.

    One dominates another if it is as good in every objective and better in one.
    """
    points = np.asarray(values_NM, np.float64)
    layer_N = np.full(len(points), len(points), np.int64)
    left = np.flatnonzero(np.isfinite(points).all(-1)) if len(points) else np.arange(0)
    for layer in range(len(points)):
        if not len(left):
            break
        here = points[left]
        as_good = (here[:, None] >= here[None]).all(-1)
        better = (here[:, None] > here[None]).any(-1)
        front = ~(as_good & better).any(0)
        layer_N[left[front]] = layer
        left = left[~front]
    return layer_N


def standing(values: Sequence[Objectives]) -> list[tuple[float, ...]]:
    """Sort keys, more = better: by layer, within one by the first objective. Of one objective the
    value itself."""
    if not values or len(values[0]) == 1:
        return [tuple(value) for value in values]
    return [(-float(layer), value[0]) for layer, value in zip(layers(values), values, strict=True)]
