"""How much of it: the score against each numeric knob, as points and a smooth line with its band.

Scores are levelled (effects.py) and taken from the mean of their pretext family: between families
the knob is not what differs. The line is a local linear fit with Gaussian weights (Cleveland 1979,
Robust Locally Weighted Regression, without its robust steps); its band holds 95 % of the lines
fitted to bootstrap samples of the trials.

Shapes: N = trials, G = places of the line, K = bootstrap samples.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sslsearch.report.answers import Axis, Lessons

Floats = NDArray[np.float64]
FEWEST, DIFFERENT = 8, 5  # trials, and values among them, for a line
REACH = 0.18  # of the weights, as a share of the range that was tried
PLACES, DRAWS = 41, 200
TINY = 1e-9


@dataclass(frozen=True)
class Strength:
    """A knob's points; the line is empty where trials are too few.

    Attributes:
        points: (value, score from its family's mean, family).
        best: the value of the best full-length trial that has the knob; None where there is none.
        line: (value, mean, low, high).
    """

    axis: Axis
    points: Sequence[tuple[float, float, str]]
    best: float | None = None
    line: Sequence[tuple[float, float, float, float]] = ()


def strengths(lessons: Lessons, best: str = "") -> list[Strength]:
    """Of every numeric knob that was tried at two values or more; in the order of the space.

    best: the id of the trial whose values are marked.
    """
    centred = centred_scores(lessons)
    marked = next((one.answers for one in lessons.trials if one.id == best), {})
    found = []
    for axis in lessons.axes:
        if not axis.is_number or axis.name.endswith(".place"):
            continue
        points = [
            (float(one.answers[axis.name]), centred[one.id], one.family)
            for one in lessons.trials
            if axis.name in one.answers and one.id in centred
        ]
        if len({x for x, _, _ in points}) > 1:
            found.append(Strength(axis, points, marked.get(axis.name), _line(axis, points)))
    return found


def centred_scores(lessons: Lessons) -> dict[str, float]:
    """By trial: the levelled score less the mean of its pretext family."""
    at, families = lessons.levelled, defaultdict(list)
    for one in lessons.trials:
        if one.id in at:
            families[one.family].append(at[one.id])
    return {
        one.id: at[one.id] - float(np.mean(families[one.family]))
        for one in lessons.trials
        if one.id in at
    }


def _line(
    axis: Axis, points: Sequence[tuple[float, float, str]]
) -> list[tuple[float, float, float, float]]:
    if len(points) < FEWEST or len({x for x, _, _ in points}) < DIFFERENT:
        return []
    x_N = np.array([axis.place(x) for x, _, _ in points])
    y_N = np.array([y for _, y, _ in points])
    grid_G = np.linspace(x_N.min(), x_N.max(), PLACES)
    rng = np.random.default_rng(0)
    counts_KN = rng.multinomial(len(x_N), np.full(len(x_N), 1 / len(x_N)), size=DRAWS)
    mean_G = smooth(x_N, y_N, grid_G, np.ones((1, len(x_N))))[0]
    low_G, high_G = np.quantile(smooth(x_N, y_N, grid_G, counts_KN), [0.025, 0.975], axis=0)
    rows = zip(grid_G, mean_G, low_G, high_G, strict=True)
    return [(axis.at(float(x)), float(y), float(low), float(high)) for x, y, low, high in rows]


def smooth(x_N: Floats, y_N: Floats, grid_G: Floats, counts_KN: NDArray[np.number]) -> Floats:
    """(K, G): the local linear fit at each place, each trial counted as often as counts say."""
    reach = REACH * max(float(np.ptp(x_N)), TINY)
    apart_GN = (x_N[None] - grid_G[:, None]) / reach
    weight_KGN = counts_KN[:, None] * np.exp(-0.5 * apart_GN**2)
    s0, s1, s2 = ((weight_KGN * apart_GN**power).sum(-1) for power in range(3))
    t0, t1 = ((weight_KGN * apart_GN**power * y_N).sum(-1) for power in range(2))
    # a small ridge on the slope: where all weight lies at one place the fit is their mean
    s2 = s2 + TINY + 0.05 * s0
    fit_KG: Floats = (s2 * t0 - s1 * t1) / np.maximum(s0 * s2 - s1**2, TINY)
    return fit_KG
