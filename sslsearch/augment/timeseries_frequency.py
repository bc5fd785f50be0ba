"""Augmentations of series in the frequency domain: remove, add, shift and re-phase components.

Shapes: x_BCT with B = samples, C = channels, T = time steps; F = T // 2 + 1 frequency bins, of
which bin f holds f cycles per window.
"""

from __future__ import annotations

import math
from typing import Annotated

import torch

from sslsearch.augment.draw import chosen, uniform
from sslsearch.registry import Identity, NonNegative, Probability, Ratio, Unit, register

TFC = "Zhang 2022 (TF-C), arXiv:2206.08496"
ROMMEL = "Rommel 2022, arXiv:2206.14483"


def to_spectrum(x_BCT: torch.Tensor) -> torch.Tensor:
    """spectrum_BCF, complex."""
    spectrum_BCF: torch.Tensor = torch.fft.rfft(x_BCT)
    return spectrum_BCF


def to_series(spectrum_BCF: torch.Tensor, steps: int) -> torch.Tensor:
    """x_BCT of the length given, which the spectrum alone does not tell (odd or even)."""
    x_BCT: torch.Tensor = torch.fft.irfft(spectrum_BCF, n=steps)
    return x_BCT


@register("augment", modality="timeseries", paper=TFC)
def frequency_mask(
    x_BCT: torch.Tensor,
    rng: torch.Generator,
    *,
    ratio: Annotated[Ratio, Unit("share of the frequency bins"), Identity(0.0)] = 0.1,
) -> torch.Tensor:
    """Remove frequency components scattered over the spectrum, others in each channel."""
    spectrum_BCF = to_spectrum(x_BCT)
    removed_BCF = chosen(tuple(spectrum_BCF.shape), ratio, rng)
    return to_series(spectrum_BCF * ~removed_BCF, x_BCT.shape[2])


@register("augment", modality="timeseries", paper=ROMMEL)
def band_stop(
    x_BCT: torch.Tensor,
    rng: torch.Generator,
    *,
    ratio: Annotated[Ratio, Unit("share of the frequency bins"), Identity(0.0)] = 0.1,
) -> torch.Tensor:
    """Remove one band of neighbouring frequencies, the same in all channels."""
    spectrum_BCF = to_spectrum(x_BCT)
    bins = spectrum_BCF.shape[2]
    width = min(round(ratio * bins), bins - 1)
    low_B11 = uniform((len(x_BCT), 1, 1), 0.0, bins - width + 1.0, rng).floor()
    low_B11 = low_B11.clamp(max=bins - width)
    bin_F = torch.arange(bins, device=x_BCT.device)
    kept = (bin_F < low_B11) | (bin_F >= low_B11 + width)
    return to_series(spectrum_BCF * kept, x_BCT.shape[2])


@register("augment", modality="timeseries", paper=TFC)
def frequency_add(
    x_BCT: torch.Tensor,
    rng: torch.Generator,
    *,
    ratio: Annotated[Ratio, Unit("share of the frequency bins"), Identity(0.0)] = 0.1,
    strength: Annotated[
        NonNegative, Unit("share of the channel's largest component"), Identity(0.0)
    ] = 0.5,
) -> torch.Tensor:
    """Raise scattered weak frequency components to `strength` times the channel's largest one."""
    spectrum_BCF = to_spectrum(x_BCT)
    size_BCF = spectrum_BCF.abs()
    raised_BCF = size_BCF.maximum(strength * size_BCF.amax(-1, keepdim=True))
    picked_BCF = chosen(tuple(size_BCF.shape), ratio, rng)
    size_BCF = torch.where(picked_BCF, raised_BCF, size_BCF)
    return to_series(torch.polar(size_BCF, spectrum_BCF.angle()), x_BCT.shape[2])


@register("augment", modality="timeseries", paper=ROMMEL)
def frequency_shift(
    x_BCT: torch.Tensor,
    rng: torch.Generator,
    *,
    max_shift: Annotated[Ratio, Unit("share of the Nyquist frequency"), Identity(0.0)] = 0.04,
) -> torch.Tensor:
    """Move all frequencies of a sample up or down by one amount, uniform in ±max_shift.

    The default is the paper's 2 Hz in recordings at 100 Hz.
    """
    B, _, T = x_BCT.shape
    # The analytic signal holds each real component as one rotating pointer: turning all pointers
    # a little faster or slower shifts the spectrum.
    weight_T = torch.zeros(T, device=x_BCT.device)
    weight_T[0] = 1.0
    weight_T[1 : (T + 1) // 2] = 2.0
    if T % 2 == 0:
        weight_T[T // 2] = 1.0
    analytic_BCT: torch.Tensor = torch.fft.ifft(torch.fft.fft(x_BCT) * weight_T)
    step_T = torch.arange(T, device=x_BCT.device)
    angle_B1T = uniform((B, 1, 1), -max_shift, max_shift, rng) * math.pi * step_T
    pointer_B1T = torch.polar(torch.ones_like(angle_B1T), angle_B1T)
    return (analytic_BCT * pointer_B1T).real.contiguous()


@register("augment", modality="timeseries", paper="Schwabedal 2018, arXiv:1806.08675")
def phase_noise(
    x_BCT: torch.Tensor,
    rng: torch.Generator,
    *,
    turn: Annotated[Probability, Unit("share of a full turn"), Identity(0.0)] = 1.0,
) -> torch.Tensor:
    """Turn the phase of each frequency at random, keeping its power: a Fourier surrogate at 1.

    The angle is uniform in ±turn/2 and shared by the channels, so that they stay in step.
    """
    B, _, T = x_BCT.shape
    spectrum_BCF = to_spectrum(x_BCT)
    angle_B1F = uniform((B, 1, spectrum_BCF.shape[2]), -1.0, 1.0, rng) * math.pi * turn
    angle_B1F[..., 0] = 0.0  # the mean, and at even lengths the last bin, have no phase to turn
    if T % 2 == 0:
        angle_B1F[..., -1] = 0.0
    pointer = torch.polar(torch.ones_like(angle_B1F), angle_B1F)
    return to_series(spectrum_BCF * pointer, T)


@register("augment", modality="timeseries")
def smooth(
    x_BCT: torch.Tensor,
    rng: torch.Generator,
    *,
    sigma: Annotated[NonNegative, Unit("steps, at most"), Identity(0.0)] = 2.0,
) -> torch.Tensor:
    """Blur a sample along time with a Gaussian whose width is uniform in 0..sigma."""
    B, _, T = x_BCT.shape
    # Mirrored at its end the series closes on itself, so its ends do not bleed into each other.
    spectrum_BCF = to_spectrum(torch.cat([x_BCT, x_BCT.flip(-1)], dim=-1))
    turns = torch.fft.rfftfreq(2 * T, device=x_BCT.device)  # per step
    width_B11 = uniform((B, 1, 1), 0.0, sigma, rng)
    gain = torch.exp(-2.0 * (math.pi * turns * width_B11) ** 2)
    return to_series(spectrum_BCF * gain, 2 * T)[..., :T]
