"""Series as people hold them in memory: one array of equal lengths, or a list of unequal ones.

Shapes: N = rows, C = channels, T = steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sslsearch.modalities.columns import with_labels
from sslsearch.modalities.series_raw import Ragged

WHERE = "these series"


def series_of_arrays(arrays: Any, channels: Sequence[str]) -> pa.Table:
    """(N, C, T), (N, T) where C = 1, or a list of (C, T) of any lengths -> raw. NaN = missing."""
    rows = _rows(arrays, len(channels))
    values = np.concatenate([np.ravel(row) for row in rows]).astype(np.float64)
    steps_N = np.array([row.shape[1] for row in rows], np.int64)
    return Ragged(values, steps_N, tuple(channels)).to_table(WHERE)


def arrays_of_series(raw: pa.Table) -> np.ndarray:
    """(N, C, T) float64; a series that is shorter than the longest ends in NaN."""
    ragged = Ragged.from_table(raw)
    channels, longest = len(ragged.channels), int(ragged.steps_N.max(initial=0))
    x_NCT = np.full((len(ragged.steps_N), channels, longest), np.nan)
    for row, (start, steps) in enumerate(zip(ragged.offsets, ragged.steps_N, strict=False)):
        values = ragged.values[start : start + channels * steps]
        x_NCT[row, :, :steps] = values.reshape(channels, steps)
    return x_NCT


def written(arrays: Any, labels: Sequence[str | None] | None, folder: Path) -> str:
    """As lists of channels of steps, in `folder`; where they lie."""
    first = np.asarray(arrays[0])
    channels = len(first) if first.ndim == 2 else 1
    rows = _rows(arrays, channels)
    nested = [list(np.asarray(x_CT, np.float64)) for x_CT in rows]
    series = pa.array(nested, pa.list_(pa.list_(pa.float64())))
    path = folder / "series.parquet"
    pq.write_table(with_labels(pa.table({"series": series}), labels), path)
    return f"parquet:{path}"


def _rows(arrays: Any, channels: int) -> list[np.ndarray]:
    if isinstance(arrays, list | tuple):
        rows = [_row(array, number, channels) for number, array in enumerate(arrays)]
    else:
        rows = list(_block(np.asarray(arrays), channels))
    if not rows:
        raise ValueError(f"{WHERE} are none: hand in at least one")
    return rows


def _block(x: np.ndarray, channels: int) -> np.ndarray:
    _refuse_text(x, WHERE)
    x_NCT = x[:, None, :] if x.ndim == 2 else x
    if x_NCT.ndim != 3 or x_NCT.shape[1] != channels:
        raise ValueError(
            f"an array of shape {x.shape} is not (series, {channels} channels, steps)"
            + (" or (series, steps)" if channels == 1 else "")
            + (f"; for one series write array[None], of shape {(1, *x.shape)}" * (x.ndim == 2))
        )
    return x_NCT


def _row(array: Any, number: int, channels: int) -> np.ndarray:
    x = np.asarray(array)
    _refuse_text(x, f"series {number}")
    x_CT = x[None] if x.ndim == 1 else x
    if x_CT.ndim != 2 or x_CT.shape[0] != channels:
        raise ValueError(
            f"series {number} (counted from 0) has shape {x.shape}; in a list each is "
            f"({channels} channels, steps)"
        )
    return x_CT


def _refuse_text(x: np.ndarray, where: str) -> None:
    if x.dtype.kind not in "fiub":
        raise ValueError(
            f"{where}: an array of {x.dtype} holds no numbers; series of unequal length are a "
            "list of arrays"
        )
