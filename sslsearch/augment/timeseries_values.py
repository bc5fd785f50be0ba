"""Augmentations of series that change values where they stand: noise, gain, sign, gaps, axes.

Shapes: x_BCT with B = samples, C = channels, T = time steps; A = axes of one sensor, G = sensors.
One channel standard deviation is 1 in normalised data, which is what these functions expect.
"""

from __future__ import annotations

import math
from typing import Annotated

import torch
from pydantic import Field

from sslsearch.augment.draw import chosen, curve, happens, uniform
from sslsearch.registry import Count, Identity, NonNegative, Probability, Ratio, Unit, register

UM = "Um 2017, arXiv:1706.00527"


@register("augment", modality="timeseries", paper=UM)
def jitter(
    x_BCT: torch.Tensor,
    rng: torch.Generator,
    *,
    sigma: Annotated[NonNegative, Unit("channel standard deviations"), Identity(0.0)] = 0.03,
) -> torch.Tensor:
    """Add white Gaussian noise to every step of every channel."""
    noise = torch.randn(x_BCT.shape, generator=rng, device=x_BCT.device)
    return torch.add(x_BCT, noise, alpha=sigma)


@register("augment", modality="timeseries", paper=UM)
def scaling(
    x_BCT: torch.Tensor,
    rng: torch.Generator,
    *,
    sigma: Annotated[NonNegative, Unit("share of the amplitude"), Identity(0.0)] = 0.1,
) -> torch.Tensor:
    """Multiply each channel by one gain drawn from N(1, sigma²)."""
    gain_BC1 = torch.randn((*x_BCT.shape[:2], 1), generator=rng, device=x_BCT.device)
    return x_BCT * (1.0 + sigma * gain_BC1)


@register("augment", modality="timeseries", paper=UM)
def magnitude_warp(
    x_BCT: torch.Tensor,
    rng: torch.Generator,
    *,
    sigma: Annotated[NonNegative, Unit("share of the amplitude"), Identity(0.0)] = 0.2,
    knots: Annotated[Count, Unit("knots inside the window")] = 4,
) -> torch.Tensor:
    """Multiply each channel by a smooth gain, a spline through knots drawn from N(1, sigma²)."""
    return x_BCT * curve(tuple(x_BCT.shape[:2]), x_BCT.shape[2], sigma, knots, rng)


@register("augment", modality="timeseries", paper="Tang 2020, arXiv:2011.11542")
def flip(
    x_BCT: torch.Tensor,
    rng: torch.Generator,
    *,
    p: Annotated[Probability, Unit("probability per sample"), Identity(0.0)] = 0.5,
) -> torch.Tensor:
    """Turn a sample upside down: negate all its channels."""
    return torch.where(happens(x_BCT, p, rng), -x_BCT, x_BCT)


@register("augment", modality="timeseries", needs={"channels"}, traits={"mixes_channels"}, paper=UM)
def rotation(
    x_BCT: torch.Tensor,
    rng: torch.Generator,
    *,
    max_angle: Annotated[float, Field(ge=0, le=180), Unit("degrees"), Identity(0.0)] = 180.0,
    axes: Annotated[Count, Unit("channels per sensor")] = 3,
) -> torch.Tensor:
    """Turn a sensor in space: rotate each run of `axes` channels by one random rotation.

    The angle is uniform in ±max_angle about a random axis, the same for all sensors of a sample;
    channels left over after the last whole run stay as they are.
    """
    B, C, T = x_BCT.shape
    A = min(axes, C)
    if A == 1:  # a line has no rotations
        return x_BCT.clone()
    raw_BAA = torch.randn((B, A, A), generator=rng, device=x_BCT.device)
    skew_BAA = raw_BAA - raw_BAA.mT
    axis_BAA = skew_BAA * math.sqrt(2.0) / torch.linalg.matrix_norm(skew_BAA, keepdim=True)
    angle_B11 = uniform((B, 1, 1), -1.0, 1.0, rng) * math.radians(max_angle)
    turn_BAA = torch.linalg.matrix_exp(axis_BAA * angle_B11)
    whole = C - C % A
    sensors_BGAT = x_BCT[:, :whole].reshape(B, whole // A, A, T)
    turned = (turn_BAA[:, None] @ sensors_BGAT).reshape(B, whole, T)
    return torch.cat([turned, x_BCT[:, whole:]], dim=1)


@register(
    "augment", modality="timeseries", needs={"channels"}, paper="Saeed 2020, arXiv:2010.13694"
)
def channel_dropout(
    x_BCT: torch.Tensor,
    rng: torch.Generator,
    *,
    p: Annotated[Probability, Unit("probability per channel"), Identity(0.0)] = 0.2,
) -> torch.Tensor:
    """Silence whole channels, never all of a sample's."""
    noise_BC1 = uniform((*x_BCT.shape[:2], 1), 0.0, 1.0, rng)
    kept_BC1 = (noise_BC1 >= p) | (noise_BC1 == noise_BC1.amax(1, keepdim=True))
    return x_BCT * kept_BC1


@register("augment", modality="timeseries", paper="Luo 2023 (InfoTS), arXiv:2303.11911")
def cutout(
    x_BCT: torch.Tensor,
    rng: torch.Generator,
    *,
    ratio: Annotated[Ratio, Unit("share of the window"), Identity(0.0)] = 0.1,
) -> torch.Tensor:
    """Zero one stretch of time, somewhere in the window, in all channels."""
    B, _, T = x_BCT.shape
    length = min(round(ratio * T), T - 1)
    start_B1 = uniform((B, 1), 0.0, T - length + 1.0, rng).floor().clamp(max=T - length)
    step_T = torch.arange(T, device=x_BCT.device)
    kept_BT = (step_T < start_B1) | (step_T >= start_B1 + length)
    return x_BCT * kept_BT[:, None]


@register("augment", modality="timeseries", paper="Yue 2022 (TS2Vec), arXiv:2106.10466")
def time_mask(
    x_BCT: torch.Tensor,
    rng: torch.Generator,
    *,
    ratio: Annotated[Ratio, Unit("share of the steps"), Identity(0.0)] = 0.5,
) -> torch.Tensor:
    """Zero single steps scattered over the window, in all channels."""
    hidden_BT = chosen((x_BCT.shape[0], x_BCT.shape[2]), ratio, rng)
    return x_BCT * ~hidden_BT[:, None]
