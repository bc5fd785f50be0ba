"""What augmentations draw for each sample: uniform numbers, exact-count choices, smooth curves.

Shapes: K = knots of a curve, T = time steps, … = any leading sizes (B, or B and C).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch


def uniform(shape: tuple[int, ...], low: float, high: float, rng: torch.Generator) -> torch.Tensor:
    """Numbers between low and high, on the generator's device."""
    return low + (high - low) * torch.rand(shape, generator=rng, device=rng.device)


def happens(x: torch.Tensor, p: float, rng: torch.Generator) -> torch.Tensor:
    """One coin per sample, shaped (B, 1, 1): True with probability p."""
    return uniform((x.shape[0], 1, 1), 0.0, 1.0, rng) < p


def chosen(shape: tuple[int, ...], ratio: float, rng: torch.Generator) -> torch.Tensor:
    """Bool, True at round(ratio × n) random places of the last axis (n long), never at all n."""
    noise = uniform(shape, 0.0, 1.0, rng)
    count = min(round(ratio * shape[-1]), shape[-1] - 1)
    if count == 0:
        return torch.zeros_like(noise, dtype=torch.bool)
    return noise <= noise.kthvalue(count, dim=-1, keepdim=True).values


def curve(
    shape: tuple[int, ...], steps: int, sigma: float, knots: int, rng: torch.Generator
) -> torch.Tensor:
    """Smooth curves of shape (…, T) about 1: cubic splines through knots drawn from N(1, sigma²).

    `knots` counts the inner ones; two more stand at the ends (Um 2017).
    """
    noise = torch.randn((*shape, knots + 2), generator=rng, device=rng.device)
    weight_KT = _spline(knots + 2, steps).to(rng.device)
    return 1.0 + sigma * (noise @ weight_KT)


@lru_cache(maxsize=64)
def _spline(knots: int, steps: int) -> torch.Tensor:
    from scipy.interpolate import CubicSpline  # here: its import takes long, and few need it

    # A spline is linear in its knots' values: the splines through unit vectors are its weights.
    at = CubicSpline(np.linspace(0.0, 1.0, knots), np.eye(knots))(np.linspace(0.0, 1.0, steps))
    return torch.from_numpy(at.T.copy()).float()
