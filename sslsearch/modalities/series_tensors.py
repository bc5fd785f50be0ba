"""The arithmetic from raw series to tensors: pad or resample, mask or interpolate, normalise.

Shapes: N = rows, C = channels, T = steps. NaN = missing or padding until the last step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from sslsearch.modalities.series_raw import Ragged

BLOCK = 1 << 17  # numbers in float64 at once: 1 MiB per intermediate array, so caches serve
FLAT = 1e-12  # a spread below this share of the largest value is rounding, not signal


def tensors(ragged: Ragged, state: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """x_NCT float32 (0 where not valid) and valid_NT bool."""
    rules, length, channels = state["rules"], state["length"], len(ragged.channels)
    x_NCT = np.zeros((len(ragged.steps_N), channels, length), np.float32)
    valid_NT = np.zeros((len(ragged.steps_N), length), bool)
    width = max(length, int(ragged.steps_N.max(initial=1)))
    for rows, block_NCT, steps_N in padded(ragged, width):
        if rules["missing"] == "interpolate":
            block_NCT = interpolate(block_NCT, steps_N)
        if rules["unequal"] == "resample":
            block_NCT = resample(block_NCT, steps_N, length)
        block_NCT = block_NCT[..., :length]
        valid_NT[rows] = ~np.isnan(block_NCT).all(axis=1)
        x_NCT[rows] = normalise(block_NCT, state) * valid_NT[rows, None, :]
    return x_NCT, valid_NT


def padded(ragged: Ragged, width: int) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
    """Blocks of rows: which rows, their numbers in (N, C, width) with NaN after the end, steps."""
    channels, offsets = len(ragged.channels), ragged.offsets
    per_block = max(1, BLOCK // (channels * width))
    for start in range(0, len(ragged.steps_N), per_block):
        stop = min(start + per_block, len(ragged.steps_N))
        steps_N = ragged.steps_N[start:stop]
        values = ragged.values[offsets[start] : offsets[stop]]
        if (steps_N == width).all():
            yield slice(start, stop), values.reshape(-1, channels, width), steps_N
            continue
        block_NCT = np.full((stop - start, channels, width), np.nan)
        inside_N1T = np.arange(width) < steps_N[:, None, None]
        block_NCT[np.broadcast_to(inside_N1T, block_NCT.shape)] = values
        yield slice(start, stop), block_NCT, steps_N


def interpolate(x_NCT: np.ndarray, steps_N: np.ndarray) -> np.ndarray:
    """Missing steps on the line between their neighbours in time; at the ends, the nearest."""
    missing = np.isnan(x_NCT)
    inside_N1T = np.arange(x_NCT.shape[-1]) < steps_N[:, None, None]
    if not (missing & inside_N1T).any():
        return x_NCT
    last = x_NCT.shape[-1] - 1
    step = np.arange(last + 1)
    before = np.maximum.accumulate(np.where(missing, -1, step), axis=-1)
    after = np.minimum.accumulate(np.where(missing, last + 1, step)[..., ::-1], axis=-1)[..., ::-1]
    low = np.where(before < 0, after, before).clip(0, last)
    high = np.where(after > last, before, after).clip(0, last)
    share = (step - low) / np.maximum(high - low, 1)
    at_low = np.take_along_axis(x_NCT, low, axis=-1)
    at_high = np.take_along_axis(x_NCT, high, axis=-1)
    filled = np.where(high > low, at_low + share * (at_high - at_low), at_low)
    return np.where(missing & inside_N1T, filled, x_NCT)


def resample(x_NCT: np.ndarray, steps_N: np.ndarray, length: int) -> np.ndarray:
    """Each row's own steps stretched linearly over `length` steps, first on first, last on last."""
    if (steps_N == length).all():
        return x_NCT[..., :length]
    at_NT = np.linspace(0, 1, length) * (steps_N[:, None] - 1)
    low_N1T = np.floor(at_NT + 1e-9).astype(np.int64)[:, None, :]
    share_N1T = (at_NT[:, None, :] - low_N1T).clip(0)
    low = np.broadcast_to(low_N1T, (*x_NCT.shape[:2], length))
    high = np.minimum(low + 1, steps_N[:, None, None] - 1)
    at_low = np.take_along_axis(x_NCT, low, axis=-1)
    at_high = np.take_along_axis(x_NCT, high, axis=-1)
    # On a step exactly, a missing neighbour does not matter.
    return np.where(share_N1T > 1e-9, at_low + share_N1T * (at_high - at_low), at_low)


def normalise(x_NCT: np.ndarray, state: Mapping[str, Any]) -> np.ndarray:
    """z-scores; what is missing becomes the mean of its series and channel."""
    present = ~np.isnan(x_NCT)
    count_NC1 = present.sum(axis=-1, keepdims=True)
    x_NCT = np.where(present, x_NCT, 0.0)
    mean_C1, std_C1 = (np.array(state[key])[:, None] for key in ("mean", "std"))
    mean_NC1 = x_NCT.sum(axis=-1, keepdims=True) / np.maximum(count_NC1, 1)
    mean_NC1 = np.where(count_NC1 > 0, mean_NC1, mean_C1)  # a channel missing from end to end
    rule = state["rules"]["normalise"]
    if rule != "per_series":
        filled: np.ndarray = np.where(present, x_NCT, mean_NC1)
        return filled if rule == "none" else np.divide(filled - mean_C1, std_C1)
    largest_NC1 = np.abs(x_NCT).max(axis=-1, keepdims=True)
    centred = np.where(present, x_NCT - mean_NC1, 0.0)
    variance_NC1 = (centred**2).sum(axis=-1, keepdims=True) / np.maximum(count_NC1, 1)
    std_NC1 = np.sqrt(variance_NC1)
    flat_NC1 = std_NC1 <= FLAT * largest_NC1
    return np.where(flat_NC1, 0.0, centred / np.where(flat_NC1, 1.0, std_NC1))


def statistics(ragged: Ragged) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel over all that is there; a flat one has std 1."""
    channels = len(ragged.channels)
    width = int(ragged.steps_N.max(initial=1))
    count, total, squares = (np.zeros(channels) for _ in range(3))
    for _, x_NCT, _ in padded(ragged, width):
        count += (~np.isnan(x_NCT)).sum(axis=(0, 2))
        total += np.nansum(x_NCT, axis=(0, 2))
    mean = total / np.maximum(count, 1)
    for _, x_NCT, _ in padded(ragged, width):
        squares += np.nansum((x_NCT - mean[:, None]) ** 2, axis=(0, 2))
    std = np.sqrt(squares / np.maximum(count, 1))
    return mean.tolist(), np.where(std <= FLAT * np.abs(mean), 1.0, std).tolist()
