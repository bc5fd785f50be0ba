"""The study folder mirrored in a storage (`compute.storage`) without the search waiting for it.

A thread of the driver puts there what has changed: at every trial's end, and every few seconds. So
a driver that is lost with its machine loses nothing that was finished: where the study folder is
not there, or is older, the next run gets it from the storage and goes on.
"""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

from sslsearch.search.row import Row
from sslsearch.search.study_copy import StudyCopy, TakenOver, refuse_other_storage
from sslsearch.train.storage import insist, storage_of

EVERY_SECONDS = 5.0
LEAST_SECONDS = 1.0  # between two rounds, however many trials end; and as long as the last took
LONGEST_SECONDS = 30.0  # between tries while the storage does not answer
FAREWELL_SECONDS = 30.0  # for the last round
FAULTS = (OSError, sqlite3.Error)


class Mirror:
    """Keeps the copy of one study folder up to date; without a `place` it does nothing.

    Args:
        place: a storage, as `compute.storage` names it.
        say: called with a line when the storage goes away or comes back.

    Attributes:
        uri: the storage as another process finds it.
        restored: whether the folder was got from there.

    Raises:
        ValueError: the storage cannot be written; in one line, with the cure.
    """

    def __init__(self, place: str | None, folder: Path, say: Callable[[str], None]) -> None:
        self._folder, self._say = folder, say
        self.uri: str | None = None
        self.restored = False
        self._copy: StudyCopy | None = None
        if place is not None:
            storage = storage_of(place)
            if Path(storage.uri).is_relative_to(folder.resolve()):
                raise ValueError(
                    f"compute.storage {storage.uri} lies in the study folder {folder}, of which it "
                    "is to hold a copy; give another one, or none where all nodes see the folder"
                )
            storage.check()
            self.uri = storage.uri
            self._copy = StudyCopy(storage, folder)
        self._rows: Callable[[], Sequence[Row]] = tuple
        self._keep_all = False
        self._over: list[str] = []  # trials whose checkpoints are of no more use
        self._wake, self._closing = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def restore(self) -> None:
        """Before anything is read from the folder: get the study if it is there and not here.

        Raises:
            ValueError: the folder and the storage hold two studies, or the folder's files are in
                another storage.
        """
        refuse_other_storage(self._folder, self.uri)
        done = "" if self._copy is None else self._copy.restore()
        if done:
            self.restored = True
            self._say(done)

    def folder_of_ray(self) -> Path:
        """Where Ray may write what we never read. With a storage every node does so for itself."""
        if self._copy is None:
            return self._folder / ".ray"
        return Path(tempfile.gettempdir()) / f"sslsearch-ray-{uuid.uuid4().hex[:12]}"

    def begin(self, rows: Callable[[], Sequence[Row]], keep_all: bool) -> None:
        """Start to keep the copy up to date; for the arguments see `StudyCopy.sweep`."""
        self._rows, self._keep_all = rows, keep_all
        if self._copy is not None:
            with contextlib.suppress(OSError):  # the thread will say that it does not answer
                self._copy.sweep(rows(), keep_all)
            self._thread = threading.Thread(target=self._keep_up, name="mirror", daemon=True)
            self._thread.start()

    def ended(self, trial: str) -> None:
        """A trial has ended, and the copy should say so soon."""
        if self._copy is not None:
            self._over.append(trial)
            self._wake.set()

    def close(self) -> None:
        """Put what is left; say so if that fails."""
        copy = self._copy
        if copy is None or not (copy.folder / "study.db").exists():
            return
        self._closing.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        try:
            insist(self._round, FAREWELL_SECONDS, FAULTS)
            if self._thread is not None:
                copy.sweep(self._rows(), self._keep_all)
        except TakenOver as fault:
            self._say(str(fault))
        except FAULTS as fault:
            self._say(
                f"{copy.shown} does not answer ({_reason(fault)}): what it has not got is kept in "
                f"{copy.folder}, and the next run of this study puts it there"
            )

    def _keep_up(self) -> None:
        """The thread: a round, and a pause; a longer one while the storage does not answer."""
        pause, away = EVERY_SECONDS, False
        while not self._closing.is_set():
            began = time.monotonic()
            try:
                self._round()
            except TakenOver:
                return  # said at the end
            except FAULTS as fault:
                self._tell_once(
                    away,
                    "does not answer; the search goes on, and what changes is "
                    f"put there when it does ({_reason(fault)})",
                )
                away, pause = True, min(2 * pause, LONGEST_SECONDS)
                self._closing.wait(pause)
                continue
            self._tell_once(not away, "answers again and has everything")
            pause, away = EVERY_SECONDS, False
            self._closing.wait(max(LEAST_SECONDS, time.monotonic() - began))
            self._wake.wait(pause)
            self._wake.clear()

    def _tell_once(self, told: bool, what: str) -> None:
        if not told and self._copy is not None:
            self._say(f"{self._copy.shown} {what}")

    def _round(self) -> None:
        assert self._copy is not None
        over, self._over = self._over, []
        try:
            self._copy.update(over)
        except FAULTS:
            self._over = over + self._over
            raise


def _reason(fault: Exception) -> str:
    return str(fault).splitlines()[0].partition(" (Request ID")[0]
