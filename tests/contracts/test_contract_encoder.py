"""Every registered encoder of series keeps the contract of encoders/base.py."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sslsearch import registry
from sslsearch.encoders.base import Encoder
from sslsearch.values import Batch, Encoded, InputSpec

ENCODERS = sorted(registry.parts("encoder", "timeseries"))
CHANNELS, LENGTH = 2, 45


@pytest.fixture(params=ENCODERS)
def encoder(request: pytest.FixtureRequest) -> Encoder:
    return make(request.param)


def make(name: str, seed: int = 0) -> Encoder:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        spec = InputSpec("timeseries", {"channels": CHANNELS, "length": LENGTH})
        encoder: Encoder = registry.get("encoder", name).bind({})(spec)
    # Mask tokens may start as zeros, which would hide a mask that is not applied.
    with torch.no_grad():
        for parameter in encoder.parameters():
            if not parameter.any():
                parameter.fill_(0.3)
    return encoder


def series(B: int = 3, T: int = LENGTH, gaps: bool = False, seed: int = 0) -> Batch:
    rng = torch.Generator().manual_seed(seed)
    x_BCT = torch.randn(B, CHANNELS, T, generator=rng)
    valid_BT = torch.ones(B, T, dtype=torch.bool)
    if gaps:
        valid_BT = torch.rand(B, T, generator=rng) < 0.8
        valid_BT[0, T // 2 :] = False
    return Batch(x_BCT, valid_BT, torch.arange(B))


def hide(encoder: Encoder, batch: Batch) -> torch.Tensor:
    """About half of the tokens in all channels, some more in the first channel alone."""
    valid_BCN = encoder.token_valid(batch)
    B, C, N = valid_BCN.shape
    place_BN = torch.arange(N) + torch.arange(B)[:, None]
    hidden_BCN = (place_BN % 2 == 0)[:, None].repeat(1, C, 1)
    hidden_BCN[:, 0] |= place_BN % 3 == 0
    return hidden_BCN & valid_BCN


def assert_same(a: Encoded, b: Encoded, tolerance: float = 0.0) -> None:
    for name in ("tokens_BND", "pooled_BD"):
        torch.testing.assert_close(getattr(a, name), getattr(b, name), atol=tolerance, rtol=0)
    assert torch.equal(a.valid_BN, b.valid_BN)


def test_shapes_are_those_of_the_attributes(encoder: Encoder) -> None:
    batch = series(gaps=True)
    encoded = encoder(batch)
    valid_BCN, patch_BCNP = encoder.token_valid(batch), encoder.patchify(batch)
    B, N = encoded.valid_BN.shape
    assert encoded.tokens_BND.shape == (B, N, encoder.width)
    assert encoded.pooled_BD.shape == (B, encoder.pooled_width)
    assert valid_BCN.shape == (B, encoder.channels, N)
    assert patch_BCNP.shape == (B, encoder.channels, N, encoder.patch_width)
    assert encoder.patch_valid(batch).shape == patch_BCNP.shape
    assert torch.equal(encoder.patch_valid(batch).any(-1), valid_BCN)
    assert torch.equal(encoded.valid_BN, valid_BCN.any(1))


def test_patchify_gives_the_input_back(encoder: Encoder) -> None:
    batch = series(gaps=True)
    seen = torch.where(batch.valid[:, None], batch.x, 0.0)
    assert torch.equal(encoder.patchify(batch).flatten(2)[..., :LENGTH], seen)
    valid = encoder.patch_valid(batch).flatten(2)
    assert torch.equal(valid[..., :LENGTH], batch.valid[:, None].expand(-1, CHANNELS, -1))
    assert not valid[..., LENGTH:].any()


@pytest.mark.parametrize("junk", [1e6, float("nan")])
def test_what_is_not_valid_changes_nothing(encoder: Encoder, junk: float) -> None:
    batch = series(gaps=True)
    other = batch.with_x(batch.x.masked_fill(~batch.valid[:, None], junk))
    assert_same(encoder(batch), encoder(other))
    hidden_BCN = hide(encoder, batch)
    assert_same(encoder(batch, hidden_BCN), encoder(other, hidden_BCN))


@pytest.mark.parametrize("more", [1, 13, 64])
def test_padding_further_changes_nothing(encoder: Encoder, more: int) -> None:
    batch = series(gaps=True)
    pad = torch.nn.functional.pad
    longer = batch.with_x(pad(batch.x, (0, more), value=7.0), pad(batch.valid, (0, more)))
    short, long = encoder(batch), encoder(longer)
    N = short.valid_BN.shape[1]
    assert not long.valid_BN[:, N:].any()
    cut = Encoded(long.tokens_BND[:, :N], long.pooled_BD, long.valid_BN[:, :N])
    assert_same(short, cut, tolerance=2e-5)


def test_hidden_input_is_not_seen(encoder: Encoder) -> None:
    batch = series(gaps=True)
    hidden_BCN = hide(encoder, batch)
    under_BCT = hidden_BCN[..., None].expand(-1, -1, -1, encoder.patch_width).flatten(2)
    other = batch.with_x(batch.x + 5.0 * under_BCT[..., :LENGTH])
    assert_same(encoder(batch, hidden_BCN), encoder(other, hidden_BCN))
    visible = batch.with_x(batch.x + 5.0 * ~under_BCT[..., :LENGTH])
    changed = encoder(visible, hidden_BCN).pooled_BD - encoder(batch, hidden_BCN).pooled_BD
    assert changed.abs().max() > 1e-3
    shown = encoder(other).pooled_BD - encoder(batch).pooled_BD
    assert shown.abs().max() > 1e-3


def test_dropped_tokens_are_zero_and_not_valid(encoder: Encoder) -> None:
    batch = series()
    encoded = encoder(batch, hide(encoder, batch))
    assert not encoded.tokens_BND[~encoded.valid_BN].any()


def test_samples_do_not_see_each_other(encoder: Encoder) -> None:
    batch = series(gaps=True)
    hidden_BCN = hide(encoder, batch)
    for hidden in (None, hidden_BCN):
        together = encoder(batch, hidden)
        for i in range(len(batch)):
            one = Batch(batch.x[i : i + 1], batch.valid[i : i + 1], batch.index[i : i + 1])
            alone = encoder(one, None if hidden is None else hidden[i : i + 1])
            whole = (together.tokens_BND, together.pooled_BD, together.valid_BN)
            assert_same(alone, Encoded(*(part[i : i + 1] for part in whole)), tolerance=2e-5)


def test_no_batch_statistics(encoder: Encoder) -> None:
    norms = (nn.modules.batchnorm._BatchNorm, nn.modules.instancenorm._InstanceNorm)
    assert not any(isinstance(module, norms) for module in encoder.modules())


@pytest.mark.parametrize("name", ENCODERS)
def test_same_seed_same_weights(name: str) -> None:
    batch = series()
    assert_same(make(name)(batch), make(name)(batch))
    difference = make(name, seed=1)(batch).pooled_BD - make(name)(batch).pooled_BD
    assert difference.abs().max() > 1e-3


@pytest.mark.parametrize("T", [1, 2, 7, 16, 100])
def test_any_length_and_nothing_to_see(encoder: Encoder, T: int) -> None:
    batch = series(T=T)
    nothing = batch.with_x(batch.x, torch.zeros_like(batch.valid))
    all_hidden_BCN = encoder.token_valid(batch)
    for seen, hidden in ((batch, None), (nothing, None), (batch, all_hidden_BCN)):
        encoder.zero_grad()
        encoded = encoder(seen, hidden)
        (encoded.tokens_BND.sum() + encoded.pooled_BD.square().sum()).backward()
        assert encoded.pooled_BD.isfinite().all()
        for parameter in encoder.parameters():
            assert parameter.grad is None or parameter.grad.isfinite().all()
    assert not encoder(nothing).valid_BN.any()


def test_every_weight_learns(encoder: Encoder) -> None:
    batch = series()
    weight = torch.randn(encoder.pooled_width, generator=torch.Generator().manual_seed(0))
    for hidden in (None, hide(encoder, batch)):
        (encoder(batch, hidden).pooled_BD @ weight).square().sum().backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_mixed_precision(encoder: Encoder) -> None:
    batch = series(gaps=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = [encoder(batch), encoder(batch, hide(encoder, batch))]
    full = [encoder(batch), encoder(batch, hide(encoder, batch))]
    for a, b in zip(half, full, strict=True):
        scale = b.pooled_BD.abs().max()
        torch.testing.assert_close(
            a.pooled_BD.float() / scale, b.pooled_BD / scale, atol=0.05, rtol=0
        )
