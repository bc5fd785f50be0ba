"""Every pretext that fits images keeps the contract of pretext/base.py, with encoders of images."""

from __future__ import annotations

import pytest
import small
import torch

from sslsearch import registry
from sslsearch.encoders.base import Encoder
from sslsearch.pretext.base import Pretext
from sslsearch.pretext.build import build, trains
from sslsearch.space.fit import lacks, why_not
from sslsearch.train.build import Objective
from sslsearch.values import Batch, InputSpec, Loss

ENCODERS = ("convnet", "vit", "vit_mask_token")  # hidden tokens are replaced, dropped, replaced
MIX = {"mix_of": {"simclr": {"weight": 0.7}, "mae": {"weight": 0.3, "sees": "moved"}, "rotnet": {}}}
FIT = [n for n, part in registry.parts("pretext", "image").items() if not why_not(part, "image")]
CHOICES = {name: {name: small.PRETEXTS.get(name, {})} for name in FIT} | {"mix": MIX}
SPEC = InputSpec(
    "image", {"channels": 3, "height": 16, "width": 16}, {"mean": [0.5] * 3, "std": [0.25] * 3}
)

each_encoder = pytest.mark.parametrize("encoder_name", ENCODERS)
each_pretext = pytest.mark.parametrize("name", sorted(CHOICES))


def make(encoder_name: str, name: str) -> tuple[Encoder, Pretext]:
    part = registry.get("encoder", encoder_name)
    if name in FIT and lacks(registry.get("pretext", name), "image", part):
        pytest.skip(f"{encoder_name} does not offer what {name} needs")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        encoder: Encoder = part.bind(small.ENCODERS[encoder_name])(SPEC)
        return encoder, build(encoder, CHOICES[name])


def views(count: int, B: int = 6) -> list[Batch]:
    rng = torch.Generator().manual_seed(1)
    base = torch.rand(B, 3, 16, 16, generator=rng)
    noise = [0.1 * torch.randn(base.shape, generator=rng) for _ in range(count)]
    valid = torch.ones(B, 1, dtype=torch.bool)
    return [Batch((base + n).clamp(0, 1), valid, torch.arange(B)) for n in noise]


def loss_of(encoder: Encoder, pretext: Pretext, batches: list[Batch], seed: int = 0) -> Loss:
    return pretext.loss(encoder, batches, torch.Generator().manual_seed(seed))


def test_the_general_methods_fit_images() -> None:
    contrast = {"simclr", "moco", "moco_v3", "byol", "simsiam", "barlow_twins", "vicreg", "dino"}
    assert contrast | {"mae", "simmim", "ijepa", "rotnet", "jigsaw"} <= set(FIT)
    assert "ts2vec" not in FIT


@each_encoder
@each_pretext
def test_loss_is_finite_and_goes_down(encoder_name: str, name: str) -> None:
    encoder, pretext = make(encoder_name, name)
    weights = [*encoder.parameters(), *(p for p in pretext.parameters() if p.requires_grad)]
    optimiser = torch.optim.AdamW(weights, lr=3e-3)
    losses = []
    for step in range(10):
        loss = loss_of(encoder, pretext, views(pretext.views))
        assert loss.total.shape == ()
        assert all(p.isfinite() and not p.requires_grad for p in loss.parts.values())
        optimiser.zero_grad()
        loss.total.backward()
        if step == 0:
            grads = [p.grad for p in encoder.parameters() if p.grad is not None]
            assert all(grad.isfinite().all() for grad in grads)
            assert any(grad.any() for grad in grads) == trains(CHOICES[name])
        optimiser.step()
        losses.append(float(loss.total.detach()))
    if trains(CHOICES[name]):
        assert losses[-1] < losses[0]
    pretext.after_step(encoder, 0.5)  # not before: targets and queues that move ask anew
    assert loss_of(encoder, pretext, views(pretext.views)).total.isfinite()


@each_pretext
def test_same_generator_same_loss(name: str) -> None:
    results = []
    for torch_seed in (5, 6):  # the global generator plays no part
        encoder, pretext = make("convnet", name)
        torch.manual_seed(torch_seed)
        results.append(loss_of(encoder, pretext, views(pretext.views)).total)
    assert torch.equal(results[0], results[1])


@each_pretext
@pytest.mark.parametrize("B", [1, 2])
def test_tiny_batches_stay_finite(name: str, B: int) -> None:
    encoder, pretext = make("vit", name)
    loss = loss_of(encoder, pretext, views(pretext.views, B=B))
    loss.total.backward()
    assert loss.total.isfinite()
    for parameter in [*encoder.parameters(), *pretext.parameters()]:
        assert parameter.grad is None or parameter.grad.isfinite().all()


@each_pretext
def test_a_batch_in_pieces_has_the_same_gradient(name: str) -> None:
    if not trains(CHOICES[name]):
        pytest.skip("there is nothing to learn")
    gradients = []
    for pieces in (1, 3):
        encoder, pretext = make("vit", name)
        objective = Objective(encoder, pretext)
        objective.pieces = pieces
        objective(views(pretext.views), torch.Generator().manual_seed(0)).total.backward()
        gradients.append([p.grad for p in encoder.parameters() if p.grad is not None])
    for whole, parts in zip(*gradients, strict=True):
        torch.testing.assert_close(parts, whole, atol=5e-5, rtol=1e-3)
