"""Parquet of any size as raw samples, some rows at a time: what is in memory does not grow."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

BUFFER = 1 << 20  # bytes of a column that are read at once, however large a row group is


@dataclass(frozen=True)
class Streamed:
    """Files of one schema, row after row.

    Attributes:
        files: in order of their names.
        rows: of all files.
    """

    files: tuple[Path, ...]
    rows: int

    @classmethod
    def of(cls, place: str, root: Path) -> Streamed:
        """A file, a folder (all .parquet below it), or a pattern as `part-*.parquet`.

        Raises:
            ValueError: there is none, one is no Parquet, or two have different columns.
        """
        path = root / Path(place).expanduser()
        if path.is_dir():
            files = sorted(path.rglob("*.parquet"))
        else:
            files = [path] if path.is_file() else sorted(map(Path, glob.glob(str(path))))
        if not files:
            raise ValueError(f"{place}: there is no file of that name, and none below it")
        try:
            found = [pq.read_metadata(file) for file in files]
        except pa.ArrowInvalid as error:
            raise ValueError(f"{place} holds what is no Parquet file: {error}") from error
        schemas = [meta.schema.to_arrow_schema().remove_metadata() for meta in found]
        other = next((n for n, schema in enumerate(schemas) if schema != schemas[0]), None)
        if other is not None:
            raise ValueError(
                f"{files[other]} has other columns than {files[0]}; embed it by itself"
            )
        return cls(tuple(files), sum(meta.num_rows for meta in found))

    def raw(self, modality: Any, columns: Mapping[str, Any], batch: int) -> Iterator[pa.Table]:
        """Raw samples as the modality makes them of `batch` rows; columns: role -> column."""
        for path in self.files:
            first = 0
            # pre_buffer would hold a whole row group, which may be the whole file
            with pq.ParquetFile(path, pre_buffer=False, buffer_size=BUFFER) as file:
                for part in file.iter_batches(batch):
                    table = pa.Table.from_batches([part])
                    where = f"{path} from row {first}"
                    yield modality.of_table(table, columns, where, unlabelled=True)
                    first += len(part)
