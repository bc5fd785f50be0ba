"""What mattered: the share of the scores' variance that each question of a space explains.

fANOVA: Hutter et al. 2014, An Efficient Approach for Assessing Hyperparameter Importance, ICML
(PMLR 32:754): the variance of a random forest's marginal prediction, over that of its prediction.

A question that is asked in some branches only (a masking ratio lives where mae does) is judged
among the trials in which it was asked, beside everything else that was asked in all of those. So
it is never blamed for what its branch does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from sslsearch.search.surrogate import FAMILY, place
from sslsearch.space.answers import Condition, Question
from sslsearch.space.nodes import Scalar

Floats = NDArray[np.float64]
Answers = Mapping[str, Scalar]
FEWEST = 10  # trials in which a question must have been asked
MOST = 200  # trials that are modelled, evenly spaced among those there are
TREES = 32  # each grown on a bootstrap sample of the trials: their spread is the interval
DEALS, DEALT_TREES = 12, 2  # how often scores are dealt out anew, and trees for each deal
DEPTH = 6  # of a tree
OUTLYING = 3.0  # standard deviations from the median at which a score is cut


@dataclass(frozen=True)
class Weight:
    """What a question explains.

    Attributes:
        among: the answers under which it is asked; empty: in all trials.
        trials: in which it was asked.
        share: of the variance among those trials, 0 to 1; nan where FEWEST are not reached or all
            answers are the same.
        low, high: 95 % interval over bootstrap samples of the trials.
        chance: what it would explain in 1 of 20 studies in which it has no effect at all.
    """

    name: str
    among: Condition
    trials: int
    share: float = math.nan
    low: float = math.nan
    high: float = math.nan
    chance: float = math.nan


def importance(
    questions: Sequence[Question],
    answers: Sequence[Answers],
    scores: Sequence[float],
    seed: int = 0,
) -> list[Weight]:
    """What each question explains, the weightiest first; scores must compare (see `levelled`).

    Args:
        answers: of each trial, to the questions that it was asked.
    """
    known = [at for at, score in enumerate(scores) if math.isfinite(score)]
    if len(known) > MOST:
        known = [known[int(at)] for at in np.linspace(0, len(known) - 1, MOST)]
    groups: dict[Condition, _Group] = {}
    for question in questions:
        if question.condition not in groups:
            alive = [at for at in known if question.name in answers[at]]
            scores_N = np.array([scores[at] for at in alive])
            said = [answers[at] for at in alive]
            groups[question.condition] = _Group(questions, said, scores_N, seed)
    found = [groups[question.condition].weight(question) for question in questions]
    return sorted(found, key=lambda one: -one.share if math.isfinite(one.share) else 1.0)


def within(
    questions: Sequence[Question],
    answers: Sequence[Answers],
    scores: Sequence[float],
    family: str,
    seed: int = 0,
) -> list[Weight]:
    """As `importance`, among the trials of one pretext family: what matters once it is chosen."""
    own = [at for at, said in enumerate(answers) if said.get(FAMILY) == family]
    return importance(questions, [answers[at] for at in own], [scores[at] for at in own], seed)


class _Group:
    """Trials that were all asked the same questions (and perhaps others)."""

    def __init__(
        self, questions: Sequence[Question], answers: list[Answers], scores_N: Floats, seed: int
    ) -> None:
        self.trials, self.seed = len(answers), seed
        shared = [q for q in questions if all(q.name in said for said in answers)]
        self.varied = [q for q in shared if len({said[q.name] for said in answers}) > 1]
        self.shares: dict[str, list[float]] = {}  # of each tree
        self.chance: dict[str, float] = {}
        if self.trials < FEWEST or not self.varied or not np.ptp(scores_N):
            return
        self.study = _study(self.varied, answers)
        spread, middle = OUTLYING * float(np.std(scores_N)), float(np.median(scores_N))
        scores_N = np.clip(scores_N, middle - spread, middle + spread)
        trees = [self._tree(scores_N, seed + tree) for tree in range(TREES)]
        self.shares = {q.name: [tree[q.name] for tree in trees] for q in self.varied}
        self._deal(scores_N, np.array([str(said.get(FAMILY)) for said in answers]))

    def weight(self, question: Question) -> Weight:
        shares = self.shares.get(question.name)
        if shares is None:
            return Weight(question.name, question.condition, self.trials)
        low, high = map(float, np.quantile(shares, [0.025, 0.975]))
        mean, chance = float(np.mean(shares)), self.chance[question.name]
        return Weight(question.name, question.condition, self.trials, mean, low, high, chance)

    def _deal(self, scores_N: Floats, family_N: NDArray[np.str_]) -> None:
        """The 95th percentile of each share where scores are dealt out anew: among all trials for
        the family, within each family for every other question, so that what the family does
        neither hides them nor is taken for them."""
        rng = np.random.default_rng(self.seed)
        whole = [np.arange(self.trials)]
        apart = [np.flatnonzero(family_N == name) for name in np.unique(family_N)]
        for parts in [apart, whole] if len(apart) > 1 else [whole]:
            dealt = [self._dealt(scores_N, parts, rng, deal) for deal in range(DEALS)]
            asked = [q.name for q in self.varied if parts is not whole or q.name == FAMILY]
            for name in asked if len(apart) > 1 else [q.name for q in self.varied]:
                self.chance[name] = float(np.quantile([one[name] for one in dealt], 0.95))

    def _dealt(
        self,
        scores_N: Floats,
        parts: list[NDArray[np.int64]],
        rng: np.random.Generator,
        deal: int,
    ) -> dict[str, float]:
        dealt_N = scores_N.copy()
        for rows in parts:
            dealt_N[rows] = rng.permutation(scores_N[rows])
        trees = [
            self._tree(dealt_N, self.seed + DEALT_TREES * deal + i) for i in range(DEALT_TREES)
        ]
        return {q.name: float(np.mean([tree[q.name] for tree in trees])) for q in self.varied}

    def _tree(self, scores_N: Floats, seed: int) -> dict[str, float]:
        """What one tree says, grown on a bootstrap sample of the trials."""
        evaluator = optuna.importance.FanovaImportanceEvaluator(
            n_trees=1, max_depth=DEPTH, seed=seed
        )
        with np.errstate(invalid="ignore", divide="ignore"):
            found = evaluator.evaluate(self.study, target=lambda trial: scores_N[trial.number])
        return {name: float(np.nan_to_num(share)) for name, share in found.items()}


def _study(questions: Sequence[Question], answers: Sequence[Answers]) -> optuna.Study:
    """The trials as Optuna knows them, numbers by their place on their axis (log or not)."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study()
    for said in answers:
        trial = optuna.trial.create_trial(
            params={q.name: _answer(q, said[q.name]) for q in questions},
            distributions={q.name: _distribution(q) for q in questions},
            value=0.0,
        )
        study.add_trial(trial)
    return study


def _is_named(question: Question) -> bool:
    """Is it a choice whose options have no order?"""
    return question.kind == "choice" and not all(
        isinstance(option, int | float) for option in question.options
    )


def _distribution(question: Question) -> BaseDistribution:
    if _is_named(question):
        return CategoricalDistribution(question.options)
    return FloatDistribution(0.0, 1.0)


def _answer(question: Question, said: Scalar) -> Scalar:
    return said if _is_named(question) else place(question, said)
