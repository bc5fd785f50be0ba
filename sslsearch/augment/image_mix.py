"""Augmentations of images that mix another image of the batch in.

Every loss here takes a view to be of one sample, so the sample keeps the larger share (Niizumi et
al. 2021, BYOL for Audio, arXiv:2103.06695, mix so): nothing is asked of the other one, and no
target is mixed. Among workers the other image is one of the worker's own.

Shapes: x_BCHW with B = samples, C = channels, H, W = pixels.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from sslsearch.augment.draw import uniform
from sslsearch.augment.image_draw import per_sample
from sslsearch.registry import Identity, NonNegative, Unit, register

Share = Annotated[NonNegative, Field(lt=0.5), Unit("of the other image, at most"), Identity(0.0)]


@register(
    "augment",
    modality="image",
    traits={"mixes_samples"},
    paper="Zhang et al. 2018, arXiv:1710.09412",
)
def mixup(x_BCHW: torch.Tensor, rng: torch.Generator, *, ratio: Share = 0.4) -> torch.Tensor:
    """Blend another image in; its share is uniform between 0 and `ratio`."""
    other_B = others(len(x_BCHW), rng)
    share_B = uniform((len(x_BCHW),), 0.0, ratio, rng)
    return x_BCHW.lerp(x_BCHW[other_B], per_sample(share_B))


@register(
    "augment",
    modality="image",
    traits={"mixes_samples"},
    paper="Yun et al. 2019, arXiv:1905.04899",
)
def cutmix(x_BCHW: torch.Tensor, rng: torch.Generator, *, ratio: Share = 0.4) -> torch.Tensor:
    """Put a box of another image in its place; its area is uniform between 0 and `ratio`."""
    B, _, H, W = x_BCHW.shape
    other_B = others(B, rng)
    side_B = uniform((B,), 0.0, ratio, rng).sqrt()
    inside = []
    for size in (H, W):
        length_B = (side_B * size).floor()
        start_B = (uniform((B,), 0.0, 1.0, rng) * (size - length_B + 1)).floor()
        place_S = torch.arange(size, device=x_BCHW.device)
        after = place_S >= start_B[:, None]
        inside.append(after & (place_S < (start_B + length_B)[:, None]))
    box_B1HW = inside[0][:, None, :, None] & inside[1][:, None, None]
    return torch.where(box_B1HW, x_BCHW[other_B], x_BCHW)


def others(B: int, rng: torch.Generator) -> torch.Tensor:
    """For each sample the place of another one, all different; itself where there is no other."""
    order_B = torch.randperm(B, generator=rng, device=rng.device)
    return torch.empty_like(order_B).scatter_(0, order_B, order_B.roll(1))
