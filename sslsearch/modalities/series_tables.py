"""Series from tables (parquet, csv): the layout is read from column types and the mapping.

list columns          one row per series: a list of steps, a list of channels x steps, or one
                      list column per channel (`columns.series: [x, y]`)
`columns.time` given  long: one row per step, `columns.id` says of which series; each column of
                      `columns.series` is a channel
else                  wide: one row per series; each number column is one step of one channel

Series that are cut into windows are long: without list columns there is one row per step, of one
series unless `columns.id` tells several apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from sslsearch.modalities.columns import column, common_roles, with_roles
from sslsearch.modalities.series_raw import Ragged

ROW, ALL = "row of the table", "all steps"  # made where a table of steps says no time, no series
RESERVED = {"label", "group", "split", "id", "time"}  # never taken for a step of a wide table


def read_parquet(path: Path) -> pa.Table:
    return pyarrow.parquet.read_table(path)


def read_csv(path: Path) -> pa.Table:
    """Empty cells, NA, NaN and ? are missing numbers; text stays as it is."""
    missing = [*pyarrow.csv.ConvertOptions().null_values, "?"]
    try:
        return pyarrow.csv.read_csv(
            path, convert_options=pyarrow.csv.ConvertOptions(null_values=missing)
        )
    except pa.ArrowInvalid as error:
        raise ValueError(f"{path}: not a csv file with a header row: {error}") from error


def series_of(
    table: pa.Table,
    columns: Mapping[str, Any],
    where: str,
    unlabelled: bool,
    *,
    long: bool = False,
) -> pa.Table:
    """Raw series from a table of any of the three layouts; `long`: without lists rows are steps."""
    roles = common_roles(table.column_names, columns, where, unlabelled)
    if long and not any(_is_list(kind) for kind in table.schema.types):
        return _long(*_of_steps(table, columns, roles, where), where)
    if columns.get("time") is not None:
        return _long(table, columns, roles, where)
    names = _series_columns(table, columns, roles, where)
    if all(_is_list(table[name].type) for name in names):
        ragged = _nested(table, names, where)
    else:
        ragged = _wide(table, names, where)
    return with_roles(ragged.to_table(where), table, roles)


def _series_columns(
    table: pa.Table, columns: Mapping[str, Any], roles: Mapping[str, str], where: str
) -> list[str]:
    wanted = columns.get("series")
    if wanted is not None:
        wanted = [wanted] if isinstance(wanted, str) else list(wanted)
        return [column(table.column_names, "series", name, where) for name in wanted]
    if "series" in table.column_names:
        return ["series"]
    lists = [name for name in table.column_names if _is_list(table[name].type)]
    if lists:
        raise ValueError(
            f"{where}: no column 'series'; say which of the list columns are the channels "
            f"with data.columns.series: {', '.join(lists)}"
        )
    taken = RESERVED | set(roles.values()) | {v for v in columns.values() if isinstance(v, str)}
    return [name for name in table.column_names if name not in taken]


def _is_list(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _numbers(array: pa.ChunkedArray, where: str) -> np.ndarray:
    """Float64, null = NaN."""
    kind = array.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind)):
        raise ValueError(
            f"{where} holds {kind}, not numbers; choose the columns of the series with "
            "data.columns.series, or make the text numbers"
        )
    return np.asarray(pc.fill_null(array.cast(pa.float64(), safe=False), np.nan))


def _lengths(array: pa.ChunkedArray) -> np.ndarray:
    return np.asarray(pc.fill_null(pc.list_value_length(array), 0), np.int64)


def _nested(table: pa.Table, names: list[str], where: str) -> Ragged:
    first = table[names[0]]
    if _is_list(first.type.value_type):
        if len(names) > 1:
            raise ValueError(f"{where}: {names[0]!r} holds all channels already; name it alone")
        return _channels_by_steps(first, f"{where}: column {names[0]!r}")
    flat, steps_N = {}, _lengths(first)
    for name in names:
        other = np.flatnonzero(_lengths(table[name]) != steps_N)
        if len(other):
            raise ValueError(
                f"{where}: row {other[0]} (counted from 0) has not as many steps in {name!r} "
                f"as in {names[0]!r}; fill the missing steps with NaN"
            )
        flat[name] = _numbers(pc.list_flatten(table[name]), f"{where}: column {name!r}")
    return Ragged.of_channels(flat, steps_N)


def _channels_by_steps(array: pa.ChunkedArray, where: str) -> Ragged:
    channels_N, runs = _lengths(array), pc.list_flatten(array)
    steps = _lengths(runs)
    full = channels_N[channels_N > 0]
    count = int(full[0]) if len(full) else 1
    odd = np.flatnonzero((channels_N != count) & (channels_N > 0))
    if len(odd):
        raise ValueError(
            f"{where}: row {odd[0]} (counted from 0) has {channels_N[odd[0]]} channels, others "
            f"{count}; the outer list is channels, the inner list steps: [[x0, x1, …], [y0, …]]"
        )
    steps_RC = steps.reshape(-1, count)
    odd = np.flatnonzero((steps_RC != steps_RC[:, :1]).any(1))
    if len(odd):
        row = np.flatnonzero(channels_N > 0)[odd[0]]
        raise ValueError(
            f"{where}: the channels of row {row} (counted from 0) have {steps_RC[odd[0]].tolist()}"
            " steps; fill the missing steps with NaN"
        )
    steps_N = np.zeros(len(channels_N), np.int64)
    steps_N[channels_N > 0] = steps_RC[:, 0]
    values = _numbers(pc.list_flatten(runs), where)
    return Ragged(values, steps_N, tuple(str(c) for c in range(count)))


def _wide(table: pa.Table, names: list[str], where: str) -> Ragged:
    if not names or "" in names:
        what = "a column without a name" if names else "no columns of steps"
        raise ValueError(f"{where}: {what}; say which columns are steps with data.columns.series")
    values_NT = np.stack([_numbers(table[n], f"{where}: column {n!r}") for n in names], axis=1)
    # A row that ends in missing steps is a shorter series: csv has no other way to say so.
    there = ~np.isnan(values_NT)
    steps_N = np.where(there.any(1), len(names) - there[:, ::-1].argmax(1), 0).astype(np.int64)
    inside = np.arange(len(names)) < steps_N[:, None]
    return Ragged(values_NT[inside], steps_N, ("0",))


def _of_steps(
    table: pa.Table, columns: Mapping[str, Any], roles: Mapping[str, str], where: str
) -> tuple[pa.Table, dict[str, Any], dict[str, str]]:
    """A table of steps with its time, channels and series said: what is not, is as it lies there.

    Time is the one column of dates; without one the rows are in order. Channels are all other
    columns that play no part.
    """
    said, roles = dict(columns), dict(roles)
    dates = [f.name for f in table.schema if pa.types.is_temporal(f.type)]
    if said.get("time") is None and len(dates) == 1:
        said["time"] = dates[0]
    if said.get("series") is None:
        taken = {*roles.values(), *RESERVED, *dates, said.get("time")}
        said["series"] = [name for name in table.column_names if name not in taken]
        if not said["series"]:
            raise ValueError(f"{where}: no columns of numbers; name them with data.columns.series")
    if said.get("time") is None:
        said["time"], table = ROW, table.append_column(ROW, pa.array(np.arange(len(table))))
    if "id" not in roles:
        roles["id"], table = ALL, table.append_column(ALL, pa.array(np.zeros(len(table), np.int64)))
    return table, said, roles


def _long(
    table: pa.Table, columns: Mapping[str, Any], roles: Mapping[str, str], where: str
) -> pa.Table:
    if "id" not in roles:
        raise ValueError(f"{where}: data.columns.time asks for data.columns.id: whose step is it?")
    time = column(table.column_names, "time", columns["time"], where)
    wanted = columns.get("series")
    if wanted is None:
        raise ValueError(f"{where}: say which columns are the channels with data.columns.series")
    names = [wanted] if isinstance(wanted, str) else list(wanted)
    ids = table[roles["id"]].combine_chunks().dictionary_encode()
    if ids.null_count or table[time].null_count:
        raise ValueError(f"{where}: {roles['id']!r} and {time!r} may not be empty in any row")
    code = ids.indices.to_numpy()
    when = _order(table[time], f"{where}: column {time!r}")
    order = np.lexsort((when, code))
    code, when = code[order], when[order]
    same = code[1:] == code[:-1]
    again = np.flatnonzero(same & (when[1:] == when[:-1]))
    if len(again):
        raise ValueError(
            f"{where}: series {ids.dictionary[int(code[again[0]])].as_py()!r} has two rows at one "
            f"{time!r}; a series has one row per step"
        )
    flat = {
        name: _numbers(
            table[column(table.column_names, "series", name, where)], f"{where}: column {name!r}"
        )[order]
        for name in names
    }
    ragged = Ragged.of_channels(flat, np.bincount(code, minlength=len(ids.dictionary)))
    first = np.concatenate([[0], np.flatnonzero(~same) + 1])
    by_series = table.select(sorted(set(roles.values()))).take(order)
    _refuse_changes(by_series, same, roles, where)
    return with_roles(ragged.to_table(where), by_series.take(first), roles)


def _order(array: pa.ChunkedArray, where: str) -> np.ndarray:
    kind = array.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return np.asarray(array)
    if pa.types.is_temporal(kind):
        width = pa.int64() if kind.bit_width == 64 else pa.int32()
        return np.asarray(array.cast(width))
    raise ValueError(f"{where} holds {kind}, which has no order in time; make it numbers or dates")


def _refuse_changes(
    table: pa.Table, same: np.ndarray, roles: Mapping[str, str], where: str
) -> None:
    """One series has one label, one group and one side of the split."""
    for role, name in roles.items():
        code = table[name].combine_chunks().dictionary_encode("encode").indices.to_numpy()
        changed = np.flatnonzero(same & (code[1:] != code[:-1]))
        if len(changed):
            series = table[roles["id"]][int(changed[0])].as_py()
            raise ValueError(f"{where}: {name!r} changes within series {series!r} ({role})")
