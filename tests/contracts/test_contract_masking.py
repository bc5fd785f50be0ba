"""What every masking must keep to, read off the registry.

Shapes: B = samples, C = channels, N = tokens. True = valid, True = hidden.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch

from sslsearch import registry
from sslsearch.masking.build import build
from sslsearch.registry import Part, Unit, marker

PARTS = registry.parts("masking", "timeseries")
every_part = pytest.mark.parametrize("part", PARTS.values(), ids=PARTS.keys())
ratios = pytest.mark.parametrize("ratio", [0.01, 0.15, 0.5, 0.75, 0.99])


def hide(part: Part, valid_BCN: torch.Tensor, seed: int = 0, **knobs: Any) -> torch.Tensor:
    rng = torch.Generator(valid_BCN.device).manual_seed(seed)
    return build({part.name: knobs})(valid_BCN, rng, plane(valid_BCN.shape[2]))


def plane(tokens: int) -> tuple[int, int]:
    """The squarest grid of so many tokens."""
    rows = next(r for r in range(int(tokens**0.5), 0, -1) if tokens % r == 0)
    return rows, tokens // rows


def patchy(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(3)) < 0.6


def test_the_registry_holds_the_literature() -> None:
    assert {"random", "span", "channel", "block", "grid"} <= set(PARTS)


@every_part
@ratios
@pytest.mark.parametrize("shape", [(1, 2, 2), (5, 3, 7), (16, 2, 53)])
def test_hides_some_and_shows_some_of_the_valid_only(
    part: Part, ratio: float, shape: tuple[int, ...]
) -> None:
    for valid in (torch.ones(shape, dtype=torch.bool), patchy(*shape)):
        before = valid.clone()
        for seed in range(3):
            hidden = hide(part, valid, seed, ratio=ratio)
            assert hidden.shape == valid.shape
            assert hidden.dtype == torch.bool
            assert not (hidden & ~valid).any()
            unit = 2 if "channels" in part.needs else 1  # candidates: channels, or tokens
            enough = valid.any(dim=unit).sum(dim=1) >= 2
            if "each_channel" in part.traits:  # tokens of one channel
                enough = (valid.sum(dim=2) >= 2).any(dim=1)
            assert hidden.flatten(1).any(dim=1)[enough].all()
            assert (valid & ~hidden).flatten(1).any(dim=1)[enough].all()
        assert torch.equal(valid, before)


@every_part
def test_ratio_zero_hides_nothing(part: Part) -> None:
    assert not hide(part, torch.ones(4, 3, 20, dtype=torch.bool), ratio=0.0).any()


@every_part
def test_nothing_valid_or_one_token_hides_nothing(part: Part) -> None:
    valid = torch.zeros(2, 3, 9, dtype=torch.bool)
    valid[1, 0, 4] = True
    assert not hide(part, valid).any()


@every_part
def test_same_seed_same_mask_and_fresh_draws_differ(part: Part) -> None:
    valid, rng = torch.ones(8, 4, 40, dtype=torch.bool), torch.Generator().manual_seed(0)
    assert torch.equal(hide(part, valid), hide(part, valid))
    masking = build({part.name: {}})
    assert not torch.equal(masking(valid, rng, (5, 8)), masking(valid, rng, (5, 8)))


@every_part
def test_each_sample_is_drawn_apart(part: Part) -> None:
    hidden = hide(part, torch.ones(8, 4, 40, dtype=torch.bool))
    assert len(torch.unique(hidden, dim=0)) > 1


@every_part
def test_it_speaks_in_units(part: Part) -> None:
    assert all(marker(info, Unit) is not None for info in part.knobs.model_fields.values())
    assert part.summary.endswith(".")


@pytest.mark.gpu
@every_part
def test_it_runs_where_its_input_is(part: Part) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    assert hide(part, torch.ones(8, 4, 40, dtype=torch.bool, device="cuda")).is_cuda
