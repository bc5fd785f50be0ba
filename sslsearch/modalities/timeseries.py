"""Time series: one or more channels of numbers over steps, of equal or unequal length.

Tensors: `x` (C channels of T steps, float32, 0 where not valid) and `valid` (T steps, uint8).
Shapes: B = samples of a batch, N = rows, C = channels, T = steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
import torch
from pydantic import Field

from sslsearch import plots
from sslsearch.modalities import series_files, series_tables, series_windows
from sslsearch.modalities.base import Modality, Role
from sslsearch.modalities.columns import file_at, place
from sslsearch.modalities.raw_input import RawInput
from sslsearch.modalities.series_arrays import arrays_of_series, series_of_arrays, written
from sslsearch.modalities.series_input import SeriesInput
from sslsearch.modalities.series_raw import Ragged
from sslsearch.modalities.series_tensors import statistics, tensors
from sslsearch.modalities.series_windows import PERIODS, Windows, cut
from sslsearch.registry import Count, Unit, register
from sslsearch.values import Batch, InputSpec

SCHEMES = ("aeon", "parquet", "csv", "ts", "npz")
SYNTHETIC = (3, 2, 64)  # classes, channels, steps


@register("modality", name="timeseries", gives={"time", "channels"})
class TimeSeries(Modality):
    """Series of one or more channels over time.

    normalise: z-score of each channel of each series over its valid steps, z-score with the
    statistics of the training pool, or as it is. unequal: pad at the right (not valid), or stretch
    linearly to the longest. missing: a step that no channel has is not valid and a gap in some
    channels is that channel's mean; or all gaps lie on the line between their neighbours.
    window, stride, horizon, periods: see series_windows.py.
    """

    roles: ClassVar[Mapping[str, Role]] = {
        "series": Role("columns that hold the data", many=True),
        "time": Role("column that orders the steps of a series"),
    }
    default_encoder = "conv1d"
    floors = ("majority", "raw", "untrained", "multirocket", "supervised")
    varies = (0, 2)  # a series may have another length than training's
    columns: ClassVar[dict[str, tuple[Any, str]]] = {
        "series": (str | list[str], "columns that hold the data"),
        "time": (str, "column that orders the steps of a series"),
    }

    def __init__(
        self,
        *,
        normalise: Annotated[
            Literal["per_series", "per_channel", "none"],
            Field(description="zero mean and unit deviation, over what"),
        ] = "per_series",
        unequal: Annotated[
            Literal["pad", "resample"], Field(description="samples of unequal length")
        ] = "pad",
        missing: Annotated[
            Literal["mask", "interpolate"], Field(description="missing values")
        ] = "mask",
        window: Annotated[
            Count | None, Unit("steps"), Field(description="long series are cut into windows")
        ] = None,
        stride: Annotated[
            Count, Unit("steps"), Field(description="from one window to the next")
        ] = 1,
        horizon: Annotated[
            Count | None,
            Unit("steps"),
            Field(description="the end of a window that splits do not share; null = all of it"),
        ] = None,
        periods: Annotated[
            list[int | float] | None,
            Unit("steps, or shares of a series"),
            Field(description="train, validation and test in time; null = [0.7, 0.1, 0.2]"),
        ] = None,
    ) -> None:
        cuts = {"window": window, "stride": stride, "horizon": horizon, "periods": periods}
        shape = {"normalise": normalise, "unequal": unequal, "missing": missing}
        self.rules: dict[str, Any] = shape | cuts
        self.windows = _windows(window, stride, horizon, periods)
        # later than what is learnt from: it judges, and is no part of the pool either
        self.validation_judges = self.validation_apart = self.windows is not None

    def read(
        self, source: str, columns: Mapping[str, Any], root: Path, *, unlabelled: bool = False
    ) -> pa.Table:
        """aeon:NAME, parquet:FILE, csv:FILE, ts:FILE or npz:FILE -> `series`, `steps`."""
        raw = self._whole(source, columns, root, unlabelled)
        return cut(raw, self.windows, split=not unlabelled) if self.windows else raw

    def _whole(
        self, source: str, columns: Mapping[str, Any], root: Path, unlabelled: bool
    ) -> pa.Table:
        scheme, rest = place(source, SCHEMES)
        if scheme == "aeon":
            return series_files.read_aeon(rest)
        if scheme == "ts":
            return series_files.read_ts(rest, root)
        path = file_at(rest, root)
        if scheme == "npz":
            return series_files.read_npz(path, columns, unlabelled)
        load = series_tables.read_parquet if scheme == "parquet" else series_tables.read_csv
        long = self.windows is not None
        return series_tables.series_of(load(path), columns, str(path), unlabelled, long=long)

    def of_table(
        self, table: pa.Table, columns: Mapping[str, Any], where: str, *, unlabelled: bool = False
    ) -> pa.Table:
        if self.windows:
            raise ValueError(
                f"{where}: series of a pool larger than memory are not cut into windows; leave out "
                "data.window and write the windows as rows"
            )
        if columns.get("time") is not None:
            raise ValueError(
                f"{where}: a table with one row per step can only be read whole, for which memory "
                "is too small; write it with one row per series, its steps in a list"
            )
        return series_tables.series_of(table, columns, where, unlabelled)

    def in_parts(self, columns: Mapping[str, Any]) -> bool:
        """Not where a row is a step, or series are cut into windows."""
        return self.windows is None and columns.get("time") is None

    def raw_input(self, state: Mapping[str, Any]) -> RawInput:
        return SeriesInput(state)

    def write(self, arrays: Any, labels: Sequence[str | None] | None, folder: Path) -> str:
        """(N, C, T), (N, T) of one channel, or a list of (C, T) of any lengths; NaN = missing."""
        return written(arrays, labels, folder)

    def from_arrays(self, arrays: Any, state: Mapping[str, Any]) -> pa.Table:
        return series_of_arrays(arrays, state["channels"])

    def to_arrays(self, raw: pa.Table, state: Mapping[str, Any]) -> np.ndarray:
        return arrays_of_series(raw)

    def usable(self, raw: pa.Table) -> np.ndarray:
        ragged = Ragged.from_table(raw)
        usable_N = ragged.steps_N > 0
        starts = ragged.offsets[:-1][usable_N]
        usable_N[usable_N] = np.logical_or.reduceat(~np.isnan(ragged.values), starts)
        return usable_N

    def fit(self, train: pa.Table, others: Sequence[pa.Table] = ()) -> dict[str, Any]:
        ragged = Ragged.from_table(train)
        mean, std = statistics(series_windows.once(train) if self.windows else ragged)
        longest = [int(t["steps"].to_numpy().max(initial=1)) for t in (train, *others)]
        return {
            "modality": "timeseries",
            "rules": self.rules,
            "channels": list(ragged.channels),
            "length": max(longest),
            "mean": mean,
            "std": std,
        }

    def preprocess(self, raw: pa.Table, state: Mapping[str, Any]) -> pa.Table:
        ragged = Ragged.from_table(raw)
        if len(ragged.channels) != len(state["channels"]):
            raise ValueError(
                f"these series have {len(ragged.channels)} channels "
                f"({', '.join(ragged.channels)}), but {len(state['channels'])} are expected "
                f"({', '.join(state['channels'])})"
            )
        x_NCT, valid_NT = tensors(ragged, state)
        channels, length = x_NCT.shape[1:]
        steps = pa.FixedSizeListArray.from_arrays(pa.array(x_NCT.ravel()), length)
        valid = pa.array(valid_NT.view(np.uint8).ravel())
        return pa.table(
            {
                "x": pa.FixedSizeListArray.from_arrays(steps, channels),
                "valid": pa.FixedSizeListArray.from_arrays(valid, length),
            }
        )

    def describe(self, raw: pa.Table, state: Mapping[str, Any]) -> list[str]:
        ragged, rules, length = Ragged.from_table(raw), state["rules"], state["length"]
        notes, shortest, longest = [], ragged.steps_N.min(), ragged.steps_N.max()
        if shortest < length:
            how = {
                "pad": f"shorter ones are padded at the end to {length}, marked as not valid",
                "resample": f"all are stretched linearly to {length}",
            }[rules["unequal"]]
            notes.append(f"Series are {shortest} to {longest} steps long: {how}.")
        if longest > length:
            how = {"pad": "cut at the end", "resample": "shrunk linearly"}[rules["unequal"]]
            cut = int((ragged.steps_N > length).sum())
            notes.append(f"{cut} series are longer than {length} steps: they are {how}.")
        gone = np.isnan(ragged.values)
        if gone.any():
            places = np.searchsorted(ragged.offsets, np.flatnonzero(gone), side="right")
            how = {
                "mask": "steps without any value are not valid, other gaps take the mean of "
                "their series and channel",
                "interpolate": "gaps are filled linearly in time",
            }[rules["missing"]]
            rows = len(np.unique(places))
            notes.append(f"{int(gone.sum())} values are missing in {rows} series: {how}.")
        if self.windows:
            notes.insert(0, series_windows.said(raw, self.windows))
        return notes + self._constant(ragged)

    def _constant(self, ragged: Ragged) -> list[str]:
        starts = ragged.runs()
        if not len(starts):
            return []
        # fmin and fmax pass over NaN.
        low = np.fmin.reduceat(ragged.values, starts)
        flat_RC = (low == np.fmax.reduceat(ragged.values, starts)).reshape(-1, len(ragged.channels))
        rows = int(flat_RC.any(axis=1).sum())
        if not rows:
            return []
        becomes = (
            ": such a channel becomes zeros" if self.rules["normalise"] == "per_series" else ""
        )
        where = "" if flat_RC.shape[1] == 1 else " in at least one channel"
        return [f"{rows} series are constant{where}{becomes}."]

    def spec(self, state: Mapping[str, Any]) -> InputSpec:
        sizes = {"channels": len(state["channels"]), "length": state["length"]}
        if self.windows:
            sizes |= {"stride": self.windows.stride, "horizon": self.windows.horizon}
        return InputSpec(modality="timeseries", sizes=sizes)

    def collate(self, columns: Mapping[str, torch.Tensor], index_B: torch.Tensor) -> Batch:
        valid_BT = columns["valid"].index_select(0, index_B).view(torch.bool)
        return Batch(x=columns["x"].index_select(0, index_B), valid=valid_BT, index=index_B)

    def flat(self, batch: Batch, spec: InputSpec) -> torch.Tensor:
        return torch.where(batch.valid[:, None], batch.x, torch.zeros_like(batch.x)).flatten(1)

    def panel(self, axes: Any, x: np.ndarray, original: np.ndarray) -> None:
        plots.lines(axes, x, original)

    def synthetic(self, n: int, seed: int) -> pa.Table:
        """Sinusoids in noise: a class has its own frequency in each channel; phases are random.

        With `window` the windows of one long series of n steps.
        """
        if self.windows:
            long = series_windows.long_series(n, seed).to_table("synthetic")
            return cut(long, self.windows, split=True)
        rng = np.random.default_rng(seed)
        classes, channels, length = SYNTHETIC
        label_N = rng.permutation(np.arange(n) % classes)
        cycles_NC = 2.0 + label_N[:, None] + 2.0 * np.arange(channels)
        phase_NC = rng.uniform(0, 2 * np.pi, (n, channels))
        turn_T = 2 * np.pi * np.arange(length) / length
        x_NCT = np.sin(cycles_NC[..., None] * turn_T + phase_NC[..., None])
        x_NCT += 0.3 * rng.standard_normal(x_NCT.shape)
        names = tuple(f"channel {c}" for c in range(channels))
        ragged = Ragged(x_NCT.ravel(), np.full(n, length, np.int64), names)
        labels = pa.array([f"class {c}" for c in label_N])
        return ragged.to_table("synthetic").append_column("label", labels)


def _windows(
    window: int | None, stride: int, horizon: int | None, periods: list[int | float] | None
) -> Windows | None:
    if window is not None:
        return Windows(window, stride, horizon or window, tuple(periods or PERIODS))
    for word, idle in (("stride", stride == 1), ("horizon", not horizon), ("periods", not periods)):
        if not idle:
            raise ValueError(f"data.{word} is of windows: write data.window, their steps, too")
    return None
