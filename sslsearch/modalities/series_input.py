"""Raw series in an exported graph: what series_tensors.py does with numpy, as torch arithmetic.

All samples of a batch are of one length, at most that of training; padding is not needed, since
nothing that is not valid influences an encoder. float64, as everywhere before normalisation.

Shapes: B = samples of a batch, C = channels, T = steps. NaN = missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from sslsearch.modalities.raw_input import Port, RawInput
from sslsearch.modalities.series_arrays import series_of_arrays
from sslsearch.modalities.series_raw import Ragged
from sslsearch.modalities.series_tensors import FLAT

NEAR = 1e-9  # of a step: on a step exactly, a missing neighbour does not matter


class SeriesInput(RawInput):
    """(B, C, T) float64 -> x_BCT float32 and valid_BT."""

    mean_C1: torch.Tensor
    std_C1: torch.Tensor

    def __init__(self, state: Mapping[str, Any]) -> None:
        super().__init__()
        self.rules, self.length, self.names = state["rules"], state["length"], state["channels"]
        for name in ("mean", "std"):
            values = torch.tensor(state[name], dtype=torch.float64)
            self.register_buffer(f"{name}_C1", values[:, None], persistent=False)
        # a gap is filled from steps however far away: how many there are must be known
        self.free = self.rules["missing"] != "interpolate" and self.length > 1
        channels = len(self.names)
        steps = f"up to {self.length} steps" if self.free else f"{self.length} steps"
        self.ports = {
            "series": Port(
                form=f"float64 (batch, {channels} channels, {steps}); NaN = missing",
                example=f"rng.standard_normal((5, {channels}, {self.length}))",
                free={2: "steps"} if self.free else {},
            )
        }

    def forward(self, *raw: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        (x_BCT,) = raw
        if self.rules["missing"] == "interpolate":
            x_BCT = _interpolated(x_BCT, self.length)
        if self.rules["unequal"] == "resample" and self.free:
            x_BCT = _resampled(x_BCT, self.length)
        valid_BT = ~torch.isnan(x_BCT).all(1)
        x_BCT = self._normalised(x_BCT)
        x_BCT = torch.where(valid_BT[:, None], x_BCT, torch.zeros_like(x_BCT))
        return x_BCT.float(), valid_BT

    def _normalised(self, x_BCT: torch.Tensor) -> torch.Tensor:
        """z-scores; what is missing becomes the mean of its series and channel."""
        there = ~torch.isnan(x_BCT)
        count_BC1 = there.sum(-1, keepdim=True).double()
        x_BCT = torch.where(there, x_BCT, torch.zeros_like(x_BCT))
        mean_BC1 = x_BCT.sum(-1, keepdim=True) / count_BC1.clamp(min=1)
        mean_BC1 = torch.where(count_BC1 > 0, mean_BC1, self.mean_C1)
        if self.rules["normalise"] != "per_series":
            x_BCT = torch.where(there, x_BCT, mean_BC1)
            none = self.rules["normalise"] == "none"
            return x_BCT if none else (x_BCT - self.mean_C1) / self.std_C1
        largest_BC1 = x_BCT.abs().amax(-1, keepdim=True)
        centred_BCT = torch.where(there, x_BCT - mean_BC1, torch.zeros_like(x_BCT))
        variance_BC1 = (centred_BCT * centred_BCT).sum(-1, keepdim=True) / count_BC1.clamp(min=1)
        std_BC1 = variance_BC1.sqrt()
        flat_BC1 = std_BC1 <= FLAT * largest_BC1
        score_BCT = centred_BCT / torch.where(flat_BC1, torch.ones_like(std_BC1), std_BC1)
        return torch.where(flat_BC1, torch.zeros_like(score_BCT), score_BCT)

    def arrays(self, raw: pa.Table) -> tuple[np.ndarray, ...]:
        """ValueError where the samples are not of one length: hand them in one by one then."""
        ragged = Ragged.from_table(raw)
        steps = np.unique(ragged.steps_N)
        if len(steps) > 1:
            raise ValueError("series of several lengths make no array: take those of one length")
        return (ragged.values.reshape(len(raw), len(ragged.channels), -1),)

    def made_up(self, n: int, rng: np.random.Generator, *, smaller: bool = False) -> pa.Table:
        steps = max(1, self.length * 2 // 3) if smaller and self.free else self.length
        x_BCT = rng.standard_normal((n, len(self.names), steps)).cumsum(-1)
        x_BCT = x_BCT * self.std_C1.numpy() + self.mean_C1.numpy()
        x_BCT[::4, 0] = x_BCT[::4, 0, :1]  # a constant channel
        x_BCT[1::4, :, steps // 2 : steps // 2 + 2] = np.nan  # steps that hold nothing
        x_BCT[2::4, 0, 1 : 1 + steps // 4] = np.nan  # a gap in one channel
        x_BCT[:, :, -1] = np.nan_to_num(x_BCT[:, :, -1])  # all hold something
        return series_of_arrays(x_BCT, self.names)


def _interpolated(x_BCT: torch.Tensor, length: int) -> torch.Tensor:
    """Missing steps on the line between their neighbours; at the ends, the nearest."""
    missing, last = torch.isnan(x_BCT), length - 1
    step_T = torch.arange(length, device=x_BCT.device)
    before = _running_max(torch.where(missing, -1, step_T), length)
    # the next step that is there is the last one before, seen from the end
    behind = _running_max(torch.where(missing, -1, last - step_T).flip(-1), length).flip(-1)
    after = last - behind
    low = torch.where(before < 0, after, before).clamp(0, last)
    high = torch.where(after > last, before, after).clamp(0, last)
    share = (step_T - low).double() / (high - low).clamp(min=1).double()
    at_low, at_high = x_BCT.gather(-1, low), x_BCT.gather(-1, high)
    filled = torch.where(high > low, at_low + share * (at_high - at_low), at_low)
    return torch.where(missing, filled, x_BCT)


def _running_max(place_BCT: torch.Tensor, length: int) -> torch.Tensor:
    """The largest so far at each step, by doubling: ONNX has no running maximum."""
    reach = 1
    while reach < length:
        earlier = torch.nn.functional.pad(place_BCT[..., :-reach], (reach, 0), value=-1)
        place_BCT = torch.maximum(place_BCT, earlier)
        reach *= 2
    return place_BCT


def _resampled(x_BCT: torch.Tensor, length: int) -> torch.Tensor:
    """The steps stretched linearly over `length` steps, first on first, last on last."""
    last = x_BCT.shape[-1] - 1
    at_T = torch.arange(length, dtype=torch.float64, device=x_BCT.device)
    at_T = at_T / max(1, length - 1) * last
    low_T = torch.floor(at_T + NEAR).long()
    high_T = torch.clamp(low_T + 1, max=last)
    share_T = (at_T - low_T).clamp(min=0)
    at_low, at_high = x_BCT.index_select(-1, low_T), x_BCT.index_select(-1, high_T)
    return torch.where(share_T > NEAR, at_low + share_T * (at_high - at_low), at_low)
