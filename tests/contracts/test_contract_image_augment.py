"""What every augmentation of images must keep to, read off the registry.

Shapes: B = samples, C = channels, H, W = pixels.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch

from sslsearch import registry
from sslsearch.registry import Identity, Part, Unit, marker

PARTS = registry.parts("augment", "image")
IDENTITIES = [
    (name, knob, marker(info, Identity).value)
    for name, part in PARTS.items()
    for knob, info in part.knobs.model_fields.items()
    if marker(info, Identity) is not None
]
every_part = pytest.mark.parametrize("part", PARTS.values(), ids=PARTS.keys())
SIZES = [(1, 1), (2, 3), (8, 8), (13, 32)]


def images(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(7))


def run(part: Part, x: torch.Tensor, seed: int = 0, **knobs: Any) -> torch.Tensor:
    return part.bind(knobs)(x, torch.Generator().manual_seed(seed))


def test_the_registry_holds_the_literature() -> None:
    assert {"random_resized_crop", "colour_jitter", "gaussian_blur", "rotate"} <= set(PARTS)


@every_part
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("samples", "channels"), [(1, 1), (5, 3), (3, 4)])
def test_shape_type_and_range(
    part: Part, size: tuple[int, int], samples: int, channels: int
) -> None:
    for x in (images(samples, channels, *size), torch.zeros(samples, channels, *size)):
        for seed in range(3):
            view = run(part, x, seed)
            assert view.shape == x.shape
            assert view.dtype == torch.float32
            assert view.min() >= -1e-6
            assert view.max() <= 1 + 1e-6


@every_part
def test_same_seed_same_view_and_input_untouched(part: Part) -> None:
    x = images(6, 3, 12, 12)
    before = x.clone()
    assert torch.equal(run(part, x), run(part, x))
    assert torch.equal(x, before)


@every_part
def test_two_reads_differ(part: Part) -> None:
    x, rng = images(16, 3, 12, 12), torch.Generator().manual_seed(0)
    augment = part.bind({})
    assert not torch.allclose(augment(x, rng), augment(x, rng))


@every_part
def test_each_sample_is_drawn_apart(part: Part) -> None:
    x = images(1, 3, 12, 12).expand(16, -1, -1, -1)
    if "mixes_samples" in part.traits:  # the other images tell draws apart, not the own
        x = torch.cat([x, 1 - x])
    view = run(part, x)[:16]
    assert len(torch.unique(view, dim=0)) > 1


@every_part
def test_a_sample_is_not_mixed_with_others(part: Part) -> None:
    if "mixes_samples" in part.traits:
        pytest.skip("mixing samples is what it does")
    x = images(4, 3, 12, 12)
    changed = x.clone()
    changed[0] = 0.9
    assert torch.allclose(run(part, x)[1:], run(part, changed)[1:], atol=1e-5)


@every_part
def test_large_batches_are_the_same_in_blocks(part: Part, monkeypatch: pytest.MonkeyPatch) -> None:
    x = images(9, 3, 12, 12)
    whole = run(part, x)
    monkeypatch.setattr("sslsearch.augment.image_draw.BLOCK", 2 * x[0].numel())
    assert torch.allclose(run(part, x), whole, atol=1e-6)


@pytest.mark.parametrize(("name", "knob", "value"), IDENTITIES)
def test_identity_knob_changes_nothing(name: str, knob: str, value: Any) -> None:
    for size in SIZES:
        x = images(6, 3, *size)
        assert torch.allclose(run(PARTS[name], x, **{knob: value}), x, atol=1e-5)


@every_part
def test_it_has_an_identity_and_speaks_in_units(part: Part) -> None:
    fields = part.knobs.model_fields
    assert any(marker(info, Identity) is not None for info in fields.values())
    assert all(marker(info, Unit) is not None for info in fields.values())
    assert part.summary.endswith(".")


@pytest.mark.gpu
@every_part
def test_it_runs_where_its_input_is(part: Part) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    rng = torch.Generator("cuda").manual_seed(0)
    view = part.bind({})(images(6, 3, 12, 12).cuda(), rng)
    assert view.is_cuda
    assert view.isfinite().all()
