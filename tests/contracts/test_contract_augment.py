"""What every augmentation of series must keep to, read off the registry.

Shapes: B = samples, C = channels, T = time steps.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch

from sslsearch import registry
from sslsearch.registry import Identity, Part, Unit, marker

PARTS = registry.parts("augment", "timeseries")
MOVERS = {name: part for name, part in PARTS.items() if "moves_time" in part.traits}
IDENTITIES = [
    (name, knob, marker(info, Identity).value)
    for name, part in PARTS.items()
    for knob, info in part.knobs.model_fields.items()
    if marker(info, Identity) is not None
]

every_part = pytest.mark.parametrize("part", PARTS.values(), ids=PARTS.keys())
every_mover = pytest.mark.parametrize("part", MOVERS.values(), ids=MOVERS.keys())


def series(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(7))


def run(part: Part, x: torch.Tensor, seed: int = 0, **knobs: Any) -> torch.Tensor:
    return part.bind(knobs)(x, torch.Generator().manual_seed(seed))


def test_the_registry_holds_the_literature() -> None:
    assert {"jitter", "crop_resize", "time_warp", "permutation", "frequency_mask"} <= set(PARTS)
    assert {"crop_resize", "time_warp", "permutation", "reverse", "time_shift"} <= set(MOVERS)


@every_part
@pytest.mark.parametrize("steps", [1, 2, 3, 7, 427])
def test_shape_dtype_and_finite(part: Part, steps: int) -> None:
    for samples, channels in ((1, 1), (5, 1), (1, 2), (5, 4)):
        x = series(samples, channels, steps)
        for seed in range(3):
            view = run(part, x, seed)
            assert view.shape == x.shape
            assert view.dtype == torch.float32
            assert view.isfinite().all()


@every_part
@pytest.mark.parametrize("value", [0.0, 3.0])
def test_constant_input_stays_finite(part: Part, value: float) -> None:
    assert run(part, torch.full((4, 3, 20), value)).isfinite().all()


@every_part
def test_same_seed_same_view_and_input_untouched(part: Part) -> None:
    x = series(6, 3, 50)
    before = x.clone()
    assert torch.equal(run(part, x), run(part, x))
    assert torch.equal(x, before)


@every_part
def test_two_reads_differ(part: Part) -> None:
    x, rng = series(6, 3, 50), torch.Generator().manual_seed(0)
    augment = part.bind({})
    assert not torch.allclose(augment(x, rng), augment(x, rng))


@every_part
def test_each_sample_is_drawn_apart(part: Part) -> None:
    view = run(part, series(1, 3, 50).expand(8, -1, -1))
    assert len(torch.unique(view, dim=0)) > 1


@every_part
def test_a_sample_is_not_mixed_with_others(part: Part) -> None:
    x = series(4, 3, 50)
    changed = x.clone()
    changed[0] = 9.0
    assert torch.allclose(run(part, x)[1:], run(part, changed)[1:], atol=1e-5)


@every_part
def test_channels_are_not_mixed(part: Part) -> None:
    if "mixes_channels" in part.traits:
        pytest.skip("mixing channels is what it does")
    x = series(4, 3, 50)
    changed = x.clone()
    changed[:, 0] = series(4, 1, 50)[:, 0] * 2 + 1
    assert torch.allclose(run(part, x)[:, 1:], run(part, changed)[:, 1:], atol=1e-5)


@pytest.mark.parametrize(("name", "knob", "value"), IDENTITIES)
def test_identity_knob_changes_nothing(name: str, knob: str, value: Any) -> None:
    for steps in (1, 2, 51, 128):
        x = series(6, 3, steps)
        assert torch.allclose(run(PARTS[name], x, **{knob: value}), x, atol=1e-4)


@every_part
def test_it_has_an_identity_and_speaks_in_units(part: Part) -> None:
    fields = part.knobs.model_fields
    assert any(marker(info, Identity) is not None for info in fields.values())
    assert all(marker(info, Unit) is not None for info in fields.values())
    assert part.summary.endswith(".")
    assert len(part.summary) > 20


@every_mover
@pytest.mark.parametrize("steps", [2, 7, 90])
def test_movers_move_all_channels_alike(part: Part, steps: int) -> None:
    x = series(6, 1, steps).expand(-1, 3, -1) * torch.tensor([1.0, 2.0, -1.0])[:, None]
    view = run(part, x)
    assert torch.allclose(view[:, 1], 2 * view[:, 0], atol=1e-5)
    assert torch.allclose(view[:, 2], -view[:, 0], atol=1e-5)


@every_mover
def test_movers_do_not_depend_on_how_many_channels_there_are(part: Part) -> None:
    x = series(6, 3, 60)
    assert torch.allclose(run(part, x)[:, :1], run(part, x[:, :1]), atol=1e-5)


@every_mover
def test_movers_invent_no_values(part: Part) -> None:
    x = series(6, 2, 60)
    view = run(part, x)
    assert (view >= x.amin(2, keepdim=True) - 1e-5).all()
    assert (view <= x.amax(2, keepdim=True) + 1e-5).all()


@pytest.mark.gpu
@every_part
def test_it_runs_where_its_input_is(part: Part) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    rng = torch.Generator("cuda").manual_seed(0)
    view = part.bind({})(series(6, 3, 51).cuda(), rng)
    assert view.is_cuda
    assert view.isfinite().all()
