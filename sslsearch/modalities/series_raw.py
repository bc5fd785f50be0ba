"""Raw series of any length, as one flat array of numbers and the steps of each row.

Shapes: N = rows, C = channels. A row's numbers lie channel after channel: C runs of its steps.
Float64 throughout, because a z-score of float32 loses the signal of a series far from zero.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pyarrow as pa


@dataclass(frozen=True)
class Ragged:
    """Raw series; NaN = missing.

    Attributes:
        values: float64, C * steps numbers for each row.
        steps_N: int64, steps of each row.
        channels: the channels' names, in order.
    """

    values: np.ndarray
    steps_N: np.ndarray
    channels: tuple[str, ...]

    @property
    def offsets(self) -> np.ndarray:
        """Where each row starts in `values`, and the end."""
        return np.concatenate([[0], np.cumsum(self.steps_N * len(self.channels))])

    def to_table(self, where: str) -> pa.Table:
        """The raw Arrow table: `series` (list of float64), `steps`; channel names in the schema."""
        self._refuse_infinite(where)
        series = pa.LargeListArray.from_arrays(self.offsets, pa.array(self.values))
        names = self.channels if len(self.channels) > 1 else ("value",)  # nothing to tell apart
        metadata = {"channels": json.dumps(names)}
        return pa.table({"series": series, "steps": self.steps_N}, metadata=metadata)

    @classmethod
    def from_table(cls, table: pa.Table) -> Ragged:
        series = table["series"].combine_chunks()
        return cls(
            values=series.flatten().to_numpy(),
            steps_N=table["steps"].to_numpy(),
            channels=tuple(json.loads(table.schema.metadata[b"channels"])),
        )

    @classmethod
    def of_channels(cls, columns: dict[str, np.ndarray], steps_N: np.ndarray) -> Ragged:
        """From one flat array per channel, each holding all rows one after the other."""
        if len(columns) == 1:
            ((name, values),) = columns.items()
            return cls(np.asarray(values, np.float64), steps_N, (name,))
        starts = np.cumsum(steps_N) - steps_N
        step = np.arange(steps_N.sum()) - np.repeat(starts, steps_N)
        row_start = np.repeat(starts * len(columns), steps_N)
        values = np.empty(len(columns) * len(step))
        for number, channel in enumerate(columns.values()):
            values[row_start + number * np.repeat(steps_N, steps_N) + step] = channel
        return cls(values, steps_N, tuple(columns))

    def runs(self) -> np.ndarray:
        """Where each channel of each row starts, row after row; empty rows have none."""
        length = np.repeat(self.steps_N, len(self.channels))
        starts: np.ndarray = (np.cumsum(length) - length)[length > 0]
        return starts

    def _refuse_infinite(self, where: str) -> None:
        infinite = np.flatnonzero(np.isinf(self.values))
        if len(infinite):
            row = int(np.searchsorted(self.offsets, infinite[0], side="right")) - 1
            raise ValueError(
                f"{where}: row {row} (counted from 0) holds an infinite value, "
                f"{len(infinite)} in all; replace it by a number, or by NaN where it is missing"
            )
