"""Ridge from tokens to numbers: each place within a token has a linear map of its own.

Features are one vector a sample, or one for each of M tokens. The S steps that are told are dealt
to the tokens evenly, in order: step s to token s·M // S. Places that are asked of the same rows
share one eigendecomposition.

Shapes: N = samples, M = tokens (1 for pooled features), D = features, C = channels, S = steps that
may be asked for, P = most steps of a token. NaN = nobody asks for this value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sslsearch.probe.metrics import share_scores
from sslsearch.probe.ridge import FeatureArray, Ridge
from sslsearch.values import Scores

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
CHUNK = 512  # samples told at a time: what float64 copies cost does not grow with N


@dataclass(frozen=True)
class Map:
    """An affine map of standardised features to all channels at some places within a token."""

    places: list[int]
    mean_D: FloatArray
    gain_D: FloatArray
    coef_DK: FloatArray  # K: places, and channels within them
    bias_K: FloatArray

    def to_dict(self) -> dict[str, Any]:
        return {key: np.asarray(value).tolist() for key, value in vars(self).items()}

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> Map:
        arrays = {key: np.asarray(value) for key, value in saved.items() if key != "places"}
        return cls(places=saved["places"], **arrays)


class Fit:
    """The maps of x_NMD to y_NCS, for any penalty."""

    def __init__(self, x_NMD: FeatureArray, y_NCS: FloatArray) -> None:
        self.x_NMD, self.y_NCS = x_NMD, y_NCS
        N, C, S = y_NCS.shape
        token_S, place_S = dealt(S, x_NMD.shape[1])
        y_NMPC = np.full((N, x_NMD.shape[1], int(place_S.max()) + 1, C), np.nan)
        y_NMPC[:, token_S, place_S] = y_NCS.transpose(0, 2, 1)
        known_NMP = ~np.isnan(y_NMPC).any(3)
        alike: dict[bytes, list[int]] = {}
        for place in range(known_NMP.shape[2]):
            alike.setdefault(known_NMP[:, :, place].tobytes(), []).append(place)
        self.ridges: list[tuple[list[int], Ridge]] = []
        for places in alike.values():
            rows_NM = known_NMP[:, :, places[0]]
            if rows_NM.any():
                y_RK = y_NMPC[rows_NM][:, places].reshape(int(rows_NM.sum()), -1)
                self.ridges.append((places, Ridge(x_NMD[rows_NM], y_RK)))

    def maps(self, alpha: float) -> list[Map]:
        return [
            Map(places, ridge.mean_D, ridge.gain_D, ridge.coef(alpha), ridge.mean_K)
            for places, ridge in self.ridges
        ]


def tell(maps: list[Map], x_NMD: FeatureArray, steps: int) -> FloatArray:
    """y_NCS for every step; at places that no map was fitted for 0, the mean of scaled data."""
    N, M, _ = x_NMD.shape
    token_S, place_S = dealt(steps, M)
    C = len(maps[0].bias_K) // len(maps[0].places)
    y_NCS = np.empty((N, C, steps))
    for start in range(0, N, CHUNK):
        x = x_NMD[start : start + CHUNK]
        y_NMPC = np.zeros((len(x), M, int(place_S.max()) + 1, C))
        for one in maps:
            z = (x - one.mean_D) * one.gain_D
            said = z @ one.coef_DK + one.bias_K
            y_NMPC[:, :, one.places] = said.reshape(len(x), M, len(one.places), C)
        y_NCS[start : start + CHUNK] = y_NMPC[:, token_S, place_S].transpose(0, 2, 1)
    return y_NCS


def dealt(steps: int, tokens: int) -> tuple[IntArray, IntArray]:
    """token_S, place_S: of each step its token, and its place among the token's steps."""
    assert tokens <= steps, f"{tokens} tokens say more than the {steps} steps that are asked for"
    token_S = np.arange(steps) * tokens // steps
    return token_S, np.arange(steps) - np.searchsorted(token_S, token_S)


@dataclass(frozen=True)
class Misses:
    """How far numbers were off: sums over the values of each sample, and how many they are."""

    square_N: FloatArray
    absolute_N: FloatArray
    count_N: FloatArray

    @classmethod
    def of(cls, told_NCS: FloatArray, y_NCS: FloatArray) -> Misses:
        asked = ~np.isnan(y_NCS)
        off = np.where(asked, told_NCS - np.where(asked, y_NCS, 0.0), 0.0)
        sums = ((off**2).sum((1, 2)), np.abs(off).sum((1, 2)), asked.sum((1, 2)))
        return cls(*(np.asarray(x, np.float64) for x in sums))

    @property
    def total(self) -> float:
        return float(self.square_N.sum())

    def shares(self) -> dict[str, FloatArray]:
        """Each sample's share, more = better: their means are the metrics' negatives."""
        each = len(self.count_N) / max(float(self.count_N.sum()), 1.0)
        return {"mse": -each * self.square_N, "mae": -each * self.absolute_N}

    def scores(self, groups_N: ArrayLike | None, settings: dict[str, object]) -> Scores:
        groups = None if groups_N is None else np.asarray(groups_N)
        found = share_scores(self.shares(), groups)
        return Scores(found.values, found.low, found.high, settings)


def misses_of(
    fit: Fit, x_NMD: FeatureArray, y_NCS: FloatArray, alphas_A: FloatArray
) -> list[Misses]:
    """How far the fit is off on other rows, at each penalty."""
    steps = y_NCS.shape[2]
    return [Misses.of(tell(fit.maps(float(a)), x_NMD, steps), y_NCS) for a in alphas_A]


def blocks(
    n: int, groups_N: ArrayLike | None, folds: int
) -> list[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """(learns_N, held_N) for each of `folds` blocks of neighbouring rows, in the order given.

    With groups a block is whole groups, and those next to it are left out of both: windows of
    neighbouring groups may overlap.
    """
    unit_N, gap = np.arange(n), 0
    if groups_N is not None:
        _, first, code_N = np.unique(np.asarray(groups_N), return_index=True, return_inverse=True)
        unit_N, gap = first.argsort().argsort()[code_N], 1
    units = int(unit_N.max(initial=-1)) + 1
    fold_N = unit_N * min(folds, units) // max(units, 1)
    parts = []
    for fold in range(int(fold_N.max(initial=-1)) + 1):
        held_N = fold_N == fold
        near = unit_N[held_N].min() - gap, unit_N[held_N].max() + gap
        parts.append(((unit_N < near[0]) | (unit_N > near[1]), held_N))
    if not parts or not all(learns_N.any() for learns_N, _ in parts):
        what = "samples" if groups_N is None else "groups of samples"
        raise ValueError(
            f"{units} {what} are too few to tell each block of them from the others: give more "
            "data, or a validation split (with data.window the second of data.periods)"
        )
    return parts
