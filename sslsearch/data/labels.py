"""Labels: as text, as numbered classes, and which of them a study may see."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

SHOWN = 6  # classes in a note
UNKNOWN = ("", "?")  # how a text column says: no label


def as_text(column: pa.ChunkedArray, where: str) -> pa.Array:
    """Text, whole numbers or booleans as text; empty, `?` and NaN as null."""
    array = pa.chunked_array(column).combine_chunks()
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_floating(array.type):
        array = pc.if_else(pc.is_nan(array), None, array)
        if pc.any(pc.not_equal(pc.floor(array), array)).as_py():
            raise ValueError(f"{where} holds numbers with a fraction; it must hold names")
        array = array.cast(pa.int64())
    elif pa.types.is_nested(array.type):
        raise ValueError(f"{where} holds {array.type}, not text or whole numbers")
    text = pc.utf8_trim_whitespace(array.cast(pa.string()))
    return pc.if_else(pc.is_in(text, pa.array(UNKNOWN)), pa.scalar(None, pa.string()), text)


def naturally(names: Sequence[str]) -> list[str]:
    """Sorted as people count: by value where all are whole numbers, else `a2` before `a10`."""
    names = sorted(set(names))
    if all(re.fullmatch(r"[+-]?\d+", name) for name in names):
        return sorted(names, key=int)
    return sorted(names, key=_digits_as_numbers)


def _digits_as_numbers(name: str) -> list[tuple[int, int, str]]:
    pieces = re.split(r"([0-9]+)", name)
    return [(0, int(p), "") if p.isdecimal() and p.isascii() else (1, 0, p) for p in pieces]


def numbered(text: pa.ChunkedArray, names: Sequence[str]) -> np.ndarray:
    """int64: the place of each text in `names`, -1 = null."""
    place = pc.index_in(text, value_set=pa.array(names, pa.string()))
    return np.asarray(pc.fill_null(place, -1), np.int64)


def draw(
    rule: str | int | float, label_N: np.ndarray, classes: Sequence[str], rng: np.random.Generator
) -> tuple[np.ndarray, list[str]]:
    """Rows (ascending) whose labels may be seen, and a note if classes have too few.

    The rows of a class are shuffled once and taken from the front, so that with one seed
    `5 per class` is part of `10 per class`.
    """
    per_class, share = parse(rule)
    rows, short = [np.empty(0, np.int64)], []
    for number, name in enumerate(classes):
        there = rng.permutation(np.flatnonzero(label_N == number))
        if per_class is not None:
            take = per_class
            if 0 < len(there) < take:
                short.append(f"{name!r} has {len(there)}")
        else:
            take = max(1, round(share * len(there)))
        rows.append(there[:take])
    notes = [f"Classes with fewer than {per_class} labels: {some(short, str)}; all are used."]
    return np.sort(np.concatenate(rows)), notes if short else []


def some(names: Sequence[str], write: Callable[[str], str] = repr) -> str:
    """The first few, and how many there are where they are more."""
    shown = ", ".join(map(write, names[:SHOWN]))
    return shown if len(names) <= SHOWN else f"{shown}, … ({len(names)} in all)"


def parse(rule: Any) -> tuple[int | None, float]:
    """`all`, `10 per class` or `5%` -> labels of each class, or their share."""
    text = str(rule).strip()
    if text == "all":
        return None, 1.0
    if match := re.fullmatch(r"(\d+) per class", text):
        if int(match[1]) > 0:
            return int(match[1]), 1.0
    elif (match := re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", text)) and 0 < float(match[1]) <= 100:
        return None, float(match[1]) / 100
    raise ValueError(f"data.labels: {text!r} is none of `all`, `10 per class`, `5%`")
