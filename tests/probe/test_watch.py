"""Watches and health: what collapse looks like, and that live encoders are not taken for it."""

from __future__ import annotations

import pytest
import torch

from sslsearch import registry
from sslsearch.probe.health import collapsed, health
from sslsearch.values import Batch, InputSpec


def gauss(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_every_watch_gives_one_number() -> None:
    pool, x, y = gauss(50, 8), gauss(30, 8), torch.arange(30) % 3
    watches = registry.parts("watch")
    assert {"knn", "rankme"} <= set(watches)
    for part in watches.values():
        value = part.bind(None)(pool, x, y)
        assert isinstance(value, float)
        assert value == part.bind(None)(pool, x, y)


def test_rankme_counts_directions() -> None:
    rankme = registry.bind("watch", {"rankme": {}})
    y = torch.zeros(300)
    full, flat = gauss(300, 8), gauss(300, 2) @ gauss(2, 8, seed=1)
    assert 7.5 < rankme(full, full, y) <= 8.0
    assert 1.5 < rankme(flat, flat, y) < 2.1
    assert rankme(torch.ones(300, 8), full, y) == pytest.approx(1.0, abs=0.01)
    # of a larger pool a fixed part is taken
    few = registry.bind("watch", {"rankme": {"samples": 50}})
    assert few(full, full, y) == few(full.clone(), full, y) != rankme(full, full, y)


def test_knn_finds_what_is_near() -> None:
    y = torch.arange(40) % 2
    x = gauss(40, 6) + 8 * torch.nn.functional.one_hot(y, 6)
    assert registry.bind("watch", {"knn": {}})(x, x, y) == 1.0
    # length does not matter, direction does
    longer = x * torch.linspace(0.1, 10, 40)[:, None]
    assert registry.bind("watch", {"knn": {}})(x, longer, y) == 1.0


def test_health_figures() -> None:
    x = torch.cat([gauss(500, 6), torch.full((500, 2), 0.1)], 1)
    seen = health(x)
    assert seen["dead_dims"] == pytest.approx(0.25)
    assert seen["feature_std_min"] < 1e-6
    assert seen["feature_std_mean"] == pytest.approx(0.75, abs=0.05)
    assert 5.5 < seen["effective_rank"] <= 6.01
    assert all(isinstance(value, float) for value in seen.values())


@pytest.mark.parametrize("offset", [0.0, 1.0, 1e3])
def test_same_features_for_all_are_a_collapse(offset: float) -> None:
    constant = offset + torch.zeros(40, 16) + gauss(16)
    assert "same features" in collapsed(constant)
    assert "same features" in collapsed(constant + 1e-5 * gauss(40, 16))
    assert "same features" in collapsed(torch.zeros(40, 16))


def test_features_along_a_line_are_a_collapse() -> None:
    line = gauss(40, 1) @ gauss(1, 16, seed=1) + gauss(16, seed=2)
    assert "one direction" in collapsed(line)
    assert "one direction" in collapsed(line + 1e-3 * gauss(40, 16, seed=3))
    assert collapsed(line + 0.2 * gauss(40, 16, seed=3)) == ""
    assert collapsed(gauss(40, 1)) == ""  # one feature is a line by design
    assert collapsed(line[:2]) == ""  # two samples always are on one


@pytest.mark.parametrize("name", ["conv1d", "resnet1d", "transformer"])
def test_a_live_encoder_has_not_collapsed(name: str) -> None:
    spec = InputSpec("timeseries", {"channels": 1, "length": 64})
    rows = torch.arange(64)
    x = torch.sin(rows[:, None, None] * 0.7 + (0.2 + 0.01 * rows[:, None, None]) * torch.arange(64))
    x = (x - x.mean(-1, keepdim=True)) / x.std(-1, keepdim=True)
    batch = Batch(x, torch.ones(64, 64, dtype=torch.bool), rows)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = registry.get("encoder", name).bind(None)(spec)
    with torch.no_grad():
        pooled = encoder.eval()(batch).pooled_BD
        assert collapsed(pooled) == ""
        assert "same features" in collapsed(pooled * 0 + pooled[:1])
