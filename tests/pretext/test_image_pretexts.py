"""What RotNet and jigsaw ask: rotations as the authors make them, orders far apart, fair tiles."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sslsearch import registry
from sslsearch.encoders.base import Encoder
from sslsearch.masking.build import build as masking
from sslsearch.pretext import jigsaw, rotnet
from sslsearch.values import Batch, InputSpec

SPEC = InputSpec("image", {"channels": 3, "height": 12, "width": 12})


def images(B: int = 4, H: int = 12, W: int = 12) -> Batch:
    x_BCHW = torch.rand(B, 3, H, W, generator=torch.Generator().manual_seed(0))
    return Batch(x_BCHW, torch.ones(B, 1, dtype=torch.bool), torch.arange(B))


def convnet() -> Encoder:
    torch.manual_seed(0)
    encoder: Encoder = registry.get("encoder", "convnet").bind({"width": 16})(SPEC)
    return encoder


def test_rotnet_knows_its_answers() -> None:
    encoder = convnet()
    pretext = rotnet.RotNet(encoder)
    loss = pretext.loss(encoder, [images()], torch.Generator())
    assert float(loss.total.detach()) == pytest.approx(np.log(4), abs=0.3)
    with pytest.raises(ValueError, match=r"square images, but these are 12 x 9.*data\.size=9"):
        pretext.loss(encoder, [images(W=9)], torch.Generator())


def test_orders_are_orders_and_far_apart() -> None:
    for count, orders in ((4, 24), (9, 100)):
        order_KS = jigsaw.far_apart(count, orders)
        assert len(torch.unique(order_KS, dim=0)) == orders
        assert torch.equal(order_KS.sort(1).values, torch.arange(count).expand(orders, -1))
    apart = (order_KS[:, None] != order_KS[None]).sum(2).float()
    rng = torch.Generator().manual_seed(1)
    drawn = torch.rand(100, 9, generator=rng).argsort(1)
    by_chance = (drawn[:, None] != drawn[None]).sum(2).float()
    pairs = 100 * 99
    assert apart.sum() / pairs > by_chance.sum() / pairs + 0.05  # 9 is the most, 8 is by chance


def test_tiles_lie_inside_their_cells() -> None:
    place = torch.arange(12.0)
    x = (12 * place[:, None] + place).expand(50, 1, 12, 12)  # a pixel's value is its place
    cut = jigsaw.tiles(x, 3, 0.5, torch.Generator().manual_seed(0))
    assert cut.shape == (50, 9, 1, 2, 2)
    row, column = (cut // 12).long(), (cut % 12).long()
    number = torch.arange(9)[:, None, None, None]
    assert torch.equal(row // 4, (number // 3).expand_as(row))
    assert torch.equal(column // 4, (number % 3).expand_as(row))
    assert len(torch.unique(cut[:, 0], dim=0)) == 9
    assert torch.equal(cut[..., 1, 1] - cut[..., 0, 0], torch.full((50, 9, 1), 13.0))


def test_grid_masking_is_maes_grid() -> None:
    valid = torch.ones(20, 1, 64, dtype=torch.bool)
    hidden = masking({"grid": {"ratio": 0.75}})(valid, torch.Generator().manual_seed(0), (8, 8))
    shown = ~hidden.view(20, 8, 8)
    for plane in shown:
        rows, columns = plane.any(1).nonzero()[:, 0], plane.any(0).nonzero()[:, 0]
        assert len(rows) == len(columns) == 4
        assert (rows.diff() == 2).all()
        assert (columns.diff() == 2).all()
    half = masking({"grid": {"ratio": 0.5}})(valid, torch.Generator().manual_seed(0), (8, 8))
    plane = half.view(20, 8, 8)
    assert (plane[:, 1:] != plane[:, :-1]).all()
    assert (plane[:, :, 1:] != plane[:, :, :-1]).all()


def test_blocks_are_blocks() -> None:
    valid = torch.ones(64, 1, 196, dtype=torch.bool)
    rng = torch.Generator().manual_seed(0)

    def joined(name: str) -> float:
        """The share of hidden tokens whose right neighbour is hidden too."""
        plane = masking({name: {"ratio": 0.4}})(valid, rng, (14, 14)).view(64, 14, 14)
        assert plane.flatten(1).sum(1).eq(78).all()
        return float((plane[:, :, :-1] & plane[:, :, 1:]).sum() / plane[:, :, :-1].sum())

    assert joined("block") > 0.7
    assert joined("random") < 0.5
