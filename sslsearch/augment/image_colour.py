"""Augmentations of images that change colours: jitter, grayscale, solarise, posterise.

Values are in 0..1 before and after. Grey images (one channel) have no saturation and no hue.
Shapes: x_BCHW with B = samples, C = channels, H, W = pixels; M = samples that are changed.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from sslsearch.augment.draw import uniform
from sslsearch.augment.image_draw import per_sample, with_probability
from sslsearch.registry import Identity, NonNegative, Probability, Unit, register

SIMCLR = "Chen et al. 2020, arXiv:2002.05709"
BYOL = "Grill et al. 2020, arXiv:2006.07733"
LUMA = (0.2989, 0.587, 0.114)  # of red, green and blue, ITU-R 601 as torchvision rounds it
Share = Annotated[NonNegative, Field(le=1), Unit("largest change, as a share")]
P = Annotated[Probability, Unit("probability per sample"), Identity(0.0)]


@register("augment", modality="image", paper=SIMCLR)
def colour_jitter(
    x_BCHW: torch.Tensor,
    rng: torch.Generator,
    *,
    brightness: Share = 0.8,
    contrast: Share = 0.8,
    saturation: Share = 0.8,
    hue: Annotated[float, Field(ge=0, le=0.5), Unit("largest change, in turns")] = 0.2,
    p: P = 0.8,
) -> torch.Tensor:
    """Change brightness, contrast, saturation and hue, one after the other.

    A factor is uniform in 1 ± its knob, for each sample; the hue moves by up to ±hue of a turn.
    The order is drawn once for a batch (torchvision draws it for each image).
    """
    B, C = x_BCHW.shape[:2]
    ways = [brighter, more_contrast, more_saturated, hue_shifted][: 4 if C == 3 else 2]
    spans = (brightness, contrast, saturation, hue)
    drawn_4B = uniform((4, B), -1.0, 1.0, rng) * torch.tensor(spans, device=rng.device)[:, None]
    drawn_4B[:3] += 1.0
    order = torch.randperm(4, generator=rng, device=rng.device).tolist()
    steps = [way for way in order if way < len(ways) and spans[way] > 0]

    def change(x_MCHW: torch.Tensor, drawn_M4: torch.Tensor) -> torch.Tensor:
        for way in steps:
            x_MCHW = ways[way](x_MCHW, drawn_M4[:, way])
        return x_MCHW

    return with_probability(p, x_BCHW, rng, change, drawn_4B.T)


def luma(x_BCHW: torch.Tensor) -> torch.Tensor:
    """x_B1HW: how bright it looks."""
    if x_BCHW.shape[1] != 3:
        return x_BCHW.mean(1, keepdim=True)
    red, green, blue = x_BCHW.unbind(1)
    return (LUMA[0] * red).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2])[:, None]


def brighter(x_BCHW: torch.Tensor, factor_B: torch.Tensor) -> torch.Tensor:
    return (x_BCHW * per_sample(factor_B)).clamp_(0, 1)


def more_contrast(x_BCHW: torch.Tensor, factor_B: torch.Tensor) -> torch.Tensor:
    """Away from the mean brightness of the image, or towards it."""
    mean_B111 = luma(x_BCHW).mean((2, 3), keepdim=True)
    return mean_B111.lerp(x_BCHW, per_sample(factor_B)).clamp_(0, 1)


def more_saturated(x_BCHW: torch.Tensor, factor_B: torch.Tensor) -> torch.Tensor:
    """Away from the grey of each pixel, or towards it."""
    return luma(x_BCHW).lerp(x_BCHW, per_sample(factor_B)).clamp_(0, 1)


def hue_shifted(x_BCHW: torch.Tensor, turns_B: torch.Tensor) -> torch.Tensor:
    """The hue of HSV moved; value and saturation stay.

    Without going through HSV: least + chroma · f, f being how much of a hue is red, green, blue.
    """
    red, green, blue = x_BCHW.unbind(1)
    least = x_BCHW.amin(1)
    chroma = x_BCHW.amax(1).sub_(least)
    # How far it is from red, in sixths of a turn: one of red, green, blue is all of the chroma
    # above the least and one nothing of it, so that no case has to be told from others.
    hue = (green + blue).sub_(red).sub_(least).div_(chroma.clamp(min=1e-12)).add_(1)
    hue = hue.copysign_(green - blue).add_(6 * turns_B[:, None, None])
    hue = hue.sub_((hue / 6).floor_(), alpha=6)  # 0 red, 2 green, 4 blue
    out = torch.empty_like(x_BCHW)
    torch.sub(hue, 3, out=out[:, 0]).abs_().sub_(1)
    torch.sub(hue, 2, out=out[:, 1]).abs_().neg_().add_(2)
    torch.sub(hue, 4, out=out[:, 2]).abs_().neg_().add_(2)
    return out.clamp_(0, 1).mul_(chroma[:, None]).add_(least[:, None])


@register("augment", modality="image", paper=SIMCLR)
def grayscale(x_BCHW: torch.Tensor, rng: torch.Generator, *, p: P = 0.2) -> torch.Tensor:
    """Take all colour out."""
    return with_probability(p, x_BCHW, rng, lambda x: luma(x).expand_as(x))


@register("augment", modality="image", paper=BYOL)
def solarise(
    x_BCHW: torch.Tensor,
    rng: torch.Generator,
    *,
    threshold: Annotated[Probability, Unit("of the range of values")] = 0.5,
    p: P = 0.2,
) -> torch.Tensor:
    """Invert what is as bright as the threshold, or brighter."""
    return with_probability(p, x_BCHW, rng, lambda x: torch.where(x >= threshold, 1 - x, x))


@register("augment", modality="image", paper="Cubuk et al. 2019, arXiv:1805.09501")
def posterise(
    x_BCHW: torch.Tensor,
    rng: torch.Generator,
    *,
    bits: Annotated[int, Field(ge=1, le=8), Unit("least bits that stay, of 8")] = 4,
    p: P = 0.5,
) -> torch.Tensor:
    """Keep the upper bits of each value: between `bits` and 8, drawn for each sample."""
    kept_B = torch.randint(bits, 9, (len(x_BCHW),), generator=rng, device=rng.device)
    return with_probability(p, x_BCHW, rng, posterised, kept_B)


def posterised(x_BCHW: torch.Tensor, bits_B: torch.Tensor) -> torch.Tensor:
    step_B111 = per_sample(2.0 ** (8 - bits_B))
    return ((x_BCHW * 255).round() / step_B111).floor() * step_B111 / 255
