"""Exact duplicates: one digest per row over the content of its columns, whatever their type."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b

import numpy as np
import pyarrow as pa

Spans = tuple[memoryview, np.ndarray]  # bytes, and where each row starts in them (and the end)


def digests(table: pa.Table, columns: Sequence[str]) -> list[bytes]:
    """16 bytes for each row; equal rows have equal digests."""
    spans: list[Spans] = []
    for name in columns:
        array = table[name].combine_chunks()
        spans.extend(_spans(array, np.arange(len(array) + 1)))
    starts = [(content, start.tolist()) for content, start in spans]
    return [_digest(starts, row) for row in range(len(table))]


def _digest(spans: list[tuple[memoryview, list[int]]], row: int) -> bytes:
    state = blake2b(digest_size=16)
    for content, start in spans:
        state.update(content[start[row] : start[row + 1]])
    return state.digest()


def _spans(array: pa.Array, rows: np.ndarray) -> Iterator[Spans]:
    """The bytes of `array`, in which row r holds the elements rows[r] to rows[r + 1]."""
    kind = array.type
    if pa.types.is_dictionary(kind):
        array, kind = array.dictionary_decode(), kind.value_type
    if array.null_count:
        yield _bytes(array.is_null().to_numpy(zero_copy_only=False), rows)
    if pa.types.is_struct(kind):
        for child in array.flatten():
            yield from _spans(child, rows)
    elif (walk := _lists(array)) is not None:
        lengths, children = walk
        yield _bytes(lengths, rows)
        ends = np.concatenate([[0], np.cumsum(lengths)])
        yield from _spans(children, ends[rows])
    elif pa.types.is_null(kind):
        yield _bytes(np.ones(len(array), np.uint8), rows)
    else:
        yield _bytes(array.fill_null(0).to_numpy(zero_copy_only=False), rows)


def _lists(array: pa.Array) -> tuple[np.ndarray, pa.Array] | None:
    """Lengths and elements of lists, texts and bytes; None for plain values."""
    kind, types = array.type, pa.types
    if types.is_string(kind) or types.is_binary(kind):
        array = array.cast(pa.large_binary())
    elif types.is_large_string(kind):
        array = array.cast(pa.large_binary())
    if types.is_large_binary(array.type):
        _, ends, content = array.buffers()
        ends_N = np.frombuffer(ends, np.int64)[array.offset : array.offset + len(array) + 1]
        part = np.frombuffer(content or b"", np.uint8)[ends_N[0] : ends_N[-1]]
        return np.diff(ends_N), pa.array(part)
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        lengths = array.value_lengths().fill_null(0) if not types.is_fixed_size_list(kind) else None
        if lengths is None:
            return np.where(array.is_null(), 0, kind.list_size), array.flatten()
        return lengths.to_numpy(zero_copy_only=False), array.flatten()
    return None


def _bytes(values: np.ndarray, rows: np.ndarray) -> Spans:
    values = np.ascontiguousarray(values)
    return memoryview(values).cast("B") if len(values) else memoryview(b""), rows * values.itemsize
