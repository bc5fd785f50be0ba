"""Series from files that hold nothing else: .ts (and the problems aeon ships), npz.

Own .ts reader, because importing `aeon.datasets` takes seconds (it pulls numba and sklearn in)
and because it turns labels to lower case; the tests hold the two against each other.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from sslsearch.modalities.columns import column, common_roles, file_at
from sslsearch.modalities.series_raw import Ragged
from sslsearch.registry import did_you_mean

SIDES = {"train": "_TRAIN.ts", "test": "_TEST.ts"}


def read_aeon(name: str) -> pa.Table:
    """A problem that ships with aeon, or that aeon has downloaded before."""
    found = importlib.util.find_spec("aeon")
    assert found is not None  # a dependency of ours
    home = Path(str(found.origin)).parent / "datasets"
    names = {}
    for folder in ("data", "local_data"):
        for path in sorted((home / folder).glob("*/*_TRAIN.ts")):
            names[path.name.removesuffix("_TRAIN.ts")] = path.parent
    if name not in names:
        near = did_you_mean(name, names)
        raise ValueError(
            f"data.source: aeon:{name} does not ship with aeon{near}. A problem of its archive is "
            f"had by aeon.datasets.load_classification({name!r}), once and online"
        )
    return read_ts_pair({side: names[name] / f"{name}{end}" for side, end in SIDES.items()})


def read_ts(rest: str, root: Path) -> pa.Table:
    """FILE.ts, or both of FILE_TRAIN.ts and FILE_TEST.ts, then with their split."""
    stem = rest.removesuffix(".ts").removesuffix("_TRAIN")
    pair = {side: root / Path(stem + end).expanduser() for side, end in SIDES.items()}
    whole = root / Path(rest).expanduser()
    if all(p.is_file() for p in pair.values()) and (whole == pair["train"] or not whole.is_file()):
        return read_ts_pair(pair)
    return _ts_table(file_at(rest, root))


def read_ts_pair(pair: Mapping[str, Path]) -> pa.Table:
    tables = []
    for side, path in pair.items():
        table = _ts_table(path)
        tables.append(table.append_column("split", pa.array([side] * len(table), pa.string())))
    first, second = tables
    if first.schema.metadata != second.schema.metadata:
        raise ValueError(f"{pair['test']}: not the channels that {pair['train'].name} has")
    return pa.concat_tables(tables).combine_chunks()


def _ts_table(path: Path) -> pa.Table:
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    header, start = _ts_header(lines, path)
    if header.get("targetlabel") == "true":
        raise ValueError(f"{path}: its targets are numbers (@targetLabel); only classes are read")
    if header.get("timestamps") == "true":
        raise ValueError(f"{path}: time stamps in cells are not read; write values only")
    labelled = header.get("classlabel", "true").split()[0] != "false"
    series: list[np.ndarray] = []
    labels: list[str | None] = []
    for number, line in enumerate(lines[start:], start + 1):
        if not line.strip() or line.startswith("#"):
            continue
        text, _, label = line.strip().rpartition(":") if labelled else (line, "", None)
        x_CT = _ts_channels(text, f"{path}:{number}")
        if series and len(x_CT) != len(series[0]):
            raise ValueError(
                f"{path}:{number}: {len(x_CT)} channels, but {len(series[0])} in the first series"
            )
        series.append(x_CT)
        labels.append(label)
    values = np.concatenate([x_CT.ravel() for x_CT in series] or [np.empty(0)])
    steps_N = np.array([x_CT.shape[1] for x_CT in series], np.int64)
    names = tuple(str(c) for c in range(len(series[0]) if series else 1))
    table = Ragged(values, steps_N, names).to_table(str(path))
    return table.append_column("label", pa.array(labels, pa.string()))


def _ts_header(lines: list[str], path: Path) -> tuple[dict[str, str], int]:
    header: dict[str, str] = {}
    for number, line in enumerate(lines):
        words = line.strip().lower().split(maxsplit=1)
        if words[:1] == ["@data"]:
            return header, number + 1
        if words and words[0].startswith("@"):
            header[words[0][1:]] = words[1] if len(words) > 1 else ""
    raise ValueError(f"{path}: no @data line; is this a .ts file?")


def _ts_channels(text: str, where: str) -> np.ndarray:
    """Channels x steps; `?` and `NaN` are missing."""
    runs = [run.split(",") for run in text.replace("?", "nan").split(":")]
    if len({len(run) for run in runs}) > 1:
        steps = ", ".join(str(len(run)) for run in runs)
        raise ValueError(f"{where}: channels of {steps} steps; fill the missing steps with ?")
    try:
        return np.array(runs, dtype=np.float64)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def read_npz(path: Path, columns: Mapping[str, Any], unlabelled: bool) -> pa.Table:
    """X (N, C, T) or (N, T) and y, or X_train, y_train, X_test, y_test: names by the mapping."""
    with np.load(path, allow_pickle=False) as archive:
        try:
            arrays = {name: archive[name] for name in archive.files}
        except ValueError as error:
            raise ValueError(
                f"{path}: holds Python objects, which are never loaded; write series of unequal "
                "length as a list column of a parquet file"
            ) from error
    x = columns.get("series") or "X"
    mapping = {"label": "y", **{k: v for k, v in columns.items() if v is not None}}
    if f"{x}_train" not in arrays:
        return _npz_side(arrays, x, mapping, "", path, unlabelled)
    sides = []
    for side in ("train", "val", "test"):
        if f"{x}_{side}" in arrays:
            table = _npz_side(arrays, x, mapping, f"_{side}", path, unlabelled)
            sides.append(table.append_column("split", pa.array([side] * len(table), pa.string())))
    return pa.concat_tables(sides).combine_chunks()


def _npz_side(
    arrays: Mapping[str, np.ndarray],
    x: str,
    mapping: Mapping[str, Any],
    suffix: str,
    path: Path,
    unlabelled: bool,
) -> pa.Table:
    values = arrays[column(arrays, "series", f"{x}{suffix}", str(path))]
    if values.ndim not in (2, 3) or values.dtype.kind not in "fiub":
        raise ValueError(
            f"{path}: {x}{suffix} is {values.dtype} of shape {values.shape}; it must be numbers, "
            "(series, channels, steps) or (series, steps)"
        )
    n, channels = len(values), values.shape[1] if values.ndim == 3 else 1
    steps_N = np.full(n, values.shape[-1], np.int64)
    names = tuple(str(c) for c in range(channels))
    table = Ragged(values.astype(np.float64).ravel(), steps_N, names).to_table(str(path))
    wanted = {r: f"{mapping[r]}{suffix}" for r in ("label", "group", "split", "id") if r in mapping}
    if f"y{suffix}" not in arrays and mapping["label"] == "y":
        del wanted["label"]  # the default name: an archive without it is unlabelled
    for role, name in common_roles(arrays, wanted, str(path), unlabelled).items():
        if arrays[name].shape != (n,):
            raise ValueError(f"{path}: {name} has shape {arrays[name].shape}, {x}{suffix} {n} rows")
        table = table.append_column(role, pa.array(arrays[name]))
    return table
