"""Optuna samplers by name, what they remember, and how Optuna answers a space's questions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState

FORGETS_AT = 400  # trials of the search that the sampler's copy holds: then it is thinned
REMEMBERED = 200  # trials that thinning leaves


def make_sampler(name: str, seed: int) -> optuna.samplers.BaseSampler:
    """tpe, random, gp or qmc.

    TPE models the questions that always occur together as one group (`group`), so conditional
    branches are not thrown out of the joint model, and keeps running trials apart
    (`constant_liar`). Bergstra et al. 2011; Falkner et al. 2018, arXiv:1807.01774.
    """
    match name:
        case "tpe":
            return optuna.samplers.TPESampler(
                multivariate=True, group=True, constant_liar=True, seed=seed, n_startup_trials=8
            )
        case "random":
            return optuna.samplers.RandomSampler(seed=seed)
        case "gp":
            return optuna.samplers.GPSampler(seed=seed, warn_independent_sampling=False)
        case "qmc":
            return optuna.samplers.QMCSampler(
                scramble=True, seed=seed, warn_independent_sampling=False
            )
    raise ValueError(f"unknown sampler {name!r}; known: tpe, random, gp, qmc")


class OptunaAsk:
    """Answers by asking an Optuna trial: define-by-run."""

    def __init__(self, trial: optuna.Trial) -> None:
        self.trial = trial

    def real(self, name: str, low: float, high: float, log: bool) -> float:
        return self.trial.suggest_float(name, low, high, log=log)

    def whole(self, name: str, low: int, high: int, log: bool) -> int:
        return self.trial.suggest_int(name, low, high, log=log)

    def choice(self, name: str, options: tuple[Any, ...]) -> Any:
        return self.trial.suggest_categorical(name, options)


class DistributionAsk:
    """Gives known answers and notes the distribution that each came from."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self.answers = answers
        self.params: dict[str, Any] = {}
        self.distributions: dict[str, BaseDistribution] = {}

    def real(self, name: str, low: float, high: float, log: bool) -> float:
        return float(self._note(name, FloatDistribution(low, high, log=log)))

    def whole(self, name: str, low: int, high: int, log: bool) -> int:
        return int(self._note(name, IntDistribution(low, high, log=log)))

    def choice(self, name: str, options: tuple[Any, ...]) -> Any:
        return self._note(name, CategoricalDistribution(options))

    def _note(self, name: str, distribution: BaseDistribution) -> Any:
        self.params[name] = self.answers[name]
        self.distributions[name] = distribution
        return self.answers[name]


def remembered(trials: list[FrozenTrial]) -> list[FrozenTrial]:
    """Of the trials that are over half the REMEMBERED by merit and half by youth; all others.

    TPE models no more than 25 as good and all the rest as one crowd, of which the newest tell
    enough. By merit: full-length trials by their score, then the others by rung and score.
    """
    over = [trial for trial in trials if trial.state.is_finished()]
    best = sorted(over, key=_merit, reverse=True)[: REMEMBERED // 2]
    newest = over[-(REMEMBERED // 2) :]
    kept = {trial.number for trial in (*best, *newest)}
    return [t for t in trials if t.number in kept or not t.state.is_finished()]


def _merit(trial: FrozenTrial) -> tuple[float, float]:
    if trial.state is TrialState.COMPLETE and trial.values:
        return math.inf, trial.values[0]
    rung = max(trial.intermediate_values, default=-1)
    return rung, trial.intermediate_values.get(rung, -math.inf)
