"""What each encoder does beyond the contract: reach, strides, pooling, dropped tokens."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from sslsearch import registry
from sslsearch.encoders.attention import sinusoids
from sslsearch.encoders.base import Encoder
from sslsearch.encoders.series import pool
from sslsearch.values import Batch, InputSpec


def make(name: str, channels: int = 1, **knobs: Any) -> Encoder:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        spec = InputSpec("timeseries", {"channels": channels, "length": 64})
        encoder: Encoder = registry.get("encoder", name).bind(knobs)(spec)
    return encoder


def series(B: int = 2, C: int = 1, T: int = 64) -> Batch:
    x_BCT = torch.randn(B, C, T, generator=torch.Generator().manual_seed(0))
    return Batch(x_BCT, torch.ones(B, T, dtype=torch.bool), torch.arange(B))


@pytest.mark.parametrize("kernel", [2, 3, 5])
def test_conv1d_sees_as_far_as_its_dilations_say(kernel: int) -> None:
    encoder = make("conv1d", depth=3, width=8, kernel=kernel)
    batch = series(B=1)
    x = batch.x.clone().requires_grad_()
    encoder(batch.with_x(x)).tokens_BND[0, 32].sum().backward()
    assert x.grad is not None
    touched = x.grad[0, 0].nonzero().flatten()
    dilations = (1, 2, 4)
    back = sum(d * (kernel - 1) // 2 for d in dilations)
    ahead = sum(-(-d * (kernel - 1) // 2) for d in dilations)
    assert (int(touched.min()), int(touched.max())) == (32 - back, 32 + ahead)


@pytest.mark.parametrize("name", ["conv1d", "resnet1d"])
@pytest.mark.parametrize(("stride", "tokens"), [(1, 64), (4, 16), (5, 13)])
def test_stride_sets_the_number_of_tokens(name: str, stride: int, tokens: int) -> None:
    encoder = make(name, depth=1, width=8, stride=stride)
    assert encoder(series()).tokens_BND.shape[1] == tokens
    assert encoder.patch_width == stride


@pytest.mark.parametrize("name", ["conv1d", "resnet1d", "transformer"])
def test_mean_max_is_mean_beside_max(name: str) -> None:
    size = {"width": 8, "depth": 2} | ({"heads": 2} if name == "transformer" else {})
    mean, top, both = (make(name, pool=how, **size) for how in ("mean", "max", "mean_max"))
    together = torch.cat([mean(series()).pooled_BD, top(series()).pooled_BD], 1)
    torch.testing.assert_close(both(series()).pooled_BD, together)
    assert both.pooled_width == 2 * mean.pooled_width


def test_pool_counts_valid_tokens_only() -> None:
    tokens_BDN = torch.tensor([[[1.0, -5.0, 3.0, 99.0]], [[1.0, 2.0, 3.0, 4.0]]])
    valid_BN = torch.tensor([[True, True, True, False], [False] * 4])
    pooled = pool(tokens_BDN, valid_BN, "mean_max")
    torch.testing.assert_close(pooled, torch.tensor([[-1 / 3, 3.0], [0.0, 0.0]]))


def test_transformer_spends_nothing_on_hidden_tokens() -> None:
    encoder = make("transformer", patch=4, depth=1, width=8, heads=2)
    seen: list[int] = []
    encoder.get_submodule("blocks.0").register_forward_pre_hook(
        lambda module, inputs: seen.append(inputs[0].shape[1])
    )
    hidden_BCN = torch.ones(2, 1, 16, dtype=torch.bool)
    hidden_BCN[0, 0, 3], hidden_BCN[1, 0, [5, 9]] = False, False
    encoded = encoder(series(), hidden_BCN)
    assert seen == [2]  # the most visible tokens of any sample
    assert torch.equal(encoded.valid_BN, ~hidden_BCN[:, 0])


def test_transformer_takes_hidden_for_absent() -> None:
    """Dropping a token equals a series in which its steps are missing."""
    encoder = make("transformer", patch=4, depth=2, width=8, heads=2)
    batch = series()
    hidden_BN = torch.rand(2, 16, generator=torch.Generator().manual_seed(1)) < 0.5
    missing = batch.with_x(batch.x, ~hidden_BN.repeat_interleave(4, 1))
    dropped, absent = encoder(batch, hidden_BN[:, None]), encoder(missing)
    torch.testing.assert_close(dropped.tokens_BND, absent.tokens_BND)
    torch.testing.assert_close(dropped.pooled_BD, absent.pooled_BD)


def test_transformer_knows_order() -> None:
    encoder = make("transformer", patch=4, depth=1, width=8, heads=2)
    batch = series()
    turned = batch.with_x(batch.x.unflatten(2, (-1, 4)).flip(2).flatten(2))
    assert (encoder(batch).pooled_BD - encoder(turned).pooled_BD).abs().max() > 1e-3


def test_width_must_divide_into_heads() -> None:
    with pytest.raises(ValueError, match="width 10 must be divisible by heads 4"):
        make("transformer", width=10, heads=4)


@pytest.mark.parametrize("width", [7, 8])
def test_sinusoids_are_distinct_and_independent_of_count(width: int) -> None:
    few, many = (sinusoids(count, width, torch.device("cpu")) for count in (10, 500))
    assert many.shape == (500, width)
    assert torch.equal(few, many[:10])
    assert torch.pdist(many).min() > 1e-3


def test_resnet1d_widths_are_those_of_the_paper() -> None:
    encoder = make("resnet1d")
    kernels = [tuple(w.shape) for n, w in encoder.named_parameters() if ".convs." in n]
    assert kernels[:3] == [(64, 64, 8), (64, 64, 5), (64, 64, 3)]
    assert kernels[3:6] == [(128, 64, 8), (128, 128, 5), (128, 128, 3)]
    assert encoder.pooled_width == 128
