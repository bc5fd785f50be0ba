"""What all reports so far say of a recipe at the last rung: a Gaussian process over the answers.

One process for all rungs, as in multi-task Gaussian processes (Swersky et al. 2013, Multi-Task
Bayesian Optimization, NeurIPS): covariance = likeness of the answers x likeness of the rungs + what
is of the single trial. So a trial stopped early teaches what its rung can tell, and no more.

Shapes: T = trials, N = their reports, M = recipes asked for, Q = questions of the space.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular

from sslsearch.space import Space

Floats = NDArray[np.float64]
FAMILY = "pretext.kind"
FAMILY_WEIGHT = 3.0  # squared distance between families; another answer that differs counts 1
REACHES = (1.0, 2.0, 4.0)  # distances over which likeness falls off, tried by likelihood
NOISES = (0.1, 0.3, 1.0)  # variance of a single trial in units of the answers' own
KINSHIPS = (0.7, 0.9, 0.98)  # likeness of neighbouring rungs
FLICKER = 0.02  # variance of a single report
FEWEST = 3  # reports
TINY = 1e-12  # so that equal scores have a likelihood
TUNED_ON = 200  # reports: the likelihood is taken of no more


class Cube:
    """Answers as points: each question one axis from 0 to 1, nan where it is not asked.

    Numbers lie on their axis as the space measures them (log or not), a choice among numbers by
    its place; any other choice is the same or not.
    """

    def __init__(self, space: Space) -> None:
        self.questions = space.questions()
        self.names = np.array(
            [q.kind == "choice" and isinstance(q.options[0], str) for q in self.questions]
        )
        family = [q.name == FAMILY for q in self.questions]
        self.weights_Q = np.where(family, FAMILY_WEIGHT, 1.0)

    def point(self, answers: Mapping[str, Any]) -> Floats:
        return np.array([place(q, answers.get(q.name)) for q in self.questions])

    def distances(self, a_NQ: Floats, b_MQ: Floats) -> Floats:
        """Squared distances (N, M). A question that only one of two was asked adds nothing: the
        answer that opens it differs already."""
        total = np.zeros((len(a_NQ), len(b_MQ)))
        for at, weight in enumerate(self.weights_Q):
            apart = np.abs(a_NQ[:, at, None] - b_MQ[None, :, at])
            apart = (apart > 0).astype(float) if self.names[at] else apart**2
            both = ~np.isnan(a_NQ[:, at, None]) & ~np.isnan(b_MQ[None, :, at])
            total += weight * np.where(both, apart, 0.0)
        return total


def place(question: Any, answer: Any) -> float:
    """Where on its axis an answer lies, from 0 to 1; nan where the question is not asked."""
    if answer is None:
        return math.nan
    if question.kind == "choice":
        return float(question.options.index(answer) / max(1, len(question.options) - 1))
    low, high, at = float(question.low), float(question.high), float(answer)
    if question.log:
        low, high, at = math.log(low), math.log(high), math.log(at)
    return (at - low) / (high - low) if high > low else 0.0


@dataclass(frozen=True)
class Reports:
    """Scores as they came in.

    Attributes:
        points_TQ: the trials' answers.
        trials_N: place in `points_TQ` of the trial that each report is of.
        rungs_N: the report's rung.
        scores_N: its score.
    """

    points_TQ: Floats
    trials_N: NDArray[np.int64]
    rungs_N: NDArray[np.int64]
    scores_N: Floats


class Surrogate:
    """The process, conditioned on the reports. Needs FEWEST of them.

    Args:
        last: the rung that is asked for, counted from 0.
    """

    def __init__(
        self,
        cube: Cube,
        reports: Reports,
        last: int,
        settings: tuple[float, float, float] | None = None,
    ) -> None:
        self.cube, self.seen, self.last = cube, reports, last
        self.level_R = _levels(reports, last)
        rest_N = reports.scores_N - self.level_R[reports.rungs_N]
        self.shift, self.scale = float(np.median(rest_N)), float(np.std(rest_N)) or 1.0
        self.rest_N = np.clip((rest_N - self.shift) / self.scale, -3.0, 3.0)
        apart_TT = cube.distances(reports.points_TQ, reports.points_TQ)
        self.apart_NN = apart_TT[np.ix_(reports.trials_N, reports.trials_N)]
        self.kin_NN = np.abs(reports.rungs_N[:, None] - reports.rungs_N[None])
        self.own_NN = (reports.trials_N[:, None] == reports.trials_N[None]).astype(float)
        self.reach, self.noise, self.kinship = settings or self._tune()
        everything = np.arange(len(rest_N))
        self.lower = cholesky(self._covariance(everything), lower=True)
        self.weight_N = cho_solve((self.lower, True), self.rest_N)

    def _tune(self) -> tuple[float, float, float]:
        some = np.linspace(0, len(self.rest_N) - 1, min(TUNED_ON, len(self.rest_N))).astype(int)
        best = (-math.inf, (2.0, 0.3, 0.9))
        for settings in itertools.product(REACHES, NOISES, KINSHIPS):
            self.reach, self.noise, self.kinship = settings
            lower = cholesky(self._covariance(some), lower=True)
            whitened = solve_triangular(lower, self.rest_N[some], lower=True)
            n = len(some)
            # the overall variance is the one that fits best, in closed form
            likelihood = -np.log(np.diag(lower)).sum() - n / 2 * np.log(np.mean(whitened**2) + TINY)
            best = max(best, (float(likelihood), settings))
        return best[1]

    def _covariance(self, at: NDArray[np.int64]) -> Floats:
        grid = np.ix_(at, at)
        kin = self.kinship ** self.kin_NN[grid]
        like = np.exp(-self.apart_NN[grid] / (2 * self.reach**2)) + self.noise * self.own_NN[grid]
        covariance: Floats = kin * like + FLICKER * np.eye(len(at))
        return covariance

    def predict(self, points_MQ: Floats) -> tuple[Floats, Floats]:
        """Mean and deviation of the recipes' worth at the last rung, without a trial's own luck."""
        apart_MT = self.cube.distances(points_MQ, self.seen.points_TQ)
        kin_N = self.kinship ** (self.last - self.seen.rungs_N)
        like_MT = np.exp(-apart_MT / (2 * self.reach**2))
        cross_MN = kin_N * like_MT[:, self.seen.trials_N]
        mean_M = cross_MN @ self.weight_N
        half = solve_triangular(self.lower, cross_MN.T, lower=True)
        spread_M = np.sqrt(np.clip(1.0 - (half**2).sum(0), 1e-9, None))
        level = self.level_R[self.last] + self.shift
        return level + self.scale * mean_M, self.scale * spread_M

    def worth(self, own: float) -> Floats:
        """Of each trial at the last rung: what its answers explain, and a share of the rest."""
        mean_T, _ = self.predict(self.seen.points_TQ)
        kin_N = self.kinship ** (self.last - self.seen.rungs_N)
        luck_T = np.bincount(
            self.seen.trials_N, self.noise * kin_N * self.weight_N, len(self.seen.points_TQ)
        )
        return mean_T + own * self.scale * luck_T


def _levels(reports: Reports, last: int) -> Floats:
    """What a trial gains from rung to rung in the mean of those that were seen at both."""
    level_R = np.zeros(last + 1)
    by_rung = [
        dict(zip(reports.trials_N[at], reports.scores_N[at], strict=True))
        for at in (reports.rungs_N == rung for rung in range(last + 1))
    ]
    for rung in range(1, last + 1):
        both = by_rung[rung].keys() & by_rung[rung - 1].keys()
        gains = [by_rung[rung][trial] - by_rung[rung - 1][trial] for trial in sorted(both)]
        level_R[rung] = level_R[rung - 1] + (float(np.mean(gains)) if gains else 0.0)
    return level_R
