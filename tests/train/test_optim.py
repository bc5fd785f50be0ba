"""The learning rate: the rule for batch size, warm-up and cosine over the full horizon."""

import itertools
import math

import pytest
import torch

from sslsearch.train.optim import adamw, effective_lr, lr_at

OPTIM = {"batch_size": 128, "lr": 1e-3, "weight_decay": 0.1, "warmup": 0.1, "lr_scaling": "sqrt"}


@pytest.mark.parametrize(("rule", "factor"), [("none", 1), ("sqrt", 2), ("linear", 4)])
def test_batch_size_rule(rule: str, factor: float) -> None:
    assert effective_lr({**OPTIM, "lr_scaling": rule}) == pytest.approx(1e-3 * factor)


def test_warm_up_then_cosine_to_zero() -> None:
    peak = effective_lr(OPTIM)
    rates = [lr_at(step, 100, OPTIM) for step in range(100)]
    assert rates[0] == pytest.approx(peak / 10)
    assert max(rates) == pytest.approx(peak)
    assert rates[55] == pytest.approx(peak * 0.5 * (1 + math.cos(math.pi * 45 / 90)))
    assert rates[-1] < peak * 1e-3
    assert all(a >= b for a, b in itertools.pairwise(rates[10:]))


def test_only_matrices_are_decayed() -> None:
    groups = adamw([torch.nn.Linear(3, 2)], OPTIM).param_groups
    assert [(g["weight_decay"], g["params"][0].ndim) for g in groups] == [(0.1, 2), (0.0, 1)]
