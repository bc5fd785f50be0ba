"""Optuna samplers by name, and the two ways in which Optuna answers a space's questions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)


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
