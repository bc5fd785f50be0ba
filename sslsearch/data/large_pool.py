"""A second pool that is larger than memory: read in batches, each preprocessed and put to files."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sslsearch.data import rows
from sslsearch.data.duplicates import digests
from sslsearch.data.mapped import Mapped, Writer
from sslsearch.data.store import table_of
from sslsearch.values import InputSpec

NUMBER = 8  # bytes: raw series are float64
COPIES = 8  # times its numbers that a source may take to be read into memory (5.6 measured)
BATCH_BYTES = 16 << 20  # numbers that are read at once
FOLDER = "samples"  # in the study's folder
LAYOUT = 1  # of what is written: raised whenever it changes
CGROUPS = (  # limit and use of a container's memory, in both versions
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


def find(data: Mapping[str, Any], root: Path, memory: int | None = None) -> Path | None:
    """The file of the second pool, if it is Parquet and `memory` is too small to read it whole."""
    scheme, _, rest = str(data.get("pool") or "").partition(":")
    path = root / Path(rest).expanduser()
    if scheme != "parquet" or not path.is_file():
        return None
    return path if COPIES * NUMBER * _numbers(path) > (memory or available()) else None


def available() -> int:
    """Bytes that may still be taken: of the machine, or of the container if that has less."""
    free = int(psutil.virtual_memory().available)
    for limit, used in ((Path(a), Path(b)) for a, b in CGROUPS):
        if limit.is_file() and limit.read_text().strip() != "max":
            free = min(free, int(limit.read_text()) - int(used.read_text()))
    return free


def _numbers(path: Path) -> int:
    """Values in all columns, those in lists counted one by one."""
    meta = pq.read_metadata(path)
    groups = (meta.row_group(g) for g in range(meta.num_row_groups))
    return sum(g.column(c).num_values for g in groups for c in range(g.num_columns))


@dataclass
class Tally:
    """What was met on the way.

    Attributes:
        tests, of_test_groups, empty: rows that were left out, for three reasons.
        described: what is said of the first batch.
        again: digests of the test rows that the pool holds too.
    """

    tests: int = 0
    of_test_groups: int = 0
    empty: list[np.ndarray] = field(default_factory=list)
    described: list[str] = field(default_factory=list)
    again: set[bytes] = field(default_factory=set)

    def notes(self, why: str) -> list[str]:
        empty = np.concatenate(self.empty or [np.empty(0, np.int64)])
        return [
            *rows.left_out(self.tests),
            *rows.of_test_groups(self.of_test_groups),
            *rows.dropped(empty, " of the second pool", why),
            *self.described,
        ]


@dataclass(frozen=True)
class Conversion:
    """A training table and a large pool on their way into files.

    Attributes:
        path: the pool: Parquet, one row per sample.
        columns: role -> column.
        modality, state: what makes tensors of raw samples, fitted on the source's own rows.
        train: the source's own rows, prepared; they come first.
        raw_test: what must not be trained on.
    """

    path: Path
    columns: Mapping[str, Any]
    modality: Any
    state: Mapping[str, Any]
    train: pa.Table
    raw_test: pa.Table

    def into(self, folder: Path) -> tuple[Mapped, list[str], set[bytes]]:
        """The table, notes, and the digests of test rows that the pool holds too.

        Files that an earlier run has made of the same are used again.
        """
        place, fingerprint = folder.resolve() / FOLDER, self._fingerprint()
        there = Mapped(place)
        if not place.is_dir() or there.about["fingerprint"] != fingerprint:
            self._refuse_full_disk(place)
            there = self._convert(place, fingerprint)
        about = there.about
        return there, about["notes"], {bytes.fromhex(digest) for digest in about["again"]}

    def _convert(self, place: Path, fingerprint: str) -> Mapped:
        spec = InputSpec(**json.loads(self.train.schema.metadata[b"spec"]))
        tally = Tally()
        with Writer(place) as writer:
            writer.append(self.train)
            for raw in self._raw(tally):
                # No probe looks at these rows, so that it does not matter which group they are of.
                none = np.full(len(raw), -1, np.int64)
                group = none if "group" in self.train.column_names else None
                role = np.full(len(raw), "pool")
                tensors = self.modality.preprocess(raw, self.state)
                tensors = self.modality.seal(tensors, none < 0)
                writer.append(table_of(tensors, raw, spec, [], none, role, group))
            again = sorted(digest.hex() for digest in tally.again)
            return writer.finish(
                {
                    "fingerprint": fingerprint,
                    "notes": tally.notes(self.modality.unusable),
                    "again": again,
                }
            )

    def _raw(self, tally: Tally) -> Iterator[pa.Table]:
        """The pool's raw rows that are to be learnt from, batch by batch."""
        content = rows.content(self.raw_test)
        tested = set(digests(self.raw_test, content))
        for first, part in self._batches():
            where = f"{self.path} from row {first}"
            raw = self.modality.of_table(part, self.columns, where, unlabelled=True)
            raw, tests = rows.only_pool(rows.in_words(raw, where, first))
            raw, empty = rows.without_empty(self.modality, raw)
            usable, raw = len(raw), self._of_no_test_group(raw)
            tally.tests += tests
            tally.empty.append(empty)
            tally.of_test_groups += usable - len(raw)
            if not len(raw):
                continue
            rows.refuse_other_samples(raw, self.raw_test.schema, where)
            if tested:
                tally.again |= tested.intersection(digests(raw, content))
            if not tally.described:
                said = f"Of the second pool, which is read in batches, the first {len(raw)} rows: "
                tally.described = [said + note for note in self.modality.describe(raw, self.state)]
            yield raw

    def _of_no_test_group(self, raw: pa.Table) -> pa.Table:
        if "group" not in raw.column_names or "group" not in self.raw_test.column_names:
            return raw
        tested = self.raw_test["group"].drop_null().combine_chunks()
        return raw.filter(pc.invert(pc.is_in(raw["group"], value_set=tested)))

    def _batches(self) -> Iterator[tuple[int, pa.Table]]:
        """The file's rows, and the place of the first."""
        file = pq.ParquetFile(self.path, memory_map=True)
        per_row = max(1, _numbers(self.path) // max(1, file.metadata.num_rows))
        first = 0
        for batch in file.iter_batches(max(1, BATCH_BYTES // (NUMBER * per_row))):
            yield first, pa.Table.from_batches([batch])
            first += len(batch)

    def _refuse_full_disk(self, place: Path) -> None:
        rows_there = len(self.train) + pq.read_metadata(self.path).num_rows
        wanted = rows_there * self.train.nbytes // len(self.train)
        there = next(parent for parent in place.parents if parent.is_dir())
        free = shutil.disk_usage(there).free
        if wanted > free:
            raise ValueError(
                f"data.pool: {self.path} does not fit in memory and takes {wanted / 2**30:.1f} GiB "
                f"in files, but {there} has {free / 2**30:.1f} GiB left; give another --out"
            )

    def _fingerprint(self) -> str:
        """Another one for anything else that decides what is written."""
        stat = self.path.stat()
        source = (str(self.path.resolve()), stat.st_size, stat.st_mtime_ns)
        said = json.dumps([LAYOUT, source, dict(self.columns), self.state], sort_keys=True)
        found = hashlib.blake2b(said.encode(), digest_size=16)
        group = [name for name in self.raw_test.column_names if name == "group"]
        tested = self.raw_test.select(rows.content(self.raw_test) + group)
        for table in (self.train, tested):
            found.update(str(table.schema).encode())
            found.update(b"".join(digests(table, table.column_names)))
        return found.hexdigest()
