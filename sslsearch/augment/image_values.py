"""Augmentations of images that blur, add noise or take something out.

Values are in 0..1 before and after.
Shapes: x_BCHW with B = samples, C = channels, H, W = pixels; R = reach of the blur.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch.nn import functional as F

from sslsearch.augment.draw import uniform
from sslsearch.augment.image_draw import in_blocks, per_sample, with_probability
from sslsearch.registry import Identity, NonNegative, Positive, Probability, Ratio, Unit, register

SHARPEST = 0.1  # pixels: the least sigma of SimCLR's blur


@register("augment", modality="image", paper="Chen et al. 2020, arXiv:2002.05709")
def gaussian_blur(
    x_BCHW: torch.Tensor,
    rng: torch.Generator,
    *,
    sigma: Annotated[Positive, Field(ge=SHARPEST), Unit("pixels, at most")] = 2.0,
    kernel: Annotated[Positive, Field(le=1), Unit("share of the shorter side")] = 0.1,
    p: Annotated[Probability, Unit("probability per sample"), Identity(0.0)] = 0.5,
) -> torch.Tensor:
    """Blur by a Gaussian whose deviation is uniform between 0.1 and `sigma`, mirrored at edges.

    The kernel is 3 pixels wide at least, and cut off at `kernel` of the shorter side.
    """
    side = min(x_BCHW.shape[-2:])
    reach = min(max(1, int(kernel * side / 2)), side - 1)
    sigma_B = uniform((len(x_BCHW),), SHARPEST, sigma, rng)
    if reach == 0:
        return x_BCHW.clone()
    return with_probability(p, x_BCHW, rng, lambda x, s: blurred(x, s, reach), sigma_B)


def blurred(x_BCHW: torch.Tensor, sigma_B: torch.Tensor, reach: int) -> torch.Tensor:
    """Down, then across; neighbours at the same distance have the same weight."""
    place_R = torch.arange(reach + 1, device=x_BCHW.device)
    weight_BR = torch.exp(-0.5 * (place_R / sigma_B[:, None]).square())
    weight_BR = weight_BR / (2 * weight_BR.sum(1, keepdim=True) - 1)
    for axis, pad in ((2, (0, 0, reach, reach)), (3, (reach, reach, 0, 0))):
        size, padded = x_BCHW.shape[axis], F.pad(x_BCHW, pad, mode="reflect")
        x_BCHW = x_BCHW * per_sample(weight_BR[:, 0])
        for r in range(1, reach + 1):
            both = padded.narrow(axis, reach - r, size) + padded.narrow(axis, reach + r, size)
            x_BCHW.addcmul_(both, per_sample(weight_BR[:, r]))
    return x_BCHW


@register("augment", modality="image")
def gaussian_noise(
    x_BCHW: torch.Tensor,
    rng: torch.Generator,
    *,
    sigma: Annotated[NonNegative, Unit("of the range of values, at most"), Identity(0.0)] = 0.1,
) -> torch.Tensor:
    """Add white noise whose deviation is uniform between 0 and `sigma`, for each sample."""
    sigma_B = uniform((len(x_BCHW),), 0.0, sigma, rng)
    noise_BCHW = torch.randn(x_BCHW.shape, generator=rng, device=x_BCHW.device)
    return torch.addcmul(x_BCHW, noise_BCHW, per_sample(sigma_B)).clamp_(0, 1)


@register("augment", modality="image", paper="DeVries & Taylor 2017, arXiv:1708.04552")
def cutout_square(
    x_BCHW: torch.Tensor,
    rng: torch.Generator,
    *,
    size: Annotated[Ratio, Unit("share of the shorter side"), Identity(0.0)] = 0.5,
) -> torch.Tensor:
    """Paint a square in the image's mean colour; its middle is anywhere, so it may stick out."""
    H, W = x_BCHW.shape[-2:]
    side = round(size * min(H, W))
    middle_2B = uniform((2, len(x_BCHW)), 0.0, 1.0, rng)
    top_B, left_B = ((middle_2B[i] * (H, W)[i]).floor() - side // 2 for i in range(2))
    return in_blocks(lambda x, top, left: cut(x, top, left, side), x_BCHW, top_B, left_B)


def cut(x_BCHW: torch.Tensor, top_B: torch.Tensor, left_B: torch.Tensor, side: int) -> torch.Tensor:
    def within(size: int, start_B: torch.Tensor) -> torch.Tensor:
        place_S = torch.arange(size, device=x_BCHW.device)
        return (place_S >= start_B[:, None]) & (place_S < start_B[:, None] + side)

    H, W = x_BCHW.shape[-2:]
    inside_B1HW = within(H, top_B)[:, None, :, None] & within(W, left_B)[:, None, None]
    return torch.where(inside_B1HW, x_BCHW.mean((2, 3), keepdim=True), x_BCHW)
