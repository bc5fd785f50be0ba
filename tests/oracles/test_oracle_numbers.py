"""Forecasts and imputations against scikit-learn's ridge, and their errors against slow loops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from sslsearch import registry
from sslsearch.data import prepare
from sslsearch.data.samples import Samples
from sslsearch.probe.base import final_probe, rung_scores
from sslsearch.probe.fill import carried, interpolated
from sslsearch.probe.forecast import Forecast
from sslsearch.probe.impute import Impute
from sslsearch.probe.numbers import Numbers
from sslsearch.probe.token_ridge import blocks, dealt

RULES = {
    "modality": "timeseries",
    "source": "synthetic:600",
    "normalise": "per_channel",
    "window": 24,
    "horizon": 6,
}


@pytest.fixture(scope="module")
def sides() -> tuple[Samples, Samples]:
    done = prepare(RULES, Path())
    return Samples.from_table(done.train), Samples.from_table(done.test)


def standard(x_ND: np.ndarray, like_ND: np.ndarray) -> np.ndarray:
    return np.asarray((x_ND - like_ND.mean(0)) / like_ND.std(0))


def shown(probe: Numbers, train: Samples) -> tuple[Samples, torch.Tensor]:
    samples = train.showing(probe.rows(train))
    return samples, probe.truth(samples, samples.labelled, samples)


def test_forecast_is_sklearns_ridge_at_the_best_penalty_of_validation(
    sides: tuple[Samples, Samples],
) -> None:
    probe = Forecast(horizon=6, alpha_steps=4)
    train, truth = shown(probe, sides[0])
    assert train.judging is not None
    rng = np.random.default_rng(0)
    x = truth.flatten(1).numpy()[:, :9] + rng.standard_normal((len(truth), 9))
    fits, y = (~train.judging).numpy(), truth.flatten(1).double().numpy()
    errors = {}
    for alpha in np.geomspace(1e-1, 1e6, 4):
        model = Ridge(alpha=alpha).fit(standard(x, x[fits])[fits], y[fits])
        told = model.predict(standard(x, x[fits])[~fits])
        errors[alpha] = ((told - y[~fits]) ** 2).mean(), np.abs(told - y[~fits]).mean()
    best = min(errors, key=lambda alpha: errors[alpha][0])
    fitted = final_probe(probe, torch.from_numpy(x), truth, train.judging)
    assert fitted.settings["alpha"] == pytest.approx(best)
    scores = rung_scores(probe, torch.from_numpy(x), truth, train.groups_N, train.judging)
    assert scores.values["mse"] == pytest.approx(errors[best][0], rel=1e-6)
    assert scores.values["mae"] == pytest.approx(errors[best][1], rel=1e-6)
    held = torch.from_numpy(x)[train.judging], truth[train.judging]
    for metric in probe.metrics:  # what paired intervals are made of
        assert -fitted.shares(metric, *held).mean() == pytest.approx(scores.values[metric])


def test_imputation_is_sklearns_ridge_of_each_place_within_a_token(
    sides: tuple[Samples, Samples],
) -> None:
    probe = Impute(ratio=0.4, alpha_low=10.0, alpha_high=10.0, alpha_steps=1)
    _, truth = shown(probe, sides[0])
    N, C, T = truth.shape
    x = torch.randn(N, 8, 5, generator=torch.Generator().manual_seed(0))  # tokens of 3 steps
    fitted = probe.chosen(x, truth, x, truth)
    told = np.full((N, C, T), np.nan)
    for place in range(3):
        rows = [
            (n, m) for n in range(N) for m in range(8) if not truth[n, 0, 3 * m + place].isnan()
        ]
        features = np.stack([x[n, m].numpy() for n, m in rows]).astype(float)
        target = np.stack([truth[n, :, 3 * m + place].numpy() for n, m in rows]).astype(float)
        model = Ridge(alpha=10.0).fit(standard(features, features), target)
        for (n, m), value in zip(rows, model.predict(standard(features, features)), strict=True):
            told[n, :, 3 * m + place] = value
    off = [told[i] - truth.numpy()[i] for i in range(N)]
    flat = np.concatenate([o[~np.isnan(o)] for o in off])
    assert len(flat) == N * C * round(0.4 * T)
    scores = fitted.score(x, truth)
    assert scores.values["mse"] == pytest.approx((flat**2).mean(), rel=1e-6)
    assert scores.values["mae"] == pytest.approx(np.abs(flat).mean(), rel=1e-6)


def test_linear_floor_is_sklearns_ridge_of_all_channels_less_their_last_value(
    sides: tuple[Samples, Samples],
) -> None:
    probe = Forecast(horizon=6, alpha_low=1.0, alpha_high=1.0, alpha_steps=1)
    train, _ = shown(probe, sides[0])
    made = registry.bind("floor", {"linear": {}})(train, sides[1], 0, {}, probe)
    fits = train.labelled[train.fitting]

    def pairs(samples: Samples, index: torch.Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        x = samples.batch(index, "cpu").x.double().numpy()
        last = x[..., 17:18]
        past, future = (x[..., :18] - last).reshape(-1, 18), (x[..., 18:] - last).reshape(-1, 6)
        return past, future, last

    past, future, _ = pairs(train, fits)
    alive = past.std(0) > 0  # the last value less itself says nothing
    model = Ridge(alpha=1.0).fit(standard(past[:, alive], past[:, alive]), future)
    asked, _, last = pairs(sides[1], torch.arange(len(sides[1])))
    told = model.predict(standard(asked[:, alive], past[:, alive])).reshape(*last.shape[:2], 6)
    np.testing.assert_allclose(made.test_ND.numpy(), told + last, atol=1e-5)


@pytest.mark.parametrize("name", ["last_value", "interpolation"])
def test_filled_series_are_those_of_a_slow_loop(name: str) -> None:
    rng = torch.Generator().manual_seed(0)
    x, seen = torch.randn(6, 2, 15, generator=rng), torch.rand(6, 15, generator=rng) < 0.4
    seen[0], seen[1, :5], seen[2, 9:] = False, False, False
    filled = (carried if name == "last_value" else interpolated)(x, seen)
    for b in range(6):
        known = torch.nonzero(seen[b]).flatten().tolist()
        for c in range(2):
            for t in range(15):
                before = max((k for k in known if k <= t), default=min(known, default=None))
                if before is None:
                    want = 0.0
                elif name == "last_value":
                    want = float(x[b, c, before])
                else:
                    want = float(np.interp(t, known, x[b, c, known].numpy()))
                assert float(filled[b, c, t]) == pytest.approx(want, abs=1e-6)


def test_steps_are_dealt_to_tokens_as_encoders_group_them() -> None:
    for steps, patch in [(96, 8), (24, 3), (20, 20), (7, 1)]:
        token_S, place_S = dealt(steps, steps // patch)
        assert token_S.tolist() == [s // patch for s in range(steps)]
        assert place_S.tolist() == [s % patch for s in range(steps)]
    token_S, place_S = dealt(10, 3)
    assert token_S.tolist() == [0, 0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert place_S.tolist() == [0, 1, 2, 3, 0, 1, 2, 0, 1, 2]


def test_blocks_are_in_order_and_leave_neighbouring_groups_out() -> None:
    groups = np.repeat([5, 3, 9, 1, 7, 0, 2, 4, 6, 8], 3)
    order = list(dict.fromkeys(groups.tolist()))
    parts = blocks(30, groups, 5)
    assert np.sum([held for _, held in parts], 0).tolist() == [1] * 30
    for learns, held in parts:
        inside = [order.index(g) for g in groups[held]]
        left = {order.index(g) for g in groups[~held & ~learns]}
        assert left == {min(inside) - 1, max(inside) + 1} & set(range(10))
    alone = blocks(11, None, 4)
    assert all((learns ^ held).all() for learns, held in alone)
    with pytest.raises(ValueError, match="too few"):
        blocks(6, np.repeat([0, 1], 3), 5)
