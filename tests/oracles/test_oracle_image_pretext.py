"""RotNet and jigsaw against the authors' rotations and a slow loop over tiles."""

from __future__ import annotations

import numpy as np
import torch

from sslsearch import registry
from sslsearch.encoders.base import Encoder
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


def test_rotnet_turns_as_authors() -> None:
    """github.com/gidariss/FeatureLearningRotNet, dataloader.py: rotate_img, of H x W x C."""
    authors = {
        0: lambda img: img,
        1: lambda img: np.flipud(np.transpose(img, (1, 0, 2))),
        2: lambda img: np.fliplr(np.flipud(img)),
        3: lambda img: np.transpose(np.flipud(img), (1, 0, 2)),
    }
    batch = images()
    turned = rotnet.all_turns(batch).x.unflatten(0, (4, len(batch)))
    for turn, rotate in authors.items():
        for ours, image in zip(turned[turn], batch.x, strict=True):
            want = rotate(image.permute(1, 2, 0).numpy())
            np.testing.assert_array_equal(ours.permute(1, 2, 0).numpy(), want)


def test_jigsaw_lays_tiles_in_the_order_asked_for() -> None:
    encoder = convnet()
    pretext = jigsaw.Jigsaw(encoder, side=3, gap=0.0, orders=10)
    seen = []
    encoder.register_forward_pre_hook(lambda _, given: seen.append(given[0].x))
    batch, rng = images(), torch.Generator().manual_seed(3)
    pretext.loss(encoder, [batch], rng)
    asked_B = torch.randint(10, (len(batch),), generator=torch.Generator().manual_seed(3))
    tile = jigsaw.standardised(jigsaw.tiles(batch.x, 3, 0.0, torch.Generator()))
    for b, asked in enumerate(asked_B):
        want = tile[b][pretext.order_KS[asked]]
        torch.testing.assert_close(seen[0].unflatten(0, (4, 9))[b], want)
