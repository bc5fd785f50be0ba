"""What Tune asks for the next trial: first the search, then the confirmation, on the same slots."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ray.tune.search import Searcher

from sslsearch.search import mailbag
from sslsearch.search.record import Record, Row
from sslsearch.space import Space
from sslsearch.values import Recipe, Report

FRESH = 1_000  # finalists' seeds start here: never the seed that the search used
SAFETY = 1.15  # on the time that confirmation is reckoned to take
FEWEST_SEEDS = 2  # of a finalist, however little time is left
MOST_ERRORS = 4  # trials that may err before any other outcome is seen
FIRST_GUESS = 0.35  # of the minutes go to confirmation, until a trial has been timed
LARGEST_SHARE = 0.5  # of the minutes that confirmation may claim; past that it runs fewer seeds


class Listener(Protocol):
    """Who is told what happens."""

    def began(self, row: Row) -> None: ...

    def reported(self, row: Row, report: Report) -> None: ...

    def ended(self, row: Row) -> None: ...

    def phase(self, text: str) -> None: ...


@dataclass
class Clock:
    """Wall clock of a study over all its runs.

    Attributes:
        minutes: the budget.
        spent: seconds used by earlier runs.
        started: when this run began, `time.monotonic()`.
    """

    minutes: float
    spent: float
    started: float = field(default_factory=time.monotonic)

    def elapsed(self) -> float:
        return self.spent + time.monotonic() - self.started

    def left(self) -> float:
        return self.minutes * 60 - self.elapsed()


class Conductor(Searcher):  # type: ignore[misc]
    """A Tune Searcher over the study's record.

    Args:
        setup: reference to the slots' setup in Ray's object store.
        slots: how many run at once.
        finalists: picks the recipes to confirm out of the finished trials.
    """

    def __init__(
        self,
        space: Space,
        record: Record,
        folder: Path,
        setup: Any,
        slots: int,
        clock: Clock,
        listener: Listener,
        default: Recipe,
        finalists: Callable[[list[Row]], list[Recipe]],
    ) -> None:
        super().__init__(metric="score", mode="max")
        self.space, self.record, self.folder = space, record, folder
        self.setup, self.slots, self.clock, self.listener = setup, slots, clock, listener
        self.default, self.pick = default, finalists
        self.rungs = space.fidelity.rungs()
        self.seeds = [space.search.seed + FRESH + i for i in range(space.confirm.seeds)]
        self.live: dict[str, str] = {}  # Tune's id -> our name
        self.orphans = record.unfinished()
        self.confirmed: list[Recipe] | None = None  # the finalists, once chosen
        self._phase = ""
        self._over = False

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        row = self._next()
        if row is None:
            return None if self._waiting() else Searcher.FINISHED
        self.live[trial_id] = row.name
        self.listener.began(row)
        return {
            "setup": self.setup,
            "kind": row.kind,
            "family": row.recipe.family,
            "commands": mailbag.commands(
                row.name,
                row.recipe,
                row.seed,
                self.rungs,
                self.space.compute.trial_minutes * 60,
                keep=row.kind == "finalist" or self.space.track.keep == "all",
            ),
        }

    def _next(self) -> Row | None:
        if self.orphans:
            return self.orphans.pop(0)
        if not self.search_over():
            self._enter("search")
            return self.record.ask()
        self._enter("confirm")
        recipes = [self.default]
        if not self._waiting():
            if self.confirmed is None:
                self.confirmed = self.pick(self.record.rows("trial"))
            recipes += self.confirmed
        for number, seed in enumerate(self.seeds):
            if number >= FEWEST_SEEDS and self.clock.left() < 0:
                return None  # the minutes are over, and there are seeds enough for an interval
            for recipe in recipes:
                row = self.record.add_finalist(recipe, seed)
                if row.status == "running" and row.name not in self.live.values():
                    return row
        return None

    def _waiting(self) -> bool:
        """Are search trials under way, on which the choice of finalists hangs?"""
        return any(self.record.row(name).kind == "trial" for name in self.live.values())

    def _enter(self, phase: str) -> None:
        if phase != self._phase:
            self._phase = phase
            self.listener.phase(phase)

    def search_over(self) -> bool:
        """Is the budget of trials or of minutes (less what confirmation takes) used up?

        Once it is, it stays so: confirmation is not broken off when it turns out quicker.
        """
        spent = len(self.record.rows("trial")) >= self.space.budget.trials
        self._over = self._over or spent or self.clock.left() < self.confirm_seconds()
        return self._over

    def confirm_seconds(self) -> float:
        """What confirmation will take, reckoned from the pace of the best trials so far."""
        ahead = (self.space.confirm.top + 1) * self.space.confirm.seeds
        ahead -= sum(1 for row in self.record.rows("finalist") if row.status != "running")
        timed = [r for r in self.record.rows("trial") if r.samples_seen and r.judged]
        if not timed:
            return self.space.budget.minutes * 60 * FIRST_GUESS
        best = sorted(timed, key=lambda row: (row.samples_seen, row.score))[-6:]
        pace = sum(row.seconds / row.samples_seen for row in best) / len(best)
        needed = SAFETY * ahead * pace * self.rungs[-1] / self.slots
        return min(needed, self.space.budget.minutes * 60 * LARGEST_SHARE)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        name = self.live[trial_id]
        report = mailbag.unpack(result)
        if self.record.report(name, report):
            self.listener.reported(self.record.row(name), report)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        if trial_id not in self.live:
            return
        status = "error"
        if result and "report" in result:
            self.on_trial_result(trial_id, result)
            status = str(result["status"])
            if status == "ok" and (error or result["rung"] < len(self.rungs) - 1):
                status = "error" if error else "stopped"
        name = self.live.pop(trial_id)
        row = self.record.finish(name, status)
        mailbag.checkpoint_path(self.folder, name).unlink(missing_ok=True)
        if row.kind == "trial" and self.space.track.keep != "all":
            shutil.rmtree(self.folder / "trials" / name, ignore_errors=True)
        self.record.remember("spent", self.clock.elapsed())
        self.listener.ended(row)
        self._give_up_if_nothing_works()

    def _give_up_if_nothing_works(self) -> None:
        """If every trial errs, the fault is ours or the cluster's, not the recipes'."""
        ended = [row for row in self.record.rows() if row.status != "running"]
        if len(ended) >= MOST_ERRORS and all(row.status == "error" for row in ended):
            reasons = {report.message for row in ended for report in row.reports}
            raise RuntimeError(
                f"the first {len(ended)} trials all failed: {'; '.join(sorted(reasons)) or 'lost'}"
            )

    # Tune snapshots its searcher for `Tuner.restore`. Ours is never restored from there: the record
    # is durable and a new run starts from it.
    def __getstate__(self) -> dict[str, Any]:
        return {}

    def save(self, checkpoint_path: str) -> None:
        return None

    def restore(self, checkpoint_path: str) -> None:
        return None
