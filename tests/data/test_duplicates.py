"""Digests of rows: equal rows and only they share one, whatever the columns hold."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from sslsearch.data.duplicates import digests


@pytest.mark.parametrize(
    "values",
    [
        [[1.0, 2.0], [3.0], [1.0, 2.0], []],
        [[[1], [2, 3]], [[1, 2], [3]], [[1], [2, 3]], [[1, 2, 3]]],
        ["ab", "c", "ab", ""],
        [b"x", b"", b"x", None],
        [1, None, 1, 0],
        [True, False, True, None],
        [{"a": 1, "b": "x"}, {"a": 1, "b": "y"}, {"a": 1, "b": "x"}, {"a": 2, "b": "x"}],
    ],
)
def test_rows_0_and_2_are_equal_and_no_others(values: list[Any]) -> None:
    found = digests(pa.table({"content": values}), ["content"])
    assert found[0] == found[2]
    assert len(set(found)) == 3
    sliced = digests(pa.table({"content": values}).slice(1), ["content"])
    assert len(set(sliced)) == 3


def test_two_columns_do_not_run_into_each_other() -> None:
    table = pa.table({"a": [[1.0, 2.0], [1.0]], "b": [[3.0], [2.0, 3.0]]})
    assert len(set(digests(table, ["a", "b"]))) == 2


def test_fixed_size_lists_and_dictionaries() -> None:
    images = pa.FixedSizeListArray.from_arrays(pa.array([1, 2, 3, 4, 1, 2]), 2)
    words = pa.array(["a", "b", "a"]).dictionary_encode()
    found = digests(pa.table({"image": images, "word": words}), ["image", "word"])
    assert found[0] == found[2] != found[1]
