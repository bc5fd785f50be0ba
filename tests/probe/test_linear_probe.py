"""The linear probe on separable, random, grouped, tiny and broken inputs."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch

from sslsearch import registry
from sslsearch.probe.base import FittedProbe
from sslsearch.probe.knn import Knn
from sslsearch.probe.linear import Linear, group_folds

METRICS = {"accuracy", "balanced_accuracy", "macro_f1", "log_loss", "r2"}


def blobs(n: int, d: int, k: int, apart: float, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % k
    centres = torch.randn(k, d, generator=torch.Generator().manual_seed(99))
    return torch.randn(n, d, generator=rng) + apart * centres[labels], labels


@pytest.mark.parametrize("probe", [Linear(), Knn()])
@pytest.mark.parametrize("d", [16, 200])
def test_separable_classes_are_told_apart(probe: Linear | Knn, d: int) -> None:
    x, y = blobs(90, d, 3, 6.0)
    scores = probe.rung(x, y)
    assert set(scores.values) == METRICS
    assert scores.values["accuracy"] == 1.0
    assert scores.values["r2"] > 0.8
    assert scores.values["log_loss"] < 0.2
    assert scores.low["accuracy"] < 1.0 == scores.high["accuracy"]
    held_out = probe.final(x, y).score(*blobs(60, d, 3, 6.0, seed=1))
    assert set(held_out.values) == METRICS
    assert held_out.values["accuracy"] == 1.0


@pytest.mark.parametrize("d", [4, 40, 300])
def test_random_labels_score_at_chance(d: int) -> None:
    """Averaged over draws: neither above chance (a leak) nor, as plain leave-one-out, below it."""
    seen = []
    for seed in range(30):
        x, y = blobs(60, d, 3, 0.0, seed)
        scores = Linear().rung(x, y)
        seen.append([scores.values[m] for m in ("accuracy", "r2", "log_loss")])
    accuracy, r2, loss = np.mean(seen, 0)
    assert 0.26 < accuracy < 0.41
    assert -0.1 < r2 <= 0.01
    assert 0.97 * np.log(3) < loss < 1.1 * np.log(3)


def test_features_that_say_nothing_score_the_majority() -> None:
    x, y = torch.ones(30, 4), torch.tensor([0] * 18 + [1] * 12)
    scores = Linear().rung(x, y)
    assert scores.values["accuracy"] == pytest.approx(0.6)
    assert scores.values["balanced_accuracy"] == pytest.approx(0.5)
    assert scores.values["r2"] == pytest.approx(1 - (30 / 29) ** 2)
    assert Linear().final(x, y).score(x, y).values["accuracy"] == pytest.approx(0.6)


def test_scale_and_shift_of_features_do_not_matter() -> None:
    x, y = blobs(50, 10, 3, 0.5)
    moved = x.double() * torch.logspace(-3, 3, 10) + 100 * torch.arange(10)
    moved = torch.cat([moved, torch.full((50, 1), 0.1)], 1)  # dead: no say
    plain, other = Linear().rung(x, y), Linear().rung(moved, y)
    assert other.values == pytest.approx(plain.values, abs=1e-4)


def test_labels_may_be_any_numbers_and_new_ones_count_as_wrong() -> None:
    x, y = blobs(60, 8, 3, 5.0)
    names = torch.tensor([7, 40, 3])[y]
    fitted = Linear().final(x, names)
    assert fitted.classes == [3, 7, 40]
    assert fitted.score(x, names).values["accuracy"] == 1.0
    strange = names.clone()
    strange[:15] = 5
    scores = fitted.score(x, strange)
    assert scores.values["accuracy"] == pytest.approx(0.75)
    assert np.isfinite(list(scores.values.values())).all()


def test_group_folds_keep_groups_whole_and_classes_spread() -> None:
    rng = np.random.default_rng(0)
    group = rng.integers(0, 23, 300)
    code = (group % 3 + (rng.random(300) < 0.3)) % 3  # groups lean to a class
    fold = group_folds(code, group, 5)
    assert set(fold) == set(range(5))
    for g in range(23):
        assert len(set(fold[group == g])) == 1
    for f in range(5):
        assert np.all(np.bincount(code[fold == f], minlength=3) >= 10)


def test_groups_do_not_leak() -> None:
    """Features know the group only, labels are the group's: without leaks that is chance."""
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(30), 6)
    label_of = rng.permutation(np.arange(30) % 2)
    x = np.eye(30)[group] + 0.01 * rng.normal(size=(180, 30))
    y = label_of[group]
    leaky, fair = Linear().rung(x, y), Linear().rung(x, y, group)
    assert leaky.values["accuracy"] > 0.95
    assert fair.values["accuracy"] < 0.7
    assert fair.values["r2"] < 0.1
    assert fair.settings["cv"] == "5 folds by group"
    assert Knn().rung(x, y, group).values["accuracy"] < 0.7


def test_intervals_are_wider_over_groups() -> None:
    x, y = blobs(120, 6, 2, 0.4)
    group = torch.arange(120) // 12
    x = x + torch.randn(10, 6, generator=torch.Generator().manual_seed(5))[group]
    plain, grouped = Linear().rung(x, y), Linear().rung(x, y, group)
    for scores in (plain, grouped):
        for metric in ("accuracy", "r2", "log_loss", "balanced_accuracy"):
            assert scores.low[metric] < scores.values[metric] < scores.high[metric]
    assert grouped.high["log_loss"] - grouped.low["log_loss"] > 0


@pytest.mark.parametrize("per_class", [1, 2, 3])
@pytest.mark.parametrize("d", [3, 64])
def test_very_few_labels(per_class: int, d: int) -> None:
    x, y = blobs(3 * per_class, d, 3, 3.0)
    scores = Linear().rung(x, y)
    assert np.isfinite(list(scores.values.values())).all()
    fitted = Linear().final(x, y)
    assert fitted.settings["folds"] == (per_class if per_class > 1 else 0)
    assert fitted.score(*blobs(60, d, 3, 3.0, seed=1)).values["accuracy"] > 0.6


def test_width_alone_decides_the_final_head() -> None:
    for n in (12, 40):
        assert Linear(wide=50).final(*blobs(n, 50, 2, 1.0)).settings["head"] == "logistic"
        assert Linear(wide=50).final(*blobs(n, 51, 2, 1.0)).settings["head"] == "ridge"


def test_same_input_same_scores() -> None:
    x, y = blobs(60, 20, 3, 0.5)
    assert Linear().rung(x, y) == Linear().rung(x, y)
    assert Linear().final(x, y) == Linear().final(x, y)


def test_settings_tell_how_to_reproduce_it() -> None:
    x, y = blobs(60, 20, 3, 0.5)
    settings = Linear(alpha_steps=5).rung(x, y).settings
    assert settings["alphas"] == {"low": 1e-2, "high": 1e6, "steps": 5}
    assert {"name", "version", "alpha", "n", "d", "cv"} <= set(settings)


@pytest.mark.parametrize("probe", [Linear(), Knn()])
def test_input_that_cannot_be_judged(probe: Linear | Knn) -> None:
    x, y = blobs(12, 4, 2, 1.0)
    with pytest.raises(ValueError, match="at least 2"):
        probe.rung(x, torch.zeros(12, dtype=torch.int64))
    with pytest.raises(ValueError, match="labelled rows only"):
        probe.rung(x, torch.where(y == 0, -1, y))
    with pytest.raises(ValueError, match="one group"):
        probe.rung(x, y, torch.zeros(12))
    for bad, word in ((float("nan"), "NaN"), (float("inf"), "infinity")):
        broken = x.clone()
        broken[7, 2] = bad
        for ask in (probe.rung, probe.final):
            with pytest.raises(ValueError, match=rf"{word} in 1 of 12 rows \(first: row 7\)"):
                ask(broken, y)
    with pytest.raises(ValueError, match="as many labels"):
        probe.rung(x, y[:5])


def test_registered_under_their_names() -> None:
    assert isinstance(registry.bind("probe", {"linear": {"folds": 3}})(), Linear)
    assert isinstance(registry.bind("probe", {"knn": {"k": 3}})(), Knn)
    x, y = blobs(30, 5, 2, 2.0)
    for name in ("linear", "knn"):
        fitted = registry.bind("probe", {name: {}})().final(x, y)
        assert isinstance(fitted, FittedProbe)
        assert fitted.to_dict()["probe"] == name


def test_a_rung_takes_milliseconds() -> None:
    x, y = blobs(500, 128, 10, 0.5)
    Linear().rung(x, y)
    start = time.process_time()
    for _ in range(5):
        Linear().rung(x, y)
    assert (time.process_time() - start) / 5 < 0.1  # some 10 ms; the rest is room for slow machines
