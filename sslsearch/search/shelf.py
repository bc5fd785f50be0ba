"""Where the processes of a study keep the files of trials and floors, and find one another's.

Without a storage all work in the study folder, which they share. With one (`compute.storage`) each
works in a folder of its own; what another may need is put into the storage, under the same name.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import tempfile
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import psutil

from sslsearch.train.storage import insist, storage_of

OURS = "sslsearch-worker-"  # folders of workers in the machine's temporary folder: then the pid
START_SECONDS = 120.0  # a worker that starts waits for the storage
RESUME_SECONDS = 60.0  # for a checkpoint; then the trial starts over
PATIENCE_SECONDS = 3600.0  # for what the answer rests on


class Shelf:
    """Files by their names in the study folder, as this process sees them.

    Args:
        folder: where they lie in this process.
        uri: the storage that other processes see, None if they see `folder`.
    """

    def __init__(self, folder: Path, uri: str | None) -> None:
        self.folder = folder
        self.storage = None if uri is None else storage_of(uri)
        self._background = ThreadPoolExecutor(1, thread_name_prefix="storage")
        self._next: Future[None] | None = None

    def path(self, name: str) -> Path:
        return self.folder / name

    def fetch(self, name: str, seconds: float = PATIENCE_SECONDS) -> Path:
        """Where the file is here, got from the storage if need be; if there is none, nothing is.

        Raises:
            OSError: the storage has not answered for `seconds`.
        """
        path, storage = self.folder / name, self.storage
        if storage is not None and not path.exists():
            with contextlib.suppress(FileNotFoundError):
                insist(lambda: storage.get(name, path), seconds)
        return path

    def put(self, name: str) -> None:
        """Let the others see it; waits for a storage that does not answer."""
        storage = self.storage
        if storage is not None:
            insist(lambda: storage.put(self.folder / name, name), PATIENCE_SECONDS)

    def put_soon(self, name: str) -> None:
        """The same, behind one's back and once only; the newest state of the file counts."""
        if self.storage is not None:
            if self._next is not None:
                self._next.cancel()
            self._next = self._background.submit(self._try_to_put, name)

    def _try_to_put(self, name: str) -> None:
        assert self.storage is not None
        try:
            self.storage.put(self.folder / name, name)
        except FileNotFoundError:  # the trial is over, and its checkpoint removed
            return
        except OSError as fault:  # the next rung will try again
            print(f"{name} has not reached the storage: {fault}")

    def set_aside(self, name: str) -> str:
        """Keep a damaged file under another name; returns where."""
        aside = str(Path(name).with_suffix(".damaged"))
        self.path(name).replace(self.path(aside))
        if self.storage is None:
            return str(self.path(aside))
        self.put(aside)
        self.storage.delete(name)
        return aside

    def forget(self, folder: str) -> None:
        """This process needs the files below `folder` no more; those that others see stay."""
        if self.storage is not None:
            shutil.rmtree(self.folder / folder, ignore_errors=True)


def shelf_of_worker(folder: str, uri: str | None) -> Shelf:
    """A worker's: with a storage, in a folder that no other process uses.

    Raises:
        ValueError: the storage cannot be written from here; with the cure.
    """
    if uri is None:
        return Shelf(Path(folder), None)
    shelf = Shelf(_own_folder(), uri)
    assert shelf.storage is not None
    insist(shelf.storage.check, START_SECONDS, ValueError)
    return shelf


def _own_folder() -> Path:
    """A fresh one; those of workers that were killed are removed."""
    root = Path(tempfile.gettempdir())
    for old in root.glob(f"{OURS}*"):
        pid = old.name.removeprefix(OURS).partition("-")[0]
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(old, ignore_errors=True)
    made = Path(tempfile.mkdtemp(prefix=f"{OURS}{os.getpid()}-"))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made
