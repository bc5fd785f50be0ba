"""Where tables come from: Parquet, CSV and Arrow (IPC, Feather) files, scikit-learn's own sets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet

from sslsearch.modalities.columns import file_at
from sslsearch.registry import did_you_mean

SCHEMES = ("parquet", "csv", "arrow", "feather", "sklearn")
CLASSES = 3  # of diabetes: its target is a number, cut at the thirds
SETS = ("breast_cancer", "wine", "iris", "diabetes")


def read_table(scheme: str, rest: str, root: Path) -> pa.Table:
    """The whole table, its columns as the source has them."""
    if scheme == "sklearn":
        return read_sklearn(rest)
    path = file_at(rest, root)
    if scheme == "parquet":
        return pyarrow.parquet.read_table(path)
    if scheme == "csv":
        empty = [*pyarrow.csv.ConvertOptions().null_values, "?"]
        options = pyarrow.csv.ConvertOptions(null_values=empty, strings_can_be_null=True)
        return pyarrow.csv.read_csv(path, convert_options=options)
    return _read_arrow(path)


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
