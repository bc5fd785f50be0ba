"""Probes of numbers: a closed-form ridge says what was hidden of the samples themselves.

Shapes: N = samples, B = samples of a batch, M = tokens (1 for pooled features), D = features,
C = channels, T = steps of a sample, S = steps that may be asked for. NaN = nobody asks for it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike
from pydantic import Field

from sslsearch.data.samples import Samples
from sslsearch.probe.base import FittedProbe, Probe, Rows, as_features
from sslsearch.probe.ridge import FeatureArray
from sslsearch.probe.token_ridge import Fit, FloatArray, Map, Misses, blocks, misses_of, tell
from sslsearch.registry import Positive, Unit
from sslsearch.values import Batch, Scores

VERSION = 1  # raised whenever the same features and settings would score differently
CHUNK = 1_024  # samples looked at at a time

Penalty = Annotated[Positive, Unit("ridge penalty on standardised features")]
Folds = Annotated[int, Field(ge=2), Unit("folds")]


class Numbers(Probe):
    """What such probes share. A subclass says what it hides, and what is asked of it.

    The penalties tried are alpha_steps numbers from alpha_low to alpha_high, evenly spaced in
    orders of magnitude; the one of the least squared error on the validation split is taken, or
    without one on blocks of samples (`blocks`). Metrics are means over all values asked for.
    """

    metrics: ClassVar[tuple[str, ...]] = ("mse", "mae")
    ranks: ClassVar[tuple[str, ...]] = ("mse", "mae")
    name: ClassVar[str]

    def __init__(
        self, alpha_low: float, alpha_high: float, alpha_steps: int, folds: int, most: int
    ) -> None:
        if alpha_low > alpha_high:
            raise ValueError(
                f"alpha_low <= alpha_high must hold, but got ({alpha_low}, {alpha_high})"
            )
        # the strongest first: it wins where the data cannot tell
        self.alphas_A = np.geomspace(alpha_low, alpha_high, alpha_steps)[::-1]
        self.folds, self.most = folds, most

    @abstractmethod
    def hidden(self, batch: Batch) -> torch.Tensor:
        """hidden_BT, bool: the steps that the encoder does not see."""

    @abstractmethod
    def asked(self, x_BCT: torch.Tensor, batch: Batch) -> torch.Tensor:
        """x_BCS: of numbers that may stand in the place of the batch's own, those asked for."""

    @abstractmethod
    def check(self, samples: Samples) -> None:
        """ValueError, with a cure, where nothing can be asked of such samples."""

    def rows(self, samples: Samples) -> torch.Tensor:
        """The samples that are `able`: at most `most` evenly spread ones that it learns from, and
        as many that judge."""
        self.check(samples)
        parts = torch.arange(len(samples)).tensor_split(-(-len(samples) // CHUNK))
        able_N = torch.cat([self.able(samples.batch(index_B, "cpu")) for index_B in parts])
        if not able_N.any():
            raise ValueError(
                f"probe {self.name}: there is no sample in which it could hide something and show "
                "something; give longer series"
            )
        sides = (able_N & ~samples.judges_N, able_N & samples.judges_N)
        rows = [torch.nonzero(side_N).flatten() for side_N in sides]
        return torch.cat([spread(side, self.most) for side in rows]).sort().values

    def able(self, batch: Batch) -> torch.Tensor:
        """able_B, bool: something is seen, and something that is hidden is known."""
        hidden_BT = self.hidden(batch)
        return (batch.valid & hidden_BT).any(1) & (batch.valid & ~hidden_BT).any(1)

    def truth(self, samples: Samples, index_N: torch.Tensor, train: Samples) -> torch.Tensor:
        """y_NCS: the values asked for; NaN also where a value is not known."""
        parts = []
        for index_B in index_N.tensor_split(max(1, -(-len(index_N) // CHUNK))):
            batch = samples.batch(index_B, "cpu")
            parts.append(self.asked(batch.x.masked_fill(~batch.valid[:, None], torch.nan), batch))
        return torch.cat(parts)

    def rung(self, features_ND: Rows, truth_N: Rows, groups_N: ArrayLike | None = None) -> Scores:
        """Each block of samples told from the others; intervals are over groups."""
        x_NMD, y_NCS = as_tokens(features_ND), as_numbers(truth_N)
        tried, folds = self._left_out(x_NMD, y_NCS, groups_N)
        alpha, best = self._best(tried)
        how = {"alpha": alpha, "cv": f"{folds} blocks"}
        return best.scores(groups_N, self._settings(x_NMD, y_NCS) | how)

    def final(self, features_ND: Rows, truth_N: Rows) -> FittedProbe:
        x_NMD, y_NCS = as_tokens(features_ND), as_numbers(truth_N)
        tried, folds = self._left_out(x_NMD, y_NCS, None)
        return self._fitted(Fit(x_NMD, y_NCS), tried, {"folds": folds})

    def chosen(self, features_ND: Rows, truth_N: Rows, held_MD: Rows, held_M: Rows) -> FittedProbe:
        fit, held_NCS = Fit(as_tokens(features_ND), as_numbers(truth_N)), as_numbers(held_M)
        tried = misses_of(fit, as_tokens(held_MD), held_NCS, self.alphas_A)
        return self._fitted(fit, tried, {"chosen_on": len(held_NCS)})

    def taken(self, classes: Sequence[int]) -> FittedProbe:
        return Taken(self.name, {"name": self.name})

    def _left_out(
        self, x_NMD: FeatureArray, y_NCS: FloatArray, groups_N: ArrayLike | None
    ) -> tuple[list[Misses], int]:
        """What is missed at each penalty where every sample is told by others."""
        parts = blocks(len(y_NCS), groups_N, self.folds)
        every_A3N = np.empty((len(self.alphas_A), 3, len(y_NCS)))
        for learns_N, held_N in parts:
            fit = Fit(x_NMD[learns_N], y_NCS[learns_N])
            tried = misses_of(fit, x_NMD[held_N], y_NCS[held_N], self.alphas_A)
            every_A3N[:, :, held_N] = [[m.square_N, m.absolute_N, m.count_N] for m in tried]
        return [Misses(*three) for three in every_A3N], len(parts)

    def _best(self, tried: list[Misses]) -> tuple[float, Misses]:
        best = min(range(len(tried)), key=lambda i: tried[i].total)
        return float(self.alphas_A[best]), tried[best]

    def _fitted(self, fit: Fit, tried: list[Misses], how: dict[str, Any]) -> FittedProbe:
        alpha, _ = self._best(tried)
        settings = self._settings(fit.x_NMD, fit.y_NCS) | {"alpha": alpha, **how}
        return FittedNumbers(self.name, fit.maps(alpha), fit.y_NCS.shape[2], settings)

    def _settings(self, x_NMD: FeatureArray, y_NCS: FloatArray) -> dict[str, Any]:
        (n, m, d), (_, c, s) = x_NMD.shape, y_NCS.shape
        low, high = float(self.alphas_A[-1]), float(self.alphas_A[0])
        alphas = {"low": low, "high": high, "steps": len(self.alphas_A)}
        sizes = {"n": n, "tokens": m, "d": d, "channels": c, "steps": s}
        return {"name": self.name, "version": VERSION, **sizes, "alphas": alphas, **self.said()}

    def said(self) -> dict[str, Any]:
        """What else decides a score: kept with it."""
        return {}

    @staticmethod
    def load(saved: dict[str, Any]) -> FittedProbe:
        maps = [Map.from_dict(one) for one in saved["maps"]]
        return FittedNumbers(saved["probe"], maps, saved["steps"], saved["settings"])


@dataclass(frozen=True)
class Told(FittedProbe):
    """Numbers that are told, scored over all values asked for."""

    probe: str

    @abstractmethod
    def tell(self, features_ND: Rows) -> FloatArray:
        """y_NCS, for every step."""

    def score(self, features_ND: Rows, truth_N: Rows, groups_N: ArrayLike | None = None) -> Scores:
        misses = Misses.of(self.tell(features_ND), as_numbers(truth_N))
        return misses.scores(groups_N, {**self.settings, "cv": "held out"})

    def shares(self, metric: str, features_ND: Rows, truth_N: Rows) -> FloatArray:
        return Misses.of(self.tell(features_ND), as_numbers(truth_N)).shares()[metric]


@dataclass(frozen=True)
class FittedNumbers(Told):
    """The maps of one penalty."""

    maps: list[Map]
    steps: int
    settings: dict[str, Any]

    def tell(self, features_ND: Rows) -> FloatArray:
        return tell(self.maps, as_tokens(features_ND), self.steps)

    def to_dict(self) -> dict[str, Any]:
        return {**vars(self), "maps": [one.to_dict() for one in self.maps]}


@dataclass(frozen=True)
class Taken(Told):
    """Numbers as they were handed in."""

    settings: dict[str, Any]

    def tell(self, features_ND: Rows) -> FloatArray:
        return as_numbers(features_ND)

    def to_dict(self) -> dict[str, Any]:
        raise ValueError("answers that were handed in belong to no encoder: nothing can be saved")


def as_tokens(features: Rows) -> FeatureArray:
    """x_NMD, checked; features of whole samples are one token."""
    rows = as_features(features.reshape(len(features), -1))
    return rows.reshape(len(rows), -1, features.shape[-1])


def as_numbers(truth: Rows) -> FloatArray:
    return np.asarray(torch.as_tensor(truth).cpu(), np.float64)


def spread(rows: torch.Tensor, most: int) -> torch.Tensor:
    """At most so many of them, evenly spread."""
    if len(rows) <= most:
        return rows
    return rows[torch.linspace(0, len(rows) - 1, most).round().long()]
