"""Which studies there are, and each as it stands now. Everything is only read."""

from __future__ import annotations

import csv
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sslsearch.dashboard.seen import Study, study_of
from sslsearch.track.params import scrub
from sslsearch.track.told import Log, StudyRun, studies_of, told_by

DEEP = 3  # folders below the one that is shown
LOG, BOARD = "events.jsonl", "leaderboard.csv"
MLFLOW_SECONDS = 15.0  # an MLflow is asked anew after so long


@dataclass(frozen=True)
class Entry:
    """A study that can be looked at: a folder, or a run in MLflow. Names are unique."""

    name: str
    folder: Path | None = None
    run: StudyRun | None = None


class Library:
    """The studies below a folder, and those of an MLflow that are not among them. All pages that
    are open share it.

    Args:
        root: a folder of studies, or a study.
        mlflow: a tracking URI; None = folders only.
    """

    def __init__(self, root: Path, mlflow: str | None = None) -> None:
        self.root, self.mlflow = root, mlflow
        self.trouble = ""  # what MLflow says, where it does not answer
        self._logs: dict[Path, Log] = {}
        self._seen: dict[str, tuple[object, Study]] = {}
        self._runs: list[StudyRun] = []
        self._asked = 0.0
        self._lock = threading.RLock()  # each page is drawn by a thread of its own

    def entries(self) -> list[Entry]:
        """All studies, those that were heard of last first."""
        with self._lock:
            return self._entries()

    def _entries(self) -> list[Entry]:
        folders = sorted(find(self.root), key=lambda f: -(f / LOG).stat().st_mtime)
        base = self.root if folders != [self.root] else self.root.parent
        found = [Entry(folder.relative_to(base).as_posix(), folder) for folder in folders]
        known = {self.study(entry).id for entry in found} if self.mlflow else set()
        for run in self._of_mlflow():
            if run.study not in known:
                name = f"{run.name} ({run.experiment}, MLflow, {run.study[:6]})"
                found.append(Entry(name, run=run))
        return found

    def study(self, entry: Entry) -> Study:
        """The study as it stands; read again only where something has changed."""
        with self._lock:
            mark = _mark(entry.folder) if entry.folder else int(time.monotonic() / MLFLOW_SECONDS)
            known = self._seen.get(entry.name)
            if known is None or known[0] != mark:
                study = self._in_folder(entry) if entry.folder else self._in_mlflow(entry)
                self._seen[entry.name] = known = (mark, study)
            return known[1]

    def _in_folder(self, entry: Entry) -> Study:
        folder = entry.folder
        assert folder is not None
        log = self._logs.setdefault(folder, Log(folder / LOG))
        space = folder / "space.yaml"
        text = space.read_text() if space.exists() else ""
        return study_of(log.told(), entry.name, str(folder), text, _board(folder / BOARD))

    def _in_mlflow(self, entry: Entry) -> Study:
        assert entry.run is not None
        assert self.mlflow is not None
        told, space = told_by(self.mlflow, entry.run)
        place = f"{scrub(self.mlflow)}, experiment {entry.run.experiment}"
        return study_of(told, entry.name, place, space)

    def _of_mlflow(self) -> list[StudyRun]:
        if self.mlflow and time.monotonic() - self._asked > MLFLOW_SECONDS:
            try:
                self._runs, self.trouble = studies_of(self.mlflow), ""
            except ValueError as fault:
                self.trouble = str(fault)
            self._asked = time.monotonic()
        return self._runs


def find(root: Path) -> Iterator[Path]:
    """Study folders at or below `root`; a study has none within it."""
    for folder, below, files in os.walk(root):
        here = Path(folder)
        if LOG in files:
            yield here
            below.clear()
        if len(here.relative_to(root).parts) >= DEEP:
            below.clear()
        below[:] = sorted(name for name in below if not name.startswith("."))


def _mark(folder: Path) -> tuple[object, ...]:
    """Changes when the study does."""
    found: list[object] = []
    for name in (LOG, BOARD, "space.yaml"):
        path = folder / name
        found += [path.stat().st_mtime_ns, path.stat().st_size] if path.exists() else [0]
    return tuple(found)


def _board(path: Path) -> dict[str, dict[str, str]]:
    """The leaderboard by id: what the log does not tell (test scores, floors' intervals)."""
    if not path.exists():
        return {}
    with path.open(newline="") as file:
        return {line["id"]: line for line in csv.DictReader(file)}
