"""Tells the console, MLflow and the leaderboard what the conductor hears."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import cast

from sslsearch.search.board import Line, line_of, write_board
from sslsearch.search.floors import Floors
from sslsearch.search.listener import Listener
from sslsearch.search.mirror import Mirror
from sslsearch.search.record import Record, Row
from sslsearch.search.resources import Room
from sslsearch.track.console import Console
from sslsearch.track.mlflow import Tracker
from sslsearch.track.spool import read_log
from sslsearch.train.optim import effective_lr
from sslsearch.values import Report, Status

BOARD_SECONDS = 1.0  # after a trial's end: the board is written once for all that end meanwhile
BOARD_SHARE = 0.05  # of the time may go to the board: a long one is written less often


class Announcer(Listener):
    """The conductor's listener. Floors are told to it by the study itself."""

    def __init__(
        self,
        folder: Path,
        record: Record,
        console: Console,
        tracker: Tracker,
        floors: Floors,
        slots: Room,
        mirror: Mirror | None = None,
    ) -> None:
        self.folder, self.record, self.console, self.tracker = folder, record, console, tracker
        self.floors, self.slots, self.goal = floors, slots, record.space.goal
        self.mirror = mirror
        self.floor_lines: dict[str, Line] = {}
        self._live: set[str] = set()
        self._due = math.inf  # when the board must be written again
        self._pause = BOARD_SECONDS
        self._lines: dict[str, tuple[Row, Line]] = {}  # of trials that are over, as on the board
        self._said: set[str] = set()

    def phase(self, text: str) -> None:
        self.console.phase({"search": "searching", "confirm": "confirming on fresh seeds"}[text])

    def began(self, row: Row) -> None:
        self._live.add(row.name)
        self.console.slots(len(self._live), self.slots())
        self._track(row)

    def _track(self, row: Row) -> None:
        self.tracker.trial(
            row.name,
            number_of(row),
            row.kind,
            row.recipe,
            row.seed,
            "default" if self._of_default(row) else row.kind,
            origin=row.origin,
            optim={"lr_effective": effective_lr(row.recipe["optim"])},
        )

    def _of_default(self, row: Row) -> bool:
        """Is it a run of the default recipe on a fresh seed?"""
        if row.kind == "trial":
            return False
        named = [r.recipe.hash for r in self.record.rows("trial") if r.origin == "default"]
        return row.recipe.hash in named[-1:]

    def reported(self, row: Row, report: Report) -> None:
        self.floors.start()
        self.tracker.report(row.name, report)
        self.console.trial_report(
            row.name, row.recipe.family, report.rung, report.samples_seen, report.score
        )
        if report.status == "ok" and report.message and report.message not in self._said:
            self._said.add(report.message)
            self.console.note(f"{row.name}: {report.message}")

    def ended(self, row: Row) -> None:
        self._live.discard(row.name)
        self.console.slots(len(self._live), self.slots())
        status = cast(Status, row.status)  # it has ended, so it is not "running"
        self.tracker.finish(row.name, status, row.score, row.seconds)
        if row.kind == "trial":
            self.console.trial_done(row.name, row.recipe.family, status, row.score, row.seconds)
        else:
            self.console.seed_done(row.name, row.recipe.family, row.score)
        if status not in ("ok", "stopped") and row.reports and row.reports[-1].message:
            self.console.note(f"{row.name}: {row.reports[-1].message}")
        self._due = min(self._due, time.monotonic() + self._pause)
        if self.mirror is not None:
            self.mirror.ended(row.name)

    def catch_up(self) -> None:
        """Tell the log of trials whose end the record knows and the log does not: the folder is a
        copy in which the record is the newer of the two."""
        told = {event.get("trial") for event in read_log(self.folder) if event["kind"] == "finish"}
        for row in self.record.rows():
            if row.status != "running" and row.name not in told:
                self._track(row)
                for report in row.reports:
                    self.tracker.report(row.name, report)
                self.tracker.finish(row.name, cast(Status, row.status), row.score, row.seconds)

    def lost(self, row: Row) -> None:
        self._live.discard(row.name)
        self.console.slots(len(self._live), self.slots())
        at = f"rung {len(row.reports)}" if row.reports else "the start"
        self.console.note(f"{row.name} has lost its place in the cluster; it goes on from {at}")

    def idle(self) -> None:
        if time.monotonic() > self._due:
            self.write_board()

    def quiet(self, seconds: float, starting: list[Row], training: list[Row]) -> None:
        waits = [
            f"the slots of {_names(starting)} to start" if starting else "",
            f"{_names(training)} to come to a rung" if training else "",
        ]
        what = ", ".join(wait for wait in waits if wait) or "a node with room; see `ray status`"
        self.console.note(f"no report for {seconds:.0f} s: waiting for {what}")

    def floor(self, line: Line) -> None:
        """A floor's cross-validated score is known."""
        self.floor_lines[line.id] = line
        self.console.floor(line.id, line.score)
        self.tracker.trial(line.id, 0, "floor", None)
        self.tracker.finish(line.id, "ok", line.score if math.isfinite(line.score) else None)

    def write_board(self, tests: dict[str, float] | None = None) -> None:
        """Rewrite leaderboard.csv; `tests` maps runs and floors to their test score."""
        began, known = time.monotonic(), tests or {}
        lines = [self._line(row, known.get(row.name)) for row in self.record.rows()]
        write_board(
            self.folder / "leaderboard.csv", [*lines, *self.floor_lines.values()], self.goal
        )
        took = time.monotonic() - began
        self._due, self._pause = math.inf, max(BOARD_SECONDS, took / BOARD_SHARE)

    def _line(self, row: Row, test: float | None) -> Line:
        """A row is frozen: the line of one that has not changed is known."""
        if test is not None:
            return line_of(row, self.goal, test)
        before = self._lines.get(row.name)
        if before is None or before[0] is not row:
            self._lines[row.name] = before = (row, line_of(row, self.goal))
        return before[1]


def _names(rows: list[Row]) -> str:
    return ", ".join(f"{row.name} ({row.recipe.family})" for row in rows)


def number_of(row: Row) -> int:
    """The number in a trial's name; a finalist's seed stands in for one."""
    return int(row.name[1:]) if row.kind == "trial" else row.seed
