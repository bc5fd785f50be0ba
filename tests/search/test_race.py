"""Racing: who gets another seed."""

import numpy as np

from sslsearch.search.race import in_the_race


def test_all_stay_until_the_scatter_is_known() -> None:
    assert in_the_race({"a": [0.9], "b": [0.1], "c": []}) == {"a", "b", "c"}


def test_who_is_far_behind_leaves_and_who_is_near_stays() -> None:
    scores = {"a": [0.90, 0.92], "b": [0.89, 0.91], "c": [0.50, 0.52]}
    assert in_the_race(scores) == {"a", "b"}


def test_a_wide_scatter_keeps_everybody() -> None:
    assert in_the_race({"a": [0.9, 0.1], "b": [0.3, 0.5]}) == {"a", "b"}


def test_a_failed_seed_is_no_score() -> None:
    scores = {"a": [0.90, 0.92, float("nan")], "b": [0.50, 0.51], "c": [float("nan")]}
    assert in_the_race(scores) == {"a", "c"}


def test_the_best_rarely_leaves() -> None:
    """Five equal recipes and one that is better by a standard deviation, 300 races of 2 seeds."""
    rng = np.random.default_rng(0)
    lost = 0
    for _ in range(300):
        scores = {str(i): rng.normal(float(i == 0), 1.0, size=2) for i in range(6)}
        lost += "0" not in in_the_race(scores)
    assert lost < 0.05 * 300
