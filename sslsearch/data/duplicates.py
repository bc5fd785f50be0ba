"""Exact duplicates: one digest per row over the content of its columns, whatever their type."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import blake2b

import numpy as np
import pyarrow as pa
from pyarrow import types

Span = tuple[memoryview, list[int]]  # bytes, and where each row starts in them (and the end)


def digests(table: pa.Table, columns: Sequence[str]) -> list[bytes]:
    """16 bytes for each row: the same for equal rows of tables of one schema, else different."""
    rows = np.arange(len(table) + 1)
    spans = [s for name in columns for s in _spans(table[name].combine_chunks(), rows)]
    return [_digest(spans, row) for row in range(len(table))]


def _digest(spans: list[Span], row: int) -> bytes:
    state = blake2b(digest_size=16)
    for content, start in spans:
        state.update(content[start[row] : start[row + 1]])
    return state.digest()


def _spans(array: pa.Array, rows: np.ndarray) -> Iterator[Span]:
    """The bytes of `array`, in which row r holds the elements rows[r] to rows[r + 1]."""
    if types.is_dictionary(array.type):
        array = array.dictionary_decode()
    kind = array.type
    # Also where this table has no null: another table's rows must be told in the same bytes.
    yield _bytes(array.is_null().to_numpy(zero_copy_only=False), rows)
    if types.is_struct(kind):
        for child in array.flatten():
            yield from _spans(child, rows)
        return
    if types.is_string(kind) or types.is_binary(kind) or types.is_large_string(kind):
        array = array.cast(pa.large_binary())
    if types.is_large_binary(array.type):
        lengths, elements = _binary(array)
    elif types.is_fixed_size_list(kind):
        lengths = np.where(array.is_null(), 0, kind.list_size)
        elements = array.flatten()
    elif types.is_list(kind) or types.is_large_list(kind):
        lengths = array.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
        elements = array.flatten()
    else:
        yield _bytes(_plain(array), rows)
        return
    yield _bytes(lengths, rows)
    yield from _spans(elements, np.concatenate([[0], np.cumsum(lengths)])[rows])


def _binary(array: pa.Array) -> tuple[np.ndarray, pa.Array]:
    array = array.fill_null(b"")
    _, ends, content = array.buffers()
    ends_N = np.frombuffer(ends, np.int64)[array.offset : array.offset + len(array) + 1]
    return np.diff(ends_N), pa.array(np.frombuffer(content, np.uint8)[ends_N[0] : ends_N[-1]])


def _plain(array: pa.Array) -> np.ndarray:
    if types.is_boolean(array.type):
        array = array.cast(pa.uint8())
    if array.null_count:
        array = array.fill_null(pa.scalar(0, array.type))
    return np.asarray(array)


def _bytes(values: np.ndarray, rows: np.ndarray) -> Span:
    content = np.ascontiguousarray(values).view(np.uint8).reshape(-1)
    return content.data, (rows * values.itemsize).tolist()
