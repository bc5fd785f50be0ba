"""A prepared table in files that every process maps: for more rows than memory holds.

NAME.bin      the numbers of one tensor column, row after row
rows.arrow    all other columns (label, role, row …), an Arrow IPC file
about.json    rows, types and shapes of the tensors, and what the maker wants to find again

It is written beside its place and renamed when it is whole, so that a torn one is never read.
"""

from __future__ import annotations

import json
import mmap
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa

ROWS, ABOUT = "rows.arrow", "about.json"


@dataclass(frozen=True)
class Mapped:
    """Where such a table lies. Only this travels between processes: each maps the files itself.

    What was read stays in memory as long as the kernel has room and can be dropped at any time.
    """

    folder: Path

    @property
    def about(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / ABOUT).read_text())
        return found

    def __len__(self) -> int:
        return int(self.about["rows"])

    def table(self) -> pa.Table:
        """The table over the files; each tensor column is one chunk, so that none is copied."""
        about = self.about
        rows = pa.ipc.open_file(pa.memory_map(str(self.folder / ROWS))).read_all()
        columns: dict[str, Any] = {
            name: _mapped(self.folder / f"{name}.bin", dtype, shape)
            for name, (dtype, shape) in about["tensors"].items()
        }
        columns |= {name: rows[name] for name in rows.column_names}
        return pa.table(columns, metadata=rows.schema.metadata)


class Writer:
    """Appends tables of one schema, as a context; the first one decides the columns."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.part = folder, folder.with_name(f"{folder.name}.part")
        self.rows = 0
        self.tensors: dict[str, tuple[str, list[int]]] = {}
        self._files: dict[str, BinaryIO] = {}
        self._rows: pa.ipc.RecordBatchFileWriter | None = None

    def __enter__(self) -> Writer:
        shutil.rmtree(self.part, ignore_errors=True)
        self.part.mkdir(parents=True)
        return self

    def __exit__(self, *fault: object) -> None:
        self._close()
        shutil.rmtree(self.part, ignore_errors=True)  # finish() has moved what is whole

    def append(self, table: pa.Table) -> None:
        """Columns that the first table has and this one has not are null."""
        if self._rows is None:
            self._begin(table)
        assert self._rows is not None
        for name, file in self._files.items():
            for chunk in table[name].chunks:
                leaf, _ = _leaf(chunk)
                file.write(np.ascontiguousarray(leaf).data)
        kept = table.select([n for n in self._rows_schema.names if n in table.column_names])
        empty = self._rows_schema.empty_table()
        self._rows.write_table(
            pa.concat_tables([empty, kept], promote_options="default")
            .select(self._rows_schema.names)
            .cast(self._rows_schema)
        )
        self.rows += len(table)

    def finish(self, about: dict[str, Any]) -> Mapped:
        """Put the table in its place, instead of what was there."""
        self._close()
        found = {"rows": self.rows, "tensors": self.tensors, **about}
        (self.part / ABOUT).write_text(json.dumps(found))
        shutil.rmtree(self.folder, ignore_errors=True)
        self.part.rename(self.folder)
        return Mapped(self.folder)

    def _begin(self, table: pa.Table) -> None:
        plain = [field for field in table.schema if not pa.types.is_fixed_size_list(field.type)]
        for field in table.schema:
            if field not in plain:
                leaf, shape = _leaf(table[field.name].chunk(0))
                self.tensors[field.name] = (np.asarray(leaf).dtype.name, shape)
                self._files[field.name] = (self.part / f"{field.name}.bin").open("wb")
        self._rows_schema = pa.schema(plain, metadata=table.schema.metadata)
        self._rows = pa.ipc.new_file(str(self.part / ROWS), self._rows_schema)

    def _close(self) -> None:
        for file in (*self._files.values(), self._rows):
            if file is not None:
                file.close()


def _leaf(array: pa.Array) -> tuple[pa.Array, list[int]]:
    """The numbers under nested fixed-size lists, and the shape of a row."""
    shape = []
    while pa.types.is_fixed_size_list(array.type):
        shape.append(array.type.list_size)
        array = array.flatten()
    return array, shape


def _mapped(path: Path, dtype: str, shape: list[int]) -> pa.Array:
    with path.open("rb") as file:
        area = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    if hasattr(mmap, "MADV_RANDOM"):  # batches are drawn at random: reading ahead reads in vain
        area.madvise(mmap.MADV_RANDOM)
    kind = pa.from_numpy_dtype(np.dtype(dtype))
    count = len(area) // np.dtype(dtype).itemsize
    array = pa.Array.from_buffers(kind, count, [None, pa.py_buffer(area)])
    for size in reversed(shape):
        array = pa.FixedSizeListArray.from_arrays(array, size)
    return array
