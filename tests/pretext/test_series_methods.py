"""The methods of series beyond the contract: what each asks, and that no answer leaks."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from sslsearch import registry
from sslsearch.encoders.base import Encoder
from sslsearch.pretext.autoregressive import moments
from sslsearch.pretext.base import Pretext
from sslsearch.pretext.build import build
from sslsearch.pretext.transform_prediction import TRANSFORMS, transformed
from sslsearch.values import Batch, InputSpec


def made(name: str, **knobs: Any) -> tuple[Encoder, Pretext]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        size = {"patch": 4, "depth": 1, "width": 8, "heads": 2}
        spec = InputSpec("timeseries", {"channels": 2, "length": 40})
        online: Encoder = registry.get("encoder", "transformer").bind(size)(spec)
        return online, build(online, {name: knobs})


def series(B: int = 5, T: int = 40) -> Batch:
    x = torch.randn(B, 2, T, generator=torch.Generator().manual_seed(0))
    return Batch(x, torch.ones(B, T, dtype=torch.bool), torch.arange(B))


def test_moments_leave_something_behind_them() -> None:
    valid_BN = torch.arange(10) < torch.tensor([10, 5, 2, 1, 0]).repeat_interleave(200)[:, None]
    place_BN, last_B1 = moments(valid_BN, torch.Generator().manual_seed(0))
    behind_B = ((place_BN > last_B1) & valid_BN).sum(1).reshape(5, 200)
    assert (behind_B[:3] >= 1).all()
    assert (behind_B[3:] == 0).all()
    assert set(last_B1[:200].flatten().tolist()) == set(range(9))


def test_transforms_take_the_validity_with_them() -> None:
    batch = series(B=2)
    valid = torch.arange(40).expand(2, 40) < 20
    _, pretext = made("transform_prediction")
    places = {name: k for k, name in enumerate(TRANSFORMS)}
    which_B = torch.tensor([places["reversed"], places["as it is"]])
    batch = batch.with_x(batch.x, valid)
    seen = transformed(batch, pretext.transforms, which_B, torch.Generator().manual_seed(0))
    assert torch.equal(seen.valid, torch.stack([valid[0].flip(-1), valid[1]]))


def test_tnc_windows_are_near_or_far_and_inside() -> None:
    _, pretext = made("tnc", windows=10, near=0.4)
    valid_BN = torch.arange(100) < torch.tensor([100, 60, 7]).repeat_interleave(500)[:, None]
    drawn = pretext._draw(valid_BN, 10, torch.Generator().manual_seed(0)).reshape(3, 500, 3)
    begin, near, far = drawn.unbind(2)
    for row, last in enumerate((90, 50, 0)):
        assert int(drawn[row].min()) >= 0
        assert int(drawn[row].max()) <= last
    inner = (begin[0] > 20) & (begin[0] < 70)
    offset = (near[0] - begin[0])[inner].float()
    assert float(offset.std()) == pytest.approx(4, rel=0.15)  # 0.4 windows of 10 tokens
    assert ((far[0] - begin[0]).abs() >= 20).all()  # 5 × 0.4 windows
    assert int((far[1] - begin[1]).abs().min()) >= 20
