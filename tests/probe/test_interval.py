"""Intervals hold what they promise: their coverage on simulated seeds and test samples."""

from __future__ import annotations

import numpy as np
import pytest

from sslsearch.probe.interval import mean_interval, paired_difference, ratio_interval, wilson


def test_wilson_at_the_edges() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(0, 10)[0] == 0.0
    assert wilson(10, 10)[1] == pytest.approx(1.0)
    assert wilson(10, 10)[0] == pytest.approx(1 - wilson(0, 10)[1])
    with pytest.raises(ValueError, match="0 <= k <= n"):
        wilson(11, 10)


def test_mean_interval_is_students() -> None:
    mean, low, high = mean_interval([0.7, 0.8, 0.9])
    assert mean == pytest.approx(0.8)
    assert high - mean == pytest.approx(4.302653 * 0.1 / 3**0.5, rel=1e-6)
    assert mean - low == pytest.approx(high - mean)
    assert np.isnan(mean_interval([0.5])[1])
    with pytest.raises(ValueError, match="at least one"):
        mean_interval([])


def test_ratio_interval_counts_groups_once() -> None:
    values, group = np.repeat([0.0, 1.0, 1.0, 0.0], 25), np.repeat(np.arange(4), 25)
    alone = ratio_interval(np.array([0.0, 1.0, 1.0, 0.0]), np.ones(4))
    grouped = ratio_interval(values, np.ones(100), group)
    assert grouped == pytest.approx(alone)
    assert grouped.high - grouped.low > 3 * np.subtract(
        *ratio_interval(values, np.ones(100))[2:0:-1]
    )


@pytest.mark.parametrize(("seed_sd", "hardness_sd"), [(0.5, 0.5), (0.0, 1.0), (1.0, 0.0)])
def test_difference_covers_both_kinds_of_noise(seed_sd: float, hardness_sd: float) -> None:
    """Three seeds each, 60 test samples: the truth lies inside about 95 % of the time."""
    rng, inside, trials = np.random.default_rng(0), 0, 400
    for _ in range(trials):
        hard_N, taste_N = hardness_sd * rng.normal(size=(2, 60))
        a, b = (seed_sd * rng.normal(size=(3, 1)) + hard_N + rng.normal(size=(3, 60)) for _ in "ab")
        found = paired_difference(a + 0.3 + taste_N, b)
        inside += found.low <= 0.3 <= found.high
    assert 0.92 <= inside / trials <= 1.0


def test_pairing_takes_the_samples_hardness_out() -> None:
    rng = np.random.default_rng(0)
    hard = rng.random(200) < 0.5
    a = np.stack([hard | (rng.random(200) < 0.1) for _ in range(8)])
    found = paired_difference(a, np.stack([hard] * 8))
    assert 0 < found.low < found.mean < found.high
    assert found.se_samples < (0.25 / 200) ** 0.5 / 2  # half that of one share alone


def test_difference_with_one_seed_and_with_none_at_all() -> None:
    a, b = np.ones((1, 20)), np.zeros((3, 20))
    found = paired_difference(a, b)
    assert np.isnan(found.se_seeds)
    assert found[:3] == (1.0, 1.0, 1.0)
    assert paired_difference(b, b)[:3] == (0.0, 0.0, 0.0)
    with pytest.raises(ValueError, match="same test samples"):
        paired_difference(a, b[:, :5])


def test_difference_over_groups_of_samples_is_wider() -> None:
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(10), 10)
    a = rng.normal(size=(3, 10))[:1].repeat(3, 0)[:, group] + 0.1 * rng.normal(size=(3, 100))
    plain = paired_difference(a, np.zeros((3, 100)))
    grouped = paired_difference(a, np.zeros((3, 100)), group)
    assert grouped.mean == pytest.approx(plain.mean)
    assert grouped.high - grouped.low > 2 * (plain.high - plain.low)
