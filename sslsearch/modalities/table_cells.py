"""Raw tables: the cells of each row in few plain types, and what kind of thing each column holds.

A raw table has one struct column `cells` (a user's column may have any name), its fields sorted by
name: float64 (all numbers), bool, string or timestamp. null = missing. What kind a column is stands
in the schema's metadata, `kinds`: numeric, categorical, boolean or date.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sslsearch.modalities.columns import column, common_roles, with_roles

KINDS = ("numeric", "categorical", "boolean", "date")
UNKNOWN = ("", "?")  # how a text column says that a value is missing
MOMENT = pa.timestamp("us")
SHOWN = 12  # names of columns in an error
AS_TRAINED = "it did in training: correct these cells, or leave them empty"
EXACT = 2.0**53  # float64 holds every whole number below
HOUR = {"s": 3600, "ms": 3600e3, "us": 3600e6, "ns": 3600e9}  # in the units of Arrow's times


def cells_of(
    table: pa.Table, columns: Mapping[str, Any], where: str, unlabelled: bool = False
) -> pa.Table:
    """A table as read -> raw. `columns` maps the common roles, and kinds to columns they hold."""
    table = named(table, where)
    roles = common_roles(table.column_names, columns, where, unlabelled)
    said = _said(table.column_names, columns, where, unlabelled)
    taken = {*roles.values(), *(name for name, kind in said.items() if kind == "ignore")}
    names = sorted(name for name in table.column_names if name not in taken)
    if not names:
        raise ValueError(f"{where}: no column is left to learn from; all play another role")
    cells = {name: _plain(table[name], name, where) for name in names}
    told = {name: said[name] for name in names if name in said}
    for name, kind in told.items():
        instead = "categorical" if kind == "numeric" else "ignore"
        cure = f"name it in data.columns.{instead}"
        as_kind(cells[name], kind, f"{where}: column {name!r}", cure)
    struct = pa.StructArray.from_arrays(list(cells.values()), names)
    types = {f"column {name}": str(array.type) for name, array in cells.items()}
    metadata = {**types, "kinds": json.dumps(told)}  # what a second pool must have too
    raw = pa.table({"cells": struct}, metadata=metadata)
    return with_roles(raw, table, roles).replace_schema_metadata(raw.schema.metadata)


def named(table: pa.Table, where: str) -> pa.Table:
    """Without spaces around the columns' names; one without a name is called by its place.

    Raises:
        ValueError: two columns have one name.
    """
    names = [name.strip() or f"column {n}" for n, name in enumerate(table.column_names, 1)]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"{where}: {names.count(twice)} columns are named {twice!r}")
    return table.rename_columns(names)


def kinds_of(raw: pa.Table) -> dict[str, str]:
    """Column -> numeric, categorical, boolean or date: as the user says, else as the rows look."""
    told = json.loads(raw.schema.metadata[b"kinds"])
    names = [field.name for field in raw.schema.field("cells").type]
    return {name: told.get(name) or _kind(cell(raw, name)) for name in names}


def cell(raw: pa.Table, name: str) -> pa.Array:
    """One column of the cells. ValueError where new data have none of that name."""
    struct = raw["cells"].combine_chunks()
    if isinstance(struct, pa.ChunkedArray):  # of a table without rows
        struct = pa.concat_arrays(struct.chunks) if struct.num_chunks else _nothing(struct.type)
    names = [field.name for field in struct.type]
    if name not in names:
        there = ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")
        raise ValueError(f"there is no column {name!r}, which training had; columns there: {there}")
    return struct.field(name)


def _nothing(kind: pa.DataType) -> pa.Array:
    return pa.array([], kind)


def present(raw: pa.Table) -> np.ndarray:
    """(rows, columns) bool: which cells hold anything."""
    names = [field.name for field in raw.schema.field("cells").type]
    return np.stack([_there(cell(raw, name)) for name in names], axis=1)


def _there(array: pa.Array) -> np.ndarray:
    return np.asarray(array.is_valid().to_numpy(zero_copy_only=False), bool)


def as_kind(array: pa.Array, kind: str, where: str, cure: str = AS_TRAINED) -> pa.Array:
    """The cells of a column as its kind wants them: float64, text, or moments.

    Raises:
        ValueError: text that is no number or no date; `where` it stands, and the cure.
    """
    if kind == "numeric":
        return _cast(array, pa.float64(), f"{where} does not hold numbers", cure)
    if kind == "date" and array.null_count == len(array):
        return pa.nulls(len(array), MOMENT)
    if kind == "date":
        law = f"{where} does not hold dates (as 2024-05-31 or 2024-05-31 12:00:00)"
        return _cast(array, MOMENT, law, cure)
    if not pa.types.is_floating(array.type):
        return pc.cast(array, pa.string())
    # Cell by cell: how one is written must not depend on the others of its column.
    whole = pc.and_(pc.equal(pc.floor(array), array), pc.less(pc.abs(array), EXACT))
    text = pc.cast(pc.cast(pc.if_else(whole, array, 0.0), pa.int64()), pa.string())
    text = pc.if_else(whole, text, pc.cast(array, pa.string()))
    if kind == "boolean":
        for digit, word in (("0", "false"), ("1", "true")):
            text = pc.if_else(pc.equal(text, digit), word, text)
    return text


def _cast(array: pa.Array, to: pa.DataType, law: str, cure: str) -> pa.Array:
    try:
        return pc.cast(array, to)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ValueError(f"{law}, but {array.type} ({error}); {cure}") from error


def _said(
    names: list[str], columns: Mapping[str, Any], where: str, unlabelled: bool
) -> dict[str, str]:
    """Column -> the kind that the user says, or `ignore`; a pool need not have what is ignored."""
    said: dict[str, str] = {}
    for kind in (*KINDS, "ignore"):
        wanted = columns.get(kind) or []
        for name in [wanted] if isinstance(wanted, str) else wanted:
            if kind == "ignore" and unlabelled and name not in names:
                continue
            if name in said:
                raise ValueError(f"data.columns: {name!r} is both {said[name]} and {kind}")
            said[column(names, kind, name, where)] = kind
    return said


def _plain(values: pa.ChunkedArray, name: str, where: str) -> pa.Array:
    """float64, bool, string or timestamp; NaN, empty text and `?` as null.

    A time of day and a duration become numbers, in hours; a moment is what the clocks of its own
    time zone show.
    """
    array = values.combine_chunks() if values.num_chunks != 1 else values.chunk(0)
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    kind = array.type
    if pa.types.is_boolean(kind):
        return array
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        text = pc.utf8_trim_whitespace(pc.cast(array, pa.string()))
        return pc.if_else(pc.is_in(text, pa.array(UNKNOWN)), pa.scalar(None, pa.string()), text)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        if pa.types.is_timestamp(kind) and kind.tz is not None:
            array = pc.local_timestamp(array)
        return pc.cast(array, MOMENT, safe=False)
    if pa.types.is_null(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return _finite(pc.cast(array, pa.float64(), safe=False), name, where)
    if pa.types.is_decimal(kind):
        return _finite(pc.cast(array, pa.float64()), name, where)
    if pa.types.is_time(kind) or pa.types.is_duration(kind):
        ticks = pc.cast(array, pa.int32() if pa.types.is_time32(kind) else pa.int64())
        return pc.divide(pc.cast(ticks, pa.float64()), HOUR[kind.unit])
    raise ValueError(
        f"{where}: column {name!r} holds {kind}, which is no number, text, boolean or date; leave "
        f"it out with data.columns.ignore=[{name}]"
    )


def _finite(array: pa.Array, name: str, where: str) -> pa.Array:
    array = pc.if_else(pc.is_nan(array), pa.scalar(None, pa.float64()), array)
    infinite = np.flatnonzero(pc.fill_null(pc.is_inf(array), False).to_numpy(zero_copy_only=False))
    if len(infinite):
        raise ValueError(
            f"{where}: column {name!r} holds an infinite value in row {infinite[0]} (from 0), "
            f"{len(infinite)} in all; replace it by a number, or leave it empty"
        )
    return array


def _kind(array: pa.Array) -> str:
    """What a column holds, where the user does not say: its type tells, and 0/1 is a boolean."""
    if pa.types.is_boolean(array.type):
        return "boolean"
    if pa.types.is_string(array.type):
        return "categorical"
    if pa.types.is_timestamp(array.type):
        return "date"
    found = pc.unique(array.drop_null())
    binary = len(found) == 2 and pc.all(pc.is_in(found, pa.array([0.0, 1.0]))).as_py()
    return "boolean" if binary else "numeric"
