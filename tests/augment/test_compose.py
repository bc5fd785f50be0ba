"""Do a recipe's augmentations chain, and does validity move with the values?

Shapes: B = samples, C = channels, T = time steps.
"""

from __future__ import annotations

import pytest
import torch

from sslsearch import registry
from sslsearch.augment.compose import Compose
from sslsearch.values import Batch

MOVERS = [n for n, p in registry.parts("augment", "timeseries").items() if "moves_time" in p.traits]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def padded(samples: int = 8, channels: int = 2, steps: int = 60, length: int = 40) -> Batch:
    x = torch.randn((samples, channels, steps), generator=generator(5))
    valid = torch.zeros((samples, steps), dtype=torch.bool)
    valid[:, :length] = True
    return Batch(x * valid[:, None], valid, torch.arange(samples))


def whole(samples: int = 8, channels: int = 2, steps: int = 60) -> Batch:
    return padded(samples, channels, steps, length=steps)


@pytest.mark.parametrize("nothing", [None, {}])
def test_no_augmentation_is_the_batch_itself(nothing: dict[str, dict[str, float]] | None) -> None:
    batch = whole()
    assert Compose(nothing)(batch, generator()) is batch


def test_steps_run_in_order_from_one_stream_of_random_numbers() -> None:
    batch, rng = whole(), generator()
    x = registry.get("augment", "scaling").bind({"sigma": 0.5})(batch.x, rng)
    x = registry.get("augment", "jitter").bind({})(x, rng)
    view = Compose({"scaling": {"sigma": 0.5}, "jitter": {}})(batch, generator())
    assert torch.equal(view.x, x)
    other = Compose({"jitter": {}, "scaling": {"sigma": 0.5}})(batch, generator())
    assert not torch.allclose(view.x, other.x)


def test_same_seed_same_views_and_fresh_ones_each_call() -> None:
    compose, batch, rng = Compose({"crop_resize": None, "jitter": None}), padded(), generator()
    first, second = compose(batch, rng), compose(batch, rng)
    again = compose(batch, generator())
    assert torch.equal(first.x, again.x)
    assert torch.equal(first.valid, again.valid)
    assert not torch.allclose(first.x, second.x)


def test_the_batch_is_left_as_it_was() -> None:
    batch = padded()
    x, valid = batch.x.clone(), batch.valid.clone()
    view = Compose({name: {} for name in MOVERS} | {"jitter": {}})(batch, generator())
    assert torch.equal(batch.x, x)
    assert torch.equal(batch.valid, valid)
    assert torch.equal(view.index, batch.index)


def test_an_unknown_or_wrong_word_is_refused_before_any_data() -> None:
    with pytest.raises(ValueError, match="did you mean 'jitter'"):
        Compose({"jiter": {}})
    with pytest.raises(ValueError, match="sigma"):
        Compose({"jitter": {"sigma": -1.0}})


def test_noise_does_not_reach_into_the_padding() -> None:
    view = Compose({"jitter": {"sigma": 1.0}})(padded(), generator())
    assert torch.equal(view.valid, padded().valid)
    assert (view.x[:, :, 40:] == 0).all()
    assert (view.x[:, :, :40] != 0).all()


@pytest.mark.parametrize("name", MOVERS)
def test_validity_moves_with_the_values(name: str) -> None:
    """Valid steps hold 3, the padding 0: wherever a view says valid it must hold 3 unmixed."""
    valid = padded().valid
    batch = Batch(3.0 * valid[:, None].float(), valid, torch.arange(8))
    moved = False
    for seed in range(5):
        view = Compose({name: {}})(batch, generator(seed))
        assert view.valid.dtype == torch.bool
        assert torch.allclose(view.x[:, 0], 3.0 * view.valid.float(), atol=1e-4)
        moved |= not torch.equal(view.valid, valid)
    assert moved


@pytest.mark.parametrize("name", MOVERS)
def test_what_stands_in_the_padding_is_not_read_into_valid_steps(name: str) -> None:
    valid = padded().valid
    batch = Batch(9.0 * ~valid[:, None], valid, torch.arange(8))
    assert torch.equal(Compose({name: {}})(batch, generator()).x, torch.zeros(8, 1, 60))


def test_a_view_with_nothing_left_keeps_its_original() -> None:
    batch = padded(samples=200, length=3)
    view = Compose({"crop_resize": {"keep": 0.3}, "jitter": {"sigma": 0.5}})(batch, generator())
    assert (view.valid.sum(1) >= 2).all()
    kept = (view.x == batch.x).all(dim=(1, 2))
    assert kept.any()
    assert not kept.all()


def test_other_kinds_of_data_pass_through_untouched_by_series_rules() -> None:
    """Only augmentations that move time, and only series, get the treatment of gaps."""
    x = {"ids": torch.arange(6).reshape(2, 3)}
    batch = Batch(x, torch.tensor([[True, True, False]] * 2), torch.arange(2))
    compose = Compose(None)
    compose.steps = [(lambda data, rng: {"ids": data["ids"] + 1}, frozenset())]
    view = compose(batch, generator())
    assert torch.equal(view.x["ids"], x["ids"] + 1)
    assert torch.equal(view.valid, batch.valid)


def test_what_only_moves_changes_no_values() -> None:
    """Reconstruction beside contrast sees crops and flips without the colours."""
    x_BCHW = torch.rand(4, 3, 8, 8, generator=generator(1))
    batch = Batch(x_BCHW, torch.ones(4, 1, dtype=torch.bool), torch.arange(4))
    both = Compose(
        {"horizontal_flip": {"p": 1.0}, "colour_jitter": {}, "vertical_flip": {"p": 1.0}}
    )
    assert torch.equal(both.moving()(batch, generator()).x, x_BCHW.flip(-1).flip(-2))
    assert not torch.equal(both(batch, generator()).x, x_BCHW.flip(-1).flip(-2))
    series = Compose({"jitter": {}, "time_shift": {}})
    assert len(series.moving().steps) == 1
