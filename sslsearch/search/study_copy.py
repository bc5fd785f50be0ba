"""A copy of a study folder in a storage: put there bit by bit, and got back.

`mirror.json` says which files belong to the copy and, by a stamp that is new each time, which copy
it is; the one in the folder knows the stamps of the folder's own last copies. Files of trials and
floors are put there, and got, by the processes that need them (`shelf.py`).
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import tempfile
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sslsearch.search.row import Row
from sslsearch.train import checkpoint
from sslsearch.train.storage import PART, Storage

INDEX, DATABASE, LOG = "mirror.json", "study.db", "events.jsonl"
APART = ("trials", "floors", ".ray", "samples")
DERIVED = (INDEX, DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm", LOG, "events.shipped.json")
UNFINISHED = (PART, ".tmp")


class TakenOver(Exception):
    """Another run of the study writes to the storage."""


@dataclass(frozen=True)
class File:
    """A file of the copy.

    Attributes:
        name: in the study folder and in the storage.
        path: what is put there: the file itself, or a snapshot of it.
        look: tells one that has changed.
    """

    name: str
    path: Path
    look: list[int]


class StudyCopy:
    """The copy of `folder` in `storage`."""

    def __init__(self, storage: Storage, folder: Path) -> None:
        self.storage, self.folder = storage, folder
        self.shown = without_options(storage.uri)
        self._stamps: list[str] = []  # of the copy that is there, and of the one being made
        self._put: dict[str, list[int]] = {}  # by file that is there, what it looked like here

    def restore(self) -> str:
        """Get the study from the storage if it is there and the folder does not hold it as new.

        Returns:
            What was done, in words; nothing if the folder is as new.

        Raises:
            ValueError: the folder and the storage hold two studies.
        """
        there, mine = self._index_there(), self._index_here()
        here = (self.folder / DATABASE).exists()
        if there is None:
            return ""
        if here and mine is None:
            raise ValueError(
                f"{self.folder} holds a study and {self.shown} another; "
                "give another folder with --out, or another compute.storage"
            )
        if here and mine is not None and there["stamp"] in mine["stamps"]:
            self._stamps, self._put = [there["stamp"]], mine["put"]
            return ""
        remark = self._set_aside() if here else ""
        self._get(there)
        return f"the study is taken from {self.shown} and goes on{remark}"

    def _set_aside(self) -> str:
        aside = self.folder.with_name(f"{self.folder.name}.older-{time.strftime('%Y%m%d-%H%M%S')}")
        self.folder.rename(aside)
        return f"; what was in the folder is older and lies in {aside}"

    def _get(self, there: dict[str, Any]) -> None:
        """The record comes last: until it is here, the folder holds no study."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._stamps = [there["stamp"]]
        self._write_index()
        names = [n for n in there["files"] if ".." not in n.split("/") and not n.startswith("/")]
        for name in sorted(names, key=lambda name: name == DATABASE):
            self.storage.get(name, self.folder / name)
        self._put = {name: _look(self.folder / name) for name in names}
        self._write_index()

    def update(self, over: Sequence[str]) -> None:
        """Put what has changed, and remove the checkpoints of trials that are `over`.

        What is there is at any moment what a killed driver might have left: the log comes from
        before the record and is put after it, so that the record knows what the log tells; all
        other files are put before the record that may call the study finished.

        Raises:
            TakenOver: somebody else has put a copy there.
        """
        self._refuse_takeover()
        with tempfile.TemporaryDirectory() as scratch:
            ours = self._snapshots(Path(scratch))
            files = [*self._files(), *ours]
            changed = [file for file in files if self._put.get(file.name) != file.look]
            for file in changed:
                with contextlib.suppress(FileNotFoundError):  # removed meanwhile
                    self.storage.put(file.path, file.name)
                    self._put[file.name] = file.look
        gone = self._put.keys() - {file.name for file in files}
        if changed or gone:
            self._stamp([file.name for file in files if file.name in self._put])
        for name in [*gone, *(f"trials/{trial}/rung.safetensors" for trial in over)]:
            self.storage.delete(name)
            self._put.pop(name, None)

    def sweep(self, rows: Sequence[Row], keep_all: bool) -> None:
        """Remove what trials that are over, or that nobody knows, have left in the storage.

        Args:
            keep_all: what a trial leaves behind stays, not only a finalist's.
        """
        known = {row.name: row for row in rows}
        for name in self.storage.names("trials/"):
            row = known.get(name.split("/")[1])
            running = row is not None and row.status == "running"
            kept = row is not None and (row.kind == "finalist" or keep_all)
            if not running and (not kept or name.endswith("/rung.safetensors")):
                self.storage.delete(name)

    def _files(self) -> list[File]:
        """All but the record and the log, as they are now."""
        found = []
        for path in sorted(self.folder.rglob("*")):
            name = path.relative_to(self.folder).as_posix()
            apart = name.split("/")[0] in APART or name in DERIVED
            with contextlib.suppress(FileNotFoundError):  # replaced or removed meanwhile
                if not apart and path.suffix not in UNFINISHED and path.is_file():
                    found.append(File(name, path, _look(path)))
        return found

    def _snapshots(self, scratch: Path) -> list[File]:
        """The record and the log, copied as they are now where they have changed."""
        log, database = self.folder / LOG, self.folder / DATABASE
        size = log.stat().st_size if log.exists() else 0
        wal = database.with_name(f"{DATABASE}-wal")
        look = _look(database) + (_look(wal) if wal.exists() else [])
        made = [File(DATABASE, scratch / DATABASE, look)]
        if self._put.get(DATABASE) != look:
            with (
                contextlib.closing(sqlite3.connect(database)) as live,
                contextlib.closing(sqlite3.connect(scratch / DATABASE)) as copy,
            ):
                live.backup(copy)
        if size:
            made.append(File(LOG, scratch / LOG, [size]))
            with log.open("rb") as source:
                (scratch / LOG).write_bytes(source.read(size))
        return made

    def _stamp(self, names: list[str]) -> None:
        """Say there which copy this is; the folder has known it before, should we die between."""
        stamp = uuid.uuid4().hex
        self._stamps = [*self._stamps[:1], stamp]
        self._write_index()
        with tempfile.TemporaryDirectory() as scratch:
            index = Path(scratch) / INDEX
            index.write_text(json.dumps({"stamp": stamp, "files": names}))
            self.storage.put(index, INDEX)
        self._stamps = [stamp]

    def _refuse_takeover(self) -> None:
        there = self._index_there() if self._stamps else None
        if there is not None and there["stamp"] not in self._stamps:
            raise TakenOver(
                f"another run of this study writes to {self.shown}; what this one has done since "
                f"is in {self.folder} alone"
            )

    def _index_there(self) -> dict[str, Any] | None:
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / INDEX
            try:
                self.storage.get(INDEX, path)
            except FileNotFoundError:
                return None
            index: dict[str, Any] = json.loads(path.read_text())
        return index

    def _index_here(self) -> dict[str, Any] | None:
        """What the folder knows of its copy."""
        path = self.folder / INDEX
        index: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        return index or None

    def _write_index(self) -> None:
        index = {"storage": self.shown, "stamps": self._stamps, "put": self._put}
        checkpoint.write_text(self.folder / INDEX, json.dumps(index))


def refuse_other_storage(folder: Path, uri: str | None) -> None:
    """What trials have left lies where the folder's study has kept it so far.

    Raises:
        ValueError: that is not the storage at `uri`.
    """
    path = folder / INDEX
    known = json.loads(path.read_text())["storage"] if path.exists() else None
    if known is not None and known != without_options(uri or ""):
        raise ValueError(
            f"{folder} keeps the files of its trials in {known}; set compute.storage to it again"
        )


def without_options(uri: str) -> str:
    """An address as people know it."""
    return uri.partition("?")[0]


def _look(path: Path) -> list[int]:
    about = os.stat(path)
    return [about.st_size, about.st_mtime_ns]
