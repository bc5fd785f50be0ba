"""Every registered encoder of images keeps the contract of encoders/base.py.

Shapes: B = samples, C = colour channels, H, W = pixels, N = tokens.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from sslsearch import registry
from sslsearch.encoders.base import Encoder
from sslsearch.values import Batch, Encoded, InputSpec

ENCODERS = sorted(registry.parts("encoder", "image"))
SMALL: dict[str, dict[str, Any]] = {
    "convnet": {"width": 16, "depth": 1},
    "vit": {"patch": 4, "depth": 2, "width": 16, "heads": 2},
    "vit_mask_token": {"patch": 4, "depth": 2, "width": 16, "heads": 2},
    "timm": {"name": "test_convnext2"},
    "own": {"build": "encoders_of_ours:strided"},
}
COLOURS, HEIGHT, WIDTH = 3, 13, 24  # not whole patches
SPEC = InputSpec(
    "image",
    {"channels": COLOURS, "height": HEIGHT, "width": WIDTH},
    {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.25]},
)


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSLSEARCH_OWN_CODE", "encoders_of_ours")


@pytest.fixture(params=ENCODERS)
def encoder(request: pytest.FixtureRequest) -> Encoder:
    return make(request.param)


def make(name: str, seed: int = 0) -> Encoder:
    if name == "timm":
        pytest.importorskip("timm")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder: Encoder = registry.get("encoder", name).bind(SMALL.get(name, {}))(SPEC)
    with torch.no_grad():  # masks that are zeros could hide that they are not applied
        for parameter in encoder.parameters():
            if not parameter.any():
                parameter.fill_(0.3)
    return encoder.eval()


def images(B: int = 3, empty: bool = False, H: int = HEIGHT, W: int = WIDTH) -> Batch:
    x_BCHW = torch.rand(B, COLOURS, H, W, generator=torch.Generator().manual_seed(0))
    valid_B1 = torch.ones(B, 1, dtype=torch.bool)
    if empty:
        valid_B1[0] = False
    return Batch(x_BCHW, valid_B1, torch.arange(B))


def hide(encoder: Encoder, batch: Batch) -> torch.Tensor:
    """About half of the tokens, not the same in each sample."""
    valid_B1N = encoder.token_valid(batch)
    place_BN = torch.arange(valid_B1N.shape[2]) + torch.arange(len(batch))[:, None]
    return (place_BN % 2 == 0)[:, None] & valid_B1N


def under(encoder: Encoder, hidden_B1N: torch.Tensor, H: int, W: int) -> torch.Tensor:
    """(B, 1, H, W): the pixels of hidden tokens."""
    patch = round((encoder.patch_width / COLOURS) ** 0.5)
    rows, columns = -(-H // patch), -(-W // patch)
    plane = hidden_B1N.view(-1, 1, rows, columns)
    return plane.repeat_interleave(patch, 2).repeat_interleave(patch, 3)[..., :H, :W]


def assert_same(a: Encoded, b: Encoded, tolerance: float = 0.0) -> None:
    for name in ("tokens_BND", "pooled_BD"):
        torch.testing.assert_close(getattr(a, name), getattr(b, name), atol=tolerance, rtol=0)
    assert torch.equal(a.valid_BN, b.valid_BN)


def test_shapes_are_those_of_the_attributes(encoder: Encoder) -> None:
    batch = images(empty=True)
    encoded = encoder(batch)
    valid_B1N, patch_B1NP = encoder.token_valid(batch), encoder.patchify(batch)
    B, N = encoded.valid_BN.shape
    rows, columns = encoder.grid(batch)
    assert rows * columns == N
    assert encoder.positions(batch, 24).shape == (N, 24)
    assert encoded.tokens_BND.shape == (B, N, encoder.width)
    assert encoded.pooled_BD.shape == (B, encoder.pooled_width)
    assert valid_B1N.shape == (B, 1, N)
    assert patch_B1NP.shape == (B, 1, N, encoder.patch_width)
    assert encoder.patch_valid(batch).shape == patch_B1NP.shape
    assert torch.equal(encoder.patch_valid(batch).any(-1), valid_B1N)
    assert torch.equal(encoded.valid_BN, valid_B1N[:, 0])


def test_patchify_gives_the_normalised_input_back(encoder: Encoder) -> None:
    batch = images()
    patch = round((encoder.patch_width / COLOURS) ** 0.5)
    rows, columns = encoder.grid(batch)
    for patches, want in (
        (encoder.patchify(batch), (batch.x - torch.tensor([0.5, 0.4, 0.3])[:, None, None])
         / torch.tensor([0.2, 0.3, 0.25])[:, None, None]),
        (encoder.patch_valid(batch).float(), torch.ones_like(batch.x)),
    ):  # fmt: skip
        x = patches[:, 0].view(len(batch), rows, columns, COLOURS, patch, patch)
        x = x.permute(0, 3, 1, 4, 2, 5).reshape(len(batch), COLOURS, rows * patch, columns * patch)
        torch.testing.assert_close(x[..., :HEIGHT, :WIDTH], want)
        assert not x[..., HEIGHT:, :].any()
        assert not x[..., WIDTH:].any()


@pytest.mark.parametrize("junk", [1e6, float("nan")])
def test_what_is_not_valid_changes_nothing(encoder: Encoder, junk: float) -> None:
    batch = images(empty=True)
    other = batch.with_x(batch.x.masked_fill(~batch.valid[..., None, None], junk))
    assert_same(encoder(batch), encoder(other))
    assert_same(encoder(batch, hide(encoder, batch)), encoder(other, hide(encoder, batch)))
    assert not encoder(batch).tokens_BND[0].any()


def test_hidden_input_is_not_seen(encoder: Encoder) -> None:
    batch = images()
    hidden_B1N = hide(encoder, batch)
    under_B1HW = under(encoder, hidden_B1N, HEIGHT, WIDTH)
    other = batch.with_x(batch.x + 5.0 * under_B1HW)
    assert_same(encoder(batch, hidden_B1N), encoder(other, hidden_B1N))
    visible = batch.with_x(batch.x * (1 - 0.7 * ~under_B1HW))
    if not hidden_B1N.all():
        changed = encoder(visible, hidden_B1N).pooled_BD - encoder(batch, hidden_B1N).pooled_BD
        assert changed.abs().max() > 1e-4
    assert (encoder(other).pooled_BD - encoder(batch).pooled_BD).abs().max() > 1e-4


def test_dropped_tokens_are_zero_and_not_valid(encoder: Encoder) -> None:
    batch = images()
    encoded = encoder(batch, hide(encoder, batch))
    assert not encoded.tokens_BND[~encoded.valid_BN].any()


def test_samples_do_not_see_each_other(encoder: Encoder) -> None:
    batch = images()
    hidden_B1N = hide(encoder, batch)
    for hidden in (None, hidden_B1N):
        together = encoder.train()(batch, hidden)
        for i in range(len(batch)):
            one = Batch(batch.x[i : i + 1], batch.valid[i : i + 1], batch.index[i : i + 1])
            alone = encoder(one, None if hidden is None else hidden[i : i + 1])
            whole = (together.tokens_BND, together.pooled_BD, together.valid_BN)
            assert_same(alone, Encoded(*(part[i : i + 1] for part in whole)), tolerance=1e-4)


def test_no_batch_statistics(encoder: Encoder) -> None:
    norms = (nn.modules.batchnorm._BatchNorm, nn.modules.instancenorm._InstanceNorm)
    assert not any(isinstance(module, norms) for module in encoder.modules())


@pytest.mark.parametrize("name", ENCODERS)
def test_same_seed_same_weights(name: str) -> None:
    batch = images()
    assert_same(make(name)(batch), make(name)(batch))
    difference = make(name, seed=1)(batch).pooled_BD - make(name)(batch).pooled_BD
    assert difference.abs().max() > 1e-4


def test_nothing_to_see_stays_finite(encoder: Encoder) -> None:
    batch = images()
    nothing = batch.with_x(batch.x, torch.zeros_like(batch.valid))
    for seen, hidden in ((nothing, None), (batch, encoder.token_valid(batch))):
        encoder.zero_grad()
        encoded = encoder(seen, hidden)
        (encoded.tokens_BND.sum() + encoded.pooled_BD.square().sum()).backward()
        assert encoded.pooled_BD.isfinite().all()
        for parameter in encoder.parameters():
            assert parameter.grad is None or parameter.grad.isfinite().all()
    assert not encoder(nothing).valid_BN.any()


def test_every_weight_learns(encoder: Encoder) -> None:
    batch = images()
    weight = torch.randn(encoder.pooled_width, generator=torch.Generator().manual_seed(0))
    for hidden in (None, hide(encoder, batch)):
        (encoder.train()(batch, hidden).pooled_BD @ weight).square().sum().backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_mixed_precision(encoder: Encoder) -> None:
    batch = images()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = encoder(batch, hide(encoder, batch)).pooled_BD.float()
    full = encoder(batch, hide(encoder, batch)).pooled_BD
    torch.testing.assert_close(half / full.abs().max(), full / full.abs().max(), atol=0.05, rtol=0)
