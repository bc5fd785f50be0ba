"""What a part did: levelled scores, differences within families, intervals."""

import math

import numpy as np
import pytest
from scipy.stats import ttest_ind

from sslsearch.report.effects import Trial, effect, effects, levelled, levels


def test_a_trial_that_was_stopped_is_levelled_by_what_others_gained() -> None:
    ran = [{0: 0.4, 1: 0.5, 2: 0.7}, {0: 0.5, 1: 0.7, 2: 0.8}]
    found = levelled([*ran, {0: 0.3}, {0: 0.2, 1: 0.3}, {}, {0: math.nan}])
    # from rung 0 to 1 the three that were seen at both gained 0.4/3, from 1 to 2 two gained 0.15
    assert found[:4] == pytest.approx([0.7, 0.8, 0.3 + 0.4 / 3 + 0.15, 0.3 + 0.15])
    assert all(map(math.isnan, found[4:]))
    assert levelled([]) == []


def trials(family: str, inside: list[float], outside: list[float]) -> list[Trial]:
    made = [Trial(family, frozenset(["jitter"]), y) for y in inside]
    return made + [Trial(family, frozenset(), y) for y in outside]


def test_of_one_family_it_is_students_t() -> None:
    rng = np.random.default_rng(0)
    a, b = list(rng.normal(0.6, 0.05, 9)), list(rng.normal(0.5, 0.05, 14))
    found = effect("jitter", trials("mae", a, b))
    known = ttest_ind(a, b).confidence_interval(0.95)
    assert found is not None
    assert found.difference == pytest.approx(np.mean(a) - np.mean(b))
    assert (found.low, found.high) == pytest.approx((known.low, known.high))


def test_an_augmentation_gets_no_credit_for_the_pretext_it_was_tried_with() -> None:
    """As least squares with a level for each family says."""
    rng = np.random.default_rng(1)
    good = trials("simclr", list(0.8 + 0.02 * rng.normal(size=12)), [0.81, 0.79, 0.8])
    bad = trials("mae", [0.3, 0.31], list(0.3 + 0.02 * rng.normal(size=10)))
    (found,) = effects(good + bad)
    rows = [[t.family == "simclr", t.family == "mae", "jitter" in t.parts] for t in good + bad]
    y = np.array([t.score for t in good + bad])
    coef, *_ = np.linalg.lstsq(np.array(rows, float), y, rcond=None)
    assert found.difference == pytest.approx(coef[2])
    assert found.mean_with - found.mean_without > 0.2  # what a naive comparison would say
    assert found.low < 0 < found.high
    assert set(found.by_family) == {"simclr", "mae"}
    assert found.by_family["mae"].trials_with == 2


def test_what_all_have_or_none_cannot_be_compared() -> None:
    assert effects(trials("mae", [0.5, 0.6], [])) == []
    lone = effect("jitter", trials("mae", [0.5], [0.6]))
    assert lone is not None
    assert lone.difference == pytest.approx(-0.1)
    assert math.isnan(lone.low)


def test_choices_are_compared_with_all_others() -> None:
    made = [
        Trial(f, frozenset([f]), y) for f, y in (("a", 0.9), ("a", 0.8), ("b", 0.5), ("b", 0.4))
    ]
    found = levels(made)
    assert [one.name for one in found] == ["a", "b"]
    assert found[0].difference == pytest.approx(0.4)
    assert found[0].by_family == {}
