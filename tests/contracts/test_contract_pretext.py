"""Every registered pretext, with every encoder of series, keeps the contract of pretext/base.py."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from sslsearch import registry
from sslsearch.encoders.base import Encoder
from sslsearch.pretext.base import Pretext
from sslsearch.pretext.build import build, trains
from sslsearch.values import Batch, InputSpec, Loss

SMALL: dict[str, dict[str, Any]] = {  # knobs that only save time
    "conv1d": {"depth": 3, "width": 16, "stride": 2},
    "resnet1d": {"depth": 1, "width": 16, "stride": 2},
    "transformer": {"patch": 4, "depth": 1, "width": 16, "heads": 2},
    "cpc": {"context": 16},
}
MIX = {"mix_of": {"simclr": {"weight": 0.7}, "mae": {"weight": 0.3}, "ts2vec": {"weight": 1.0}}}
CHOICES = {
    name: {name: SMALL.get(name, {})} for name in registry.parts("pretext", "timeseries")
} | {"mix": MIX}
LENGTH = 37

each_encoder = pytest.mark.parametrize(
    "encoder_name", sorted(registry.parts("encoder", "timeseries"))
)
each_pretext = pytest.mark.parametrize("name", sorted(CHOICES))


def make(encoder_name: str, name: str, channels: int = 2) -> tuple[Encoder, Pretext]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        part = registry.get("encoder", encoder_name)
        spec = InputSpec("timeseries", {"channels": channels, "length": LENGTH})
        encoder: Encoder = part.bind(SMALL.get(encoder_name, {}))(spec)
        return encoder, build(encoder, CHOICES[name])


def views(
    count: int, B: int = 6, channels: int = 2, T: int = LENGTH, ragged: bool = True
) -> list[Batch]:
    rng = torch.Generator().manual_seed(1)
    base_BCT = torch.randn(B, channels, T, generator=rng)
    length_B1 = torch.randint(max(T // 2, 1), T + 1, (B, 1), generator=rng)
    valid_BT = (torch.arange(T) < length_B1) if ragged else torch.ones(B, T, dtype=torch.bool)
    noise = [0.3 * torch.randn(base_BCT.shape, generator=rng) for _ in range(count)]
    return [Batch(base_BCT + n, valid_BT, torch.arange(B)) for n in noise]


def loss_of(encoder: Encoder, pretext: Pretext, batches: list[Batch], seed: int = 0) -> Loss:
    return pretext.loss(encoder, batches, torch.Generator().manual_seed(seed))


@each_encoder
@each_pretext
def test_loss_is_finite_and_reaches_the_encoder(encoder_name: str, name: str) -> None:
    encoder, pretext = make(encoder_name, name)
    loss = loss_of(encoder, pretext, views(pretext.views))
    assert loss.total.shape == ()
    assert loss.total.isfinite()
    for part in loss.parts.values():
        assert part.shape == ()
        assert part.isfinite()
        assert not part.requires_grad
    loss.total.backward()
    grads = [p.grad for p in encoder.parameters() if p.grad is not None]
    assert all(grad.isfinite().all() for grad in grads)
    assert any(grad.any() for grad in grads) == trains(CHOICES[name])


@each_encoder
@each_pretext
def test_learns_a_tiny_batch(encoder_name: str, name: str) -> None:
    if not trains(CHOICES[name]):
        pytest.skip("there is nothing to learn")
    encoder, pretext = make(encoder_name, name)
    weights = [*encoder.parameters(), *(p for p in pretext.parameters() if p.requires_grad)]
    optimiser = torch.optim.AdamW(weights, lr=3e-3)
    losses = []
    for step in range(8):
        loss = loss_of(encoder, pretext, views(pretext.views)).total
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        pretext.after_step(encoder, (step + 1) / 8)
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]


@each_pretext
def test_same_generator_same_loss(name: str) -> None:
    results = []
    for torch_seed in (5, 6):  # the global generator plays no part
        encoder, pretext = make("conv1d", name)
        torch.manual_seed(torch_seed)
        results.append(loss_of(encoder, pretext, views(pretext.views)).total)
    assert torch.equal(results[0], results[1])


@each_pretext
def test_the_encoder_is_not_kept(name: str) -> None:
    encoder, pretext = make("conv1d", name)
    own = {id(parameter) for parameter in pretext.parameters()}
    assert own.isdisjoint(id(parameter) for parameter in encoder.parameters())
    assert not any(module is encoder for module in pretext.modules())


@each_pretext
def test_state_dict_round_trip(name: str) -> None:
    encoder, pretext = make("conv1d", name)
    for _ in range(2):
        loss_of(encoder, pretext, views(pretext.views))
    with torch.no_grad():
        for parameter in pretext.parameters():
            parameter.add_(0.1)
    _, other = make("conv1d", name)
    other.load_state_dict(pretext.state_dict())
    for batch in (views(pretext.views), views(pretext.views, B=4)):
        ours, theirs = (loss_of(encoder, p, batch).total for p in (pretext, other))
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("encoder_name", ["conv1d", "transformer"])  # one replaces, one drops
@each_pretext
@pytest.mark.parametrize("case", ["one", "two", "three", "short", "shortest", "empty", "one_empty"])
def test_degenerate_batches_stay_finite(encoder_name: str, name: str, case: str) -> None:
    encoder, pretext = make(encoder_name, name, channels=1)
    B = {"one": 1, "two": 2, "three": 3}.get(case, 4)
    T = {"short": 5, "shortest": 1}.get(case, LENGTH)
    batches = views(pretext.views, B=B, channels=1, T=T)
    if "empty" in case:
        valid_BT = batches[0].valid.clone()
        valid_BT[: 1 if case == "one_empty" else B] = False
        batches = [batch.with_x(batch.x, valid_BT) for batch in batches]
    loss = loss_of(encoder, pretext, batches)
    assert loss.total.isfinite()
    assert all(part.isfinite() for part in loss.parts.values())
    loss.total.backward()
    for parameter in [*encoder.parameters(), *pretext.parameters()]:
        assert parameter.grad is None or parameter.grad.isfinite().all()


@each_pretext
def test_mixed_precision_keeps_the_loss(name: str) -> None:
    encoder, pretext = make("conv1d", name)
    batches = views(pretext.views, ragged=False)
    full = loss_of(encoder, pretext, batches).total
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = loss_of(encoder, pretext, batches).total
    assert half.dtype is torch.float32
    torch.testing.assert_close(half, full, rtol=0.1, atol=0.02)
    half.backward()


@each_pretext
def test_what_is_not_valid_changes_nothing(name: str) -> None:
    encoder, pretext = make("transformer", name)
    batches = views(pretext.views)
    junk = [b.with_x(b.x.masked_fill(~b.valid[:, None], 1e4)) for b in batches]
    ours, theirs = (loss_of(encoder, pretext, these).total for these in (batches, junk))
    assert torch.equal(ours, theirs)
