"""Columns that are not what they seem: row counters, names of rows, codes written as numbers.

What counts or names the rows of a file says nothing of a row that is not in it, and may well betray
the label where rows are sorted. Such columns are left out, unless the user says what they hold.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sslsearch.modalities.table_cells import cell

ENOUGH = 20  # rows from which on it can be told
GAPS = 4  # a counter may skip rows (those of the test split): its range, times the rows
FEW = 20  # different whole numbers that may be codes


def odd_columns(raw: pa.Table, kinds: Mapping[str, str]) -> dict[str, str]:
    """Column -> `counts` or `names` the rows; never one whose kind the user has said.

    A counter holds whole numbers that rise from row to row and leave few out. A name is text that
    is there, and another one, in every row.
    """
    told = json.loads(raw.schema.metadata[b"kinds"])
    found: dict[str, str] = {}
    if len(raw) < ENOUGH:
        return found
    for name, kind in kinds.items():
        if name in told:
            continue
        values = cell(raw, name)
        if kind == "numeric" and _counts(values):
            found[name] = "counts"
        elif kind == "categorical" and _names(values):
            found[name] = "names"
    return found


def _counts(values: pa.Array) -> bool:
    if values.null_count:
        return False
    step_N = np.diff(values.to_numpy())
    rising = bool((step_N >= 1).all() and (step_N == np.floor(step_N)).all())
    return rising and step_N.sum() < GAPS * len(values)


def _names(values: pa.Array) -> bool:
    return not values.null_count and pc.count_distinct(values).as_py() == len(values)


def maybe_codes(raw: pa.Table, kinds: Mapping[str, str]) -> list[str]:
    """Numeric columns of few whole numbers that the user has not called so."""
    told = json.loads(raw.schema.metadata[b"kinds"])
    names = [name for name, kind in kinds.items() if kind == "numeric" and name not in told]
    found = []
    for name in names:
        values_N = pc.unique(cell(raw, name).drop_null()).to_numpy()
        if 2 < len(values_N) <= min(FEW, len(raw) // 2) and (values_N % 1 == 0).all():
            found.append(name)
    return found
