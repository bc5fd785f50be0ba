"""What encoders of images do beyond the contract: stems, norms, positions, one's own networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from sslsearch import registry
from sslsearch.encoders.attention import sinusoids, waves
from sslsearch.encoders.base import Encoder
from sslsearch.train.memory import divisible
from sslsearch.values import Batch, InputSpec

SPEC = InputSpec("image", {"channels": 3, "height": 32, "width": 32})


def make(part: str, /, **knobs: Any) -> Encoder:
    encoder: Encoder = registry.get("encoder", part).bind(knobs)(SPEC)
    return encoder


def images(B: int = 2) -> Batch:
    x_BCHW = torch.rand(B, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    return Batch(x_BCHW, torch.ones(B, 1, dtype=torch.bool), torch.arange(B))


@pytest.mark.parametrize(
    ("name", "knobs", "tokens", "width"),
    [
        ("convnet", {"stages": 3, "width": 16}, 64, 64),
        ("convnet", {"stages": 1, "width": 16}, 1024, 16),
        ("convnet", {"stages": 3, "width": 16, "stride": 2}, 16, 64),
        ("vit", {"patch": 8, "width": 32}, 16, 32),
        ("vit_mask_token", {"patch": 8, "width": 32}, 16, 32),
        ("resnet", {"stem": "small"}, 16, 512),
        ("resnet", {"stem": "imagenet"}, 1, 512),
    ],
)
def test_tokens_and_width(name: str, knobs: dict[str, Any], tokens: int, width: int) -> None:
    encoded = make(name, **knobs)(images())
    assert encoded.tokens_BND.shape == (2, tokens, width)


def test_resnet_is_torchvisions() -> None:
    """The same weights in torchvision's own network give the same features."""
    from torchvision.models import resnet18

    torch.manual_seed(0)
    ours = make("resnet", stem="imagenet", norm="batch").eval()
    theirs = resnet18(weights=None).eval()
    names = ["conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4"]
    for at, name in enumerate(names):
        state = {
            key.removeprefix(f"layers.{at}."): value
            for key, value in ours.state_dict().items()
            if key.startswith(f"layers.{at}.")
        }
        getattr(theirs, name).load_state_dict(state)
    theirs.fc = nn.Identity()
    batch = images()
    torch.testing.assert_close(ours(batch).pooled_BD, theirs(batch.x), atol=1e-4, rtol=1e-4)


def test_batch_normalisation_must_be_asked_for() -> None:
    assert divisible(make("resnet"))
    assert not divisible(make("resnet", norm="batch"))


def test_hidden_patches_cost_nothing_in_a_vit() -> None:
    encoder = make("vit", patch=4, depth=1, width=32)
    lengths = []
    encoder.blocks[0].register_forward_pre_hook(lambda _, given: lengths.append(given[0].shape[1]))
    hidden_B1N = torch.zeros(2, 1, 64, dtype=torch.bool)
    hidden_B1N[:, :, :48] = True
    encoder(images(), hidden_B1N)
    assert lengths == [16]


def test_waves_tell_rows_from_columns() -> None:
    cpu = torch.device("cpu")
    assert torch.equal(waves((9,), 8, cpu), sinusoids(9, 8, cpu))
    plane = waves((4, 6), 8, cpu).view(4, 6, 8)
    assert torch.equal(plane[:, 2, :4], sinusoids(4, 4, cpu))
    assert torch.equal(plane[1, :, 4:], sinusoids(6, 4, cpu))


def test_own_code_runs_only_where_it_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="SSLSEARCH_OWN_CODE=subprocess"):
        make("own", build="subprocess:Popen")
    monkeypatch.setenv("SSLSEARCH_OWN_CODE", "encoders_of_ours, encoders_nowhere")
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "contracts")
    with pytest.raises(ValueError, match="cannot be had: No module named 'encoders_nowhere'"):
        make("own", build="encoders_nowhere:net")
    with pytest.raises(ValueError, match=r"makes \(1, 4\) .* map of features"):
        make("own", build="encoders_of_ours:flat")
    with pytest.raises(ValueError, match="made int, not a torch module"):
        make("own", build="encoders_of_ours:no_network")


def test_timm_names_are_helped() -> None:
    pytest.importorskip("timm")
    with pytest.raises(ValueError, match="did you mean 'convnext_atto'"):
        make("timm", name="convnext_ato")
    assert make("timm", name="test_vit", pool="mean")(images()).pooled_BD.shape == (2, 64)


def test_a_mask_token_stands_for_a_patch_and_knows_its_place() -> None:
    """Hidden tokens stay, are not all the same, and are what visible ones can look at."""
    torch.manual_seed(0)
    encoder, batch = make("vit_mask_token", patch=8, depth=1, width=32, heads=2), images()
    hidden_B1N = torch.zeros(2, 1, 16, dtype=torch.bool)
    hidden_B1N[:, :, 4:] = True
    encoded = encoder(batch, hidden_B1N)
    assert encoded.valid_BN.all()
    assert (encoded.tokens_BND[:, 4] - encoded.tokens_BND[:, 9]).abs().max() > 1e-3
    with torch.no_grad():
        encoder.get_parameter("mask_token")[0] += 1.0
    changed = encoder(batch, hidden_B1N).tokens_BND - encoded.tokens_BND
    assert changed[:, 0].abs().max() > 1e-4
