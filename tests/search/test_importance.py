"""What mattered: the questions that made the scores are found, and no other is blamed."""

import math

import numpy as np
import pytest

from sslsearch.search.importance import FEWEST, importance, within
from sslsearch.space.answers import Question

KIND = Question("pretext.kind", "choice", "simclr", options=("simclr", "mae"))
RATIO = Question("pretext.mae.ratio", "real", 0.5, 0.3, 0.9, condition=(("pretext.kind", "mae"),))
DEPTH = Question("pretext.mae.depth", "whole", 2, 1, 8, condition=(("pretext.kind", "mae"),))
ON = Question("augment.jitter.on", "choice", True, options=(False, True))
SIGMA = Question(
    "augment.jitter.sigma", "real", 0.1, 0.01, 1.0, True, condition=(("augment.jitter.on", True),)
)
RATE = Question("optim.lr", "real", 1e-3, 1e-4, 1e-2, True)
QUESTIONS = [KIND, RATIO, DEPTH, ON, SIGMA, RATE]


def trials(n: int, seed: int) -> tuple[list[dict], list[float]]:
    """mae is far worse than simclr; within mae its depth decides; of the rest nothing does."""
    rng = np.random.default_rng(seed)
    answers, scores = [], []
    for _ in range(n):
        said = {KIND.name: str(rng.choice(["simclr", "mae"])), ON.name: bool(rng.random() < 0.5)}
        said[RATE.name] = float(10 ** rng.uniform(-4, -2))
        score = 0.6 + 0.02 * rng.normal()
        if said[KIND.name] == "mae":
            said[RATIO.name] = float(rng.uniform(0.3, 0.9))
            said[DEPTH.name] = int(rng.integers(1, 9))
            score -= 0.3 - 0.02 * said[DEPTH.name]
        if said[ON.name]:
            said[SIGMA.name] = float(10 ** rng.uniform(-2, 0))
        answers.append(said)
        scores.append(float(score))
    return answers, scores


def test_what_made_the_scores_is_found_and_what_lives_in_a_bad_branch_is_not_blamed() -> None:
    answers, scores = trials(80, 0)
    found = {one.name: one for one in importance(QUESTIONS, answers, scores)}
    assert next(iter(found)) in (KIND.name, DEPTH.name)
    assert found[KIND.name].share > 0.6 > found[KIND.name].chance
    assert found[DEPTH.name].share > max(0.5, found[DEPTH.name].chance)
    for innocent in (RATIO, SIGMA, ON, RATE):
        assert found[innocent.name].share < 0.2, innocent.name
    assert found[RATIO.name].trials == sum(a[KIND.name] == "mae" for a in answers)
    assert found[RATIO.name].among == (("pretext.kind", "mae"),)
    assert all(w.low <= w.share <= w.high for w in found.values())


def test_where_nothing_matters_chance_is_not_beaten_often() -> None:
    answers, _ = trials(40, 1)
    rng = np.random.default_rng(2)
    beaten = told = 0
    for deal in range(4):
        found = importance(QUESTIONS, answers, list(rng.normal(size=40)), seed=deal)
        beaten += sum(one.share > one.chance for one in found)
        told += len(found)
    assert beaten <= 0.25 * told


def test_within_a_family_its_own_questions_are_told() -> None:
    answers, scores = trials(60, 3)
    found = {one.name: one for one in within(QUESTIONS, answers, scores, "mae")}
    assert max(found.values(), key=lambda w: np.nan_to_num(w.share)).name == DEPTH.name
    assert math.isnan(found[KIND.name].share)  # all trials are of one kind


@pytest.mark.parametrize("n", [0, 1, FEWEST - 1])
def test_of_few_trials_nothing_is_said(n: int) -> None:
    found = importance(QUESTIONS, *trials(n, 0))
    assert [one.name for one in found] == [q.name for q in QUESTIONS]
    assert all(math.isnan(one.share) for one in found)


def test_failed_trials_and_equal_scores_say_nothing() -> None:
    answers, scores = trials(30, 4)
    assert all(math.isnan(one.share) for one in importance(QUESTIONS, answers, [0.5] * 30))
    some = importance(QUESTIONS, [*answers, answers[0]], [*scores, math.nan])
    assert some == importance(QUESTIONS, answers, scores)
