"""Augmentations of series that move values along time: crop, warp, shift, permute, reverse.

Shapes: x_BCT with B = samples, C = channels, T = time steps; S = segments; at_BT = the (fractional)
step that each output step reads. All channels of a sample move together: `Compose` sends the
validity of the steps through as one more channel.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from sslsearch.augment.draw import curve, happens, uniform
from sslsearch.registry import Count, Identity, NonNegative, Probability, Ratio, Unit, register

SLOWEST = 0.1  # time_warp never reads slower than a tenth of a step per step: no standstill


def read_at(x_BCT: torch.Tensor, at_BT: torch.Tensor) -> torch.Tensor:
    """The series read at fractional steps, linear between neighbours."""
    last = x_BCT.shape[2] - 1
    at_BT = at_BT.clamp(0.0, last)
    low_BT = at_BT.long().clamp(max=max(last - 1, 0))
    share_B1T = (at_BT - low_BT)[:, None]
    return torch.lerp(take(x_BCT, low_BT), take(x_BCT, low_BT + min(last, 1)), share_B1T)


def take(x_BCT: torch.Tensor, index_BT: torch.Tensor) -> torch.Tensor:
    """The series read at whole steps, the same in all channels."""
    return x_BCT.gather(2, index_BT[:, None].expand_as(x_BCT))


@register("augment", modality="timeseries", traits={"moves_time"}, paper="Le Guennec 2016")
def crop_resize(
    x_BCT: torch.Tensor,
    rng: torch.Generator,
    *,
    keep: Annotated[
        float, Field(gt=0, le=1), Unit("least share of the window kept"), Identity(1.0)
    ] = 0.9,
) -> torch.Tensor:
    """Cut a window out of the series and stretch it to full length.

    Its share is uniform in keep..1 and its place uniform: window slicing of Le Guennec, Malinowski
    and Tavenard 2016 (halshs-01357973) with the random size of images' resized crops.
    """
    B, _, T = x_BCT.shape
    length_B1 = uniform((B, 1), keep, 1.0, rng) * (T - 1)
    start_B1 = uniform((B, 1), 0.0, 1.0, rng) * (T - 1 - length_B1)
    along_T = torch.linspace(0.0, 1.0, T, device=x_BCT.device)
    return read_at(x_BCT, start_B1 + along_T * length_B1)


@register(
    "augment", modality="timeseries", traits={"moves_time"}, paper="Um 2017, arXiv:1706.00527"
)
def time_warp(
    x_BCT: torch.Tensor,
    rng: torch.Generator,
    *,
    sigma: Annotated[NonNegative, Unit("share of the reading speed"), Identity(0.0)] = 0.2,
    knots: Annotated[Count, Unit("knots inside the window")] = 4,
) -> torch.Tensor:
    """Read the series at a smoothly changing speed, always forwards and from end to end.

    The speed is a spline through knots drawn from N(1, sigma²), held above a tenth.
    """
    B, _, T = x_BCT.shape
    speed_BT = curve((B,), T, sigma, knots, rng).clamp(min=SLOWEST)
    between = (speed_BT[:, 1:] + speed_BT[:, :-1]) / 2  # speed from each step to the next
    at_BT = torch.nn.functional.pad(between.cumsum(dim=1), (1, 0))
    at_BT = at_BT * ((T - 1) / at_BT[:, -1:].clamp(min=SLOWEST))
    return read_at(x_BCT, at_BT)


@register("augment", modality="timeseries", traits={"moves_time"}, paper="Le Guennec 2016")
def window_warp(
    x_BCT: torch.Tensor,
    rng: torch.Generator,
    *,
    ratio: Annotated[Ratio, Unit("share of the window"), Identity(0.0)] = 0.1,
    stretch: Annotated[float, Field(ge=1), Unit("times as long, or as short"), Identity(1.0)] = 2.0,
) -> torch.Tensor:
    """Stretch or squeeze one part of the series, each half the time; the rest makes room.

    Window warping of Le Guennec, Malinowski and Tavenard 2016 (halshs-01357973).
    """
    B, _, T = x_BCT.shape
    part = ratio * (T - 1)
    start_B1 = uniform((B, 1), 0.0, T - 1 - part, rng)
    factor_B1 = torch.where(happens(x_BCT, 0.5, rng)[:, 0], stretch, 1.0 / stretch)
    grown_B1 = part * (factor_B1 - 1.0)
    warped_BT = torch.linspace(0.0, 1.0, T, device=x_BCT.device) * (T - 1 + grown_B1)
    # In the warped series: before the part, time runs as it did; in it, `factor` times as slowly.
    into_BT = (warped_BT - start_B1).clamp(min=0.0).minimum(part * factor_B1)
    return read_at(x_BCT, warped_BT - into_BT + into_BT / factor_B1)


@register("augment", modality="timeseries", traits={"moves_time"})
def time_shift(
    x_BCT: torch.Tensor,
    rng: torch.Generator,
    *,
    ratio: Annotated[Probability, Unit("share of the window, at most"), Identity(0.0)] = 0.1,
) -> torch.Tensor:
    """Shift the series in time by whole steps, to either side; what leaves re-enters at the other.

    The shift is uniform in ±ratio of the window.
    """
    B, _, T = x_BCT.shape
    shift_B1 = (uniform((B, 1), -ratio, ratio, rng) * T).round().long()
    return take(x_BCT, (torch.arange(T, device=x_BCT.device) - shift_B1) % T)


@register(
    "augment",
    modality="timeseries",
    traits={"moves_time"},
    paper="Um 2017, arXiv:1706.00527; Eldele 2021 (TS-TCC), arXiv:2106.14112",
)
def permutation(
    x_BCT: torch.Tensor,
    rng: torch.Generator,
    *,
    segments: Annotated[Count, Unit("segments at most"), Identity(1)] = 5,
) -> torch.Tensor:
    """Cut the series at random steps into 2..segments pieces and put them in random order.

    All channels are cut and moved alike, and each keeps its own values.
    """
    B, _, T = x_BCT.shape
    device, S = x_BCT.device, segments
    if S == 1:
        return x_BCT.clone()
    pieces_B1 = torch.randint(2, S + 1, (B, 1), generator=rng, device=device)
    cut_BS = torch.randint(1, max(T, 2), (B, S - 1), generator=rng, device=device).clamp(max=T)
    unused = torch.arange(1, S, device=device) >= pieces_B1
    cut_BS = cut_BS.masked_fill(unused, T).sort(dim=1).values  # a cut at T leaves an empty piece
    start_BS = torch.nn.functional.pad(cut_BS, (1, 0))
    length_BS = torch.diff(start_BS, append=torch.full((B, 1), T, device=device))
    order_BS = torch.rand((B, S), generator=rng, device=device).argsort(dim=1)
    start_BS, length_BS = start_BS.gather(1, order_BS), length_BS.gather(1, order_BS)
    end_BS = length_BS.cumsum(dim=1)  # of each piece, in the new series
    step_BT = torch.arange(T, device=device).expand(B, T).contiguous()
    piece_BT = torch.searchsorted(end_BS, step_BT, right=True)
    moved_BS = start_BS - (end_BS - length_BS)
    return take(x_BCT, step_BT + moved_BS.gather(1, piece_BT))


@register(
    "augment", modality="timeseries", traits={"moves_time"}, paper="Tang 2020, arXiv:2011.11542"
)
def reverse(
    x_BCT: torch.Tensor,
    rng: torch.Generator,
    *,
    p: Annotated[Probability, Unit("probability per sample"), Identity(0.0)] = 0.5,
) -> torch.Tensor:
    """Play a sample backwards."""
    return torch.where(happens(x_BCT, p, rng), x_BCT.flip(-1), x_BCT)
