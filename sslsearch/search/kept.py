"""A training's folder, and its copy in a storage (`compute.storage`) that outlives the machine.

Below the storage the files stand in a folder of the same name: a recipe of a study may say where
that study is kept, and a training must not write over it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from sslsearch.search.shelf import PATIENCE_SECONDS
from sslsearch.train.storage import insist, storage_of


class Kept:
    """The files of one training, as the driver sees them; without a `place` the folder alone.

    Raises:
        ValueError: the storage cannot be written; in one line, with the cure.
    """

    def __init__(self, folder: Path, place: str | None) -> None:
        self.folder = folder
        self.storage = None if place is None else storage_of(_below(place, folder.name))
        if self.storage is not None:
            self.storage.check()

    @property
    def uri(self) -> str | None:
        """For workers."""
        return None if self.storage is None else self.storage.uri

    @property
    def study_id(self) -> str | None:
        """For MLflow: the same wherever the training goes on; None = the folder knows."""
        return None if self.uri is None else hashlib.sha256(self.uri.encode()).hexdigest()[:12]

    def recall(self, state: str) -> None:
        """Before anything is read from the folder: what is kept in the storage counts. A `state`
        that is in the folder alone goes there, for the workers to find."""
        if self.storage is None:
            return
        names = self.storage.names()
        for name in names:
            self.storage.get(name, self.folder / name)
        if state not in names and (self.folder / state).exists():
            self.storage.put(self.folder / state, state)

    def fetch(self, *names: str) -> None:
        """Get the newest of what workers have put; what is not there is left out."""
        for name in names:
            if self.storage is not None and self.storage.exists(name):
                self.storage.get(name, self.folder / name)

    def keep(self, *names: str) -> None:
        """Put files, or all files of a folder."""
        for name in names:
            path = self.folder / name
            files = [f for f in path.rglob("*") if f.is_file()] if path.is_dir() else [path]
            for file in files:
                self._put(file)

    def forget(self, *names: str) -> None:
        for name in names:
            (self.folder / name).unlink(missing_ok=True)
            if self.storage is not None:
                self.storage.delete(name)

    def _put(self, file: Path) -> None:
        storage = self.storage
        if storage is not None:
            name = file.relative_to(self.folder).as_posix()
            insist(lambda: storage.put(file, name), PATIENCE_SECONDS)


def _below(place: str, name: str) -> str:
    """`s3://bucket/prefix/name?…` of `s3://bucket/prefix?…`."""
    path, mark, options = place.partition("?")
    return f"{path.rstrip('/')}/{name}{mark}{options}"
