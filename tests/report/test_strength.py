"""Curves of knobs, and what was not tried."""

import numpy as np
import pytest
from made_studies import AXES, SIGMA, lessons, random_trials, told

from sslsearch.report.strength import smooth, strengths
from sslsearch.report.unseen import gaps, pairs, tried


def test_a_line_is_the_local_least_squares_fit() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.random(30), rng.normal(size=30)
    grid = np.array([0.2, 0.7])
    found = smooth(x, 3 * x + 1, grid, np.ones((1, 30)))[0]
    assert found == pytest.approx(3 * grid + 1, abs=0.15)  # a line stays a line, but for the ridge
    twice = smooth(np.tile(x, 2), np.tile(y, 2), grid, np.ones((1, 60)))
    assert smooth(x, y, grid, np.full((1, 30), 2.0)) == pytest.approx(twice)  # counts are copies


def test_the_best_strength_is_where_the_line_is_highest() -> None:
    known = {one.axis.name: one for one in strengths(lessons(random_trials(80, peak=0.7)), "t0003")}
    sigma = known["augment.jitter.sigma"]
    best = max(sigma.line, key=lambda row: row[1])
    assert SIGMA.place(best[0]) == pytest.approx(0.7, abs=0.15)
    assert all(low <= mean <= high for _, mean, low, high in sigma.line[5:-5])
    assert sigma.best == next(x for x in [sigma.best] if x is not None)
    # temperature does nothing: a level line lies within its band nearly everywhere
    flat = known["pretext.simclr.temperature"]
    inside = [low <= 0.0 <= high for _, _, low, high in flat.line]
    assert np.mean(inside) > 0.7
    assert {family for _, _, family in flat.points} == {"simclr"}


def test_few_points_have_no_line() -> None:
    known = strengths(lessons(random_trials(5)))
    assert known
    assert all(not one.line for one in known)
    assert strengths(lessons([])) == []


def test_gaps_are_stretches_that_are_no_accident() -> None:
    assert gaps([]) == [(0.0, 1.0)]
    assert gaps([0.1 * i for i in range(11)]) == []
    assert gaps(sorted([0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.9, 1.0] * 3)) == [(0.25, 0.9)]
    assert gaps([0.5, 0.6]) == []  # two trials leave stretches by accident


def test_what_was_never_drawn_is_named() -> None:
    known = lessons(random_trials(30))
    by_name = {one.axis.name: one for one in tried(known)}
    assert by_name["pretext.kind"].never == ["byol"]
    assert by_name["optim.batch_size"].never == [64]
    assert by_name["augment.jitter.on"].never == [False]
    assert by_name["pretext.simclr.temperature"].among == "of simclr"
    assert by_name["pretext.simclr.temperature"].trials == sum(
        one.family == "simclr" for one in known.trials
    )
    assert ("byol", "jitter") in pairs(known).never
    assert ("simclr", "jitter") not in pairs(known).never


def test_a_gap_is_told_in_the_knobs_own_unit() -> None:
    made = [
        told(f"t{i}", "mae", [0.5], augment__jitter__on=True, augment__jitter__sigma=value)
        for i, value in enumerate(np.geomspace(0.01, 0.05, 20))
    ]
    (sigma,) = [one for one in tried(lessons(made)) if one.axis is SIGMA]
    ((low, high),) = sigma.spans
    assert (low, high) == pytest.approx((0.05, 0.5))
    assert len(tried(lessons(made))) == len(AXES)
