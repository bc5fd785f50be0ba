"""A copy of an SQLite file that another process may be writing to: nothing is locked or written.

SQLite's own read-only mode would do neither: in a write-ahead log even a reader makes and marks
the file `-shm`, which does not work over a network file system; without one it makes writers wait.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TRIES = 20
PAUSE = 0.1  # seconds between tries
WAL_HEADER = 32  # bytes: its salts tell one round of the log from the next

Stamp = tuple[object, ...]


@contextmanager
def snapshot(database: Path) -> Iterator[Path]:
    """The database as it stood at one moment, as a file of its own, for as long as the block runs.

    Raises:
        ValueError: there is no such file, or it was being written to for seconds on end.
    """
    if not database.is_file():
        raise ValueError(f"{database}: there is no such file")
    with tempfile.TemporaryDirectory(prefix="sslsearch-") as folder:
        copy = Path(folder) / database.name
        for _ in range(TRIES):
            if _copied(database, copy):
                break
            time.sleep(PAUSE)
        else:
            raise ValueError(f"{database} is being written to all the time; try again in a while")
        yield copy


def stamp(database: Path) -> Stamp:
    """Changes whenever the database does."""
    found: list[object] = []
    for path in (database, _beside(database, "-wal")):
        try:
            known = path.stat()
            found += [known.st_mtime_ns, known.st_size]
        except FileNotFoundError:
            found += [None]
    return tuple(found)


def _copied(database: Path, copy: Path) -> bool:
    """Copy the file, then its write-ahead log; say whether they belong together.

    They do if meanwhile nothing moved from the log into the file (or, without a log, no transaction
    was under way), and the log was not begun anew. Frames that were being added to the log are
    harmless: SQLite reads up to the last transaction whose checksums are right.
    """
    wal, journal = _beside(database, "-wal"), _beside(database, "-journal")
    before = _still(database, wal, journal)
    shutil.copyfile(database, copy)
    _beside(copy, "-wal").unlink(missing_ok=True)
    with contextlib.suppress(FileNotFoundError):  # without a log all of it is in the file
        shutil.copyfile(wal, _beside(copy, "-wal"))
    return not journal.exists() and before == _still(database, wal, journal)


def _still(database: Path, wal: Path, journal: Path) -> Stamp:
    """What must not change while the files are copied."""
    try:
        with wal.open("rb") as file:
            head = file.read(WAL_HEADER)
    except FileNotFoundError:
        head = b""
    known = database.stat()
    return known.st_mtime_ns, known.st_size, head, journal.exists()


def _beside(database: Path, ending: str) -> Path:
    return database.with_name(database.name + ending)
