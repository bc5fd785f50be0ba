"""Where tables come from: Parquet, CSV and Arrow (IPC, Feather) files, scikit-learn's own sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet

from sslsearch.modalities.columns import ABSENT_IN_POOL, file_at, with_labels
from sslsearch.registry import did_you_mean

SCHEMES = ("parquet", "csv", "arrow", "feather", "sklearn")
CLASSES = 3  # of diabetes: its target is a number, cut at the thirds
SETS = ("breast_cancer", "wine", "iris", "diabetes")
DELIMITERS = (",", ";", "\t", "|")


def read_table(scheme: str, rest: str, root: Path) -> pa.Table:
    """The whole table, its columns as the source has them.

    Raises:
        ValueError: the file is not what `scheme` says.
    """
    if scheme == "sklearn":
        return read_sklearn(rest)
    path = file_at(rest, root)
    read = {"parquet": pyarrow.parquet.read_table, "csv": _read_csv}.get(scheme, _read_arrow)
    try:
        table: pa.Table = read(path)
    except pa.ArrowInvalid as error:
        raise ValueError(f"{scheme}:{rest}: {error}") from error
    return table


def as_table(arrays: Any) -> pa.Table | None:
    """A DataFrame, a mapping of names to values, a list of such row by row, or (N, columns) numbers
    (named x0, x1 … as scikit-learn does); None of anything else."""
    if isinstance(arrays, list) and all(isinstance(row, Mapping) for row in arrays):
        names = dict.fromkeys(name for row in arrays for name in row)
        arrays = {name: [row.get(name) for row in arrays] for name in names}
    if isinstance(arrays, np.ndarray) and arrays.ndim == 2 and arrays.dtype.kind in "fiub":
        arrays = {f"x{place}": values for place, values in enumerate(arrays.T)}
    if isinstance(arrays, Mapping):
        return pa.table({n: pa.array(v, from_pandas=True) for n, v in arrays.items()})
    if hasattr(arrays, "columns"):
        return pa.Table.from_pandas(arrays, preserve_index=False)
    return None


def written(arrays: Any, labels: Sequence[str | None] | None, folder: Path) -> str:
    """As one Parquet file in `folder`; where it lies.

    Raises:
        ValueError: a column has the name of a role, which it would then play.
    """
    table = as_table(arrays)
    if table is None:
        raise ValueError(f"these rows are {type(arrays).__name__}; hand in a DataFrame, or numbers")
    taken = [name for name in (*ABSENT_IN_POOL, "id") if name in table.column_names]
    if taken:
        raise ValueError(
            f"a column of the rows is named {taken[0]!r}, which says a role; rename it"
        )
    path = folder / "rows.parquet"
    pyarrow.parquet.write_table(with_labels(table, labels), path)
    return f"parquet:{path}"


def _read_csv(path: Path) -> pa.Table:
    """Text in UTF-8 under a line of names; of the delimiters, the one that parts most names."""
    with path.open(encoding="utf-8", errors="replace") as file:
        header = file.readline()
    delimiter = max(DELIMITERS, key=header.count)  # the comma, where there is none
    plain = pyarrow.csv.ConvertOptions()
    options = pyarrow.csv.ConvertOptions(
        null_values=_padded([*plain.null_values, "?"]),
        true_values=_padded(plain.true_values),
        false_values=_padded(plain.false_values),
        strings_can_be_null=True,
    )
    table = pyarrow.csv.read_csv(
        path,
        parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        convert_options=options,
    )
    garbled = next((field.name for field in table.schema if pa.types.is_binary(field.type)), None)
    if garbled is not None:
        raise pa.ArrowInvalid(f"column {garbled!r} is not text in UTF-8; save the file as UTF-8")
    return table


def _padded(words: list[str]) -> list[str]:
    """Also with the space that some write after each delimiter."""
    return [space + word for word in words for space in ("", " ")]


def _read_arrow(path: Path) -> pa.Table:
    """A Feather file is an Arrow IPC file; a stream (.arrows) is read too."""
    try:
        return pyarrow.feather.read_table(path)
    except pa.ArrowInvalid:
        with pa.memory_map(str(path)) as file:
            return pa.ipc.open_stream(file).read_all()


def read_sklearn(name: str) -> pa.Table:
    """A set that scikit-learn ships: its columns, and `label`.

    diabetes: the target, a measure of progression, as low, middle and high thirds.
    """
    if name not in SETS:
        raise ValueError(
            f"data.source: scikit-learn has no table {name!r}{did_you_mean(name, SETS)}"
        )
    from sklearn import datasets

    bunch = getattr(datasets, f"load_{name}")()
    names = [str(n).removesuffix(" (cm)") for n in bunch.feature_names]
    table = pa.table({n: bunch.data[:, i] for i, n in enumerate(names)})
    if name == "diabetes":
        words = np.array(["low", "middle", "high"])
        cuts = np.quantile(bunch.target, np.arange(1, CLASSES) / CLASSES)
        label = words[np.searchsorted(cuts, bunch.target)]
    else:
        label = bunch.target_names[bunch.target]
    return table.append_column("label", pa.array([str(word) for word in label]))
