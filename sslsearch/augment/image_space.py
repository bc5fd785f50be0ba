"""Augmentations of images that move pixels: crop, flip, rotate, translate, shear.

Values are in 0..1. What is read from outside of an image is black, as in torchvision.
Shapes: x_BCHW with B = samples, C = channels, H, W = pixels; A = attempts.
"""

from __future__ import annotations

import math
from typing import Annotated

import torch
from pydantic import Field

from sslsearch.augment.draw import happens, uniform
from sslsearch.augment.image_draw import in_blocks, resample, warp
from sslsearch.registry import Identity, Positive, Probability, Ratio, Unit, register

SZEGEDY = "Szegedy et al. 2015, arXiv:1409.4842"
AUTOAUGMENT = "Cubuk et al. 2019, arXiv:1805.09501"
ATTEMPTS = 10  # to draw a box that fits, as torchvision's
Degrees = Annotated[float, Field(ge=0, le=180), Unit("degrees"), Identity(0.0)]


@register("augment", modality="image", traits={"moves_pixels"}, paper=SZEGEDY)
def random_resized_crop(
    x_BCHW: torch.Tensor,
    rng: torch.Generator,
    *,
    scale: Annotated[
        Positive, Field(le=1), Unit("least share of the area kept"), Identity(1.0)
    ] = 0.08,
    aspect: Annotated[
        Positive, Field(le=1), Unit("narrowest, times the image's own aspect")
    ] = 0.75,
) -> torch.Tensor:
    """Cut out a box and stretch it to the whole size, linearly.

    Its area is uniform between `scale` and 1, its aspect log-uniform between `aspect` and
    1 / `aspect`; where no box fits in ten attempts the image stays whole.
    """
    if scale == 1:
        return x_BCHW.clone()
    B, _, H, W = x_BCHW.shape
    box_4B = boxes(B, H, W, scale, aspect, rng)
    return in_blocks(resized_crop, x_BCHW, *box_4B)


def boxes(
    B: int, H: int, W: int, scale: float, aspect: float, rng: torch.Generator
) -> torch.Tensor:
    """(4, B) whole numbers as floats: top, left, height, width."""
    area_BA = uniform((B, ATTEMPTS), scale, 1.0, rng)
    shape_BA = uniform((B, ATTEMPTS), math.log(aspect), -math.log(aspect), rng).exp()
    wide_BA = (W * (area_BA * shape_BA).sqrt()).round()
    tall_BA = (H * (area_BA / shape_BA).sqrt()).round()
    fits_BA = (wide_BA >= 1) & (wide_BA <= W) & (tall_BA >= 1) & (tall_BA <= H)
    first_B1 = fits_BA.to(torch.uint8).argmax(1, keepdim=True)
    fits_B = fits_BA.any(1)
    tall_B = tall_BA.gather(1, first_B1)[:, 0].where(fits_B, float(H))
    wide_B = wide_BA.gather(1, first_B1)[:, 0].where(fits_B, float(W))
    top_B = (uniform((B,), 0.0, 1.0, rng) * (H - tall_B + 1)).floor()
    left_B = (uniform((B,), 0.0, 1.0, rng) * (W - wide_B + 1)).floor()
    return torch.stack([top_B, left_B, tall_B, wide_B])


def resized_crop(
    x_BCHW: torch.Tensor,
    top_B: torch.Tensor,
    left_B: torch.Tensor,
    tall_B: torch.Tensor,
    wide_B: torch.Tensor,
) -> torch.Tensor:
    """Each box stretched to the whole size; nothing from outside of a box is read."""
    H, W = x_BCHW.shape[-2:]

    def places(size: int, start_B: torch.Tensor, length_B: torch.Tensor) -> torch.Tensor:
        middle = torch.arange(size, device=x_BCHW.device) + 0.5
        place_BS = middle * (length_B[:, None] / size) - 0.5
        return place_BS.clamp(min=0).minimum(length_B[:, None] - 1) + start_B[:, None]

    across_B1W = places(W, left_B, wide_B)[:, None]
    down_BH1 = places(H, top_B, tall_B)[:, :, None]
    return resample(x_BCHW, across_B1W, down_BH1)


@register("augment", modality="image", traits={"moves_pixels"})
def horizontal_flip(
    x_BCHW: torch.Tensor,
    rng: torch.Generator,
    *,
    p: Annotated[Probability, Unit("probability per sample"), Identity(0.0)] = 0.5,
) -> torch.Tensor:
    """Mirror left and right."""
    return torch.where(happens(x_BCHW, p, rng)[..., None], x_BCHW.flip(-1), x_BCHW)


@register("augment", modality="image", traits={"moves_pixels"})
def vertical_flip(
    x_BCHW: torch.Tensor,
    rng: torch.Generator,
    *,
    p: Annotated[Probability, Unit("probability per sample"), Identity(0.0)] = 0.5,
) -> torch.Tensor:
    """Mirror top and bottom: for images that have no upside."""
    return torch.where(happens(x_BCHW, p, rng)[..., None], x_BCHW.flip(-2), x_BCHW)


@register("augment", modality="image", traits={"moves_pixels"}, paper=AUTOAUGMENT)
def rotate(x_BCHW: torch.Tensor, rng: torch.Generator, *, degrees: Degrees = 30.0) -> torch.Tensor:
    """Turn about the middle by an angle uniform in ±degrees."""
    turn_B = torch.deg2rad(uniform((len(x_BCHW),), -degrees, degrees, rng))
    return in_blocks(rotated, x_BCHW, turn_B)


def rotated(x_BCHW: torch.Tensor, turn_B: torch.Tensor) -> torch.Tensor:
    """Counter-clockwise by radians."""
    cos, sin = turn_B.cos(), turn_B.sin()
    matrix_B22 = torch.stack([cos, -sin, sin, cos], -1).view(-1, 2, 2)
    return warp(x_BCHW, matrix_B22, torch.zeros_like(matrix_B22[:, 0]))


@register("augment", modality="image", traits={"moves_pixels"}, paper=AUTOAUGMENT)
def translate(
    x_BCHW: torch.Tensor,
    rng: torch.Generator,
    *,
    ratio: Annotated[Ratio, Unit("share of the width and height"), Identity(0.0)] = 0.125,
) -> torch.Tensor:
    """Shift by whole pixels, uniform in ±ratio of each side."""
    H, W = x_BCHW.shape[-2:]
    share_B2 = uniform((len(x_BCHW), 2), -ratio, ratio, rng)
    return in_blocks(translated, x_BCHW, (share_B2 * torch.tensor([W, H]).to(share_B2)).round())


def translated(x_BCHW: torch.Tensor, pixels_B2: torch.Tensor) -> torch.Tensor:
    """To the right and down."""
    eye_B22 = torch.eye(2, device=x_BCHW.device).expand(len(x_BCHW), 2, 2)
    return warp(x_BCHW, eye_B22, -pixels_B2)


@register("augment", modality="image", traits={"moves_pixels"}, paper=AUTOAUGMENT)
def shear(
    x_BCHW: torch.Tensor,
    rng: torch.Generator,
    *,
    degrees: Annotated[float, Field(ge=0, lt=90), Unit("degrees"), Identity(0.0)] = 17.0,
) -> torch.Tensor:
    """Slant along the rows and along the columns, each by an angle uniform in ±degrees."""
    angle_B2 = torch.deg2rad(uniform((len(x_BCHW), 2), -degrees, degrees, rng))
    return in_blocks(sheared, x_BCHW, angle_B2)


def sheared(x_BCHW: torch.Tensor, angle_B2: torch.Tensor) -> torch.Tensor:
    """By radians across and down; what is read are its rows slanted after its columns."""
    across, down = angle_B2.tan().unbind(1)
    one = torch.ones_like(across)
    matrix_B22 = torch.stack([1 + across * down, across, down, one], -1).view(-1, 2, 2)
    return warp(x_BCHW, matrix_B22, torch.zeros_like(angle_B2))
