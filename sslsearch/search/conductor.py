"""What Tune asks for the next trial: first the search, then the confirmation, on the same slots."""

from __future__ import annotations

import math
import operator
import shutil
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ray.tune.search import Searcher

from sslsearch.search import mailbag
from sslsearch.search.clock import Clock as Clock
from sslsearch.search.listener import Listener
from sslsearch.search.race import in_the_race
from sslsearch.search.record import WAIT, Record, Row
from sslsearch.search.resources import Room
from sslsearch.space import Space
from sslsearch.values import Recipe, Report

FRESH = 1_000  # finalists' seeds start here: never the seed that the search used
SAFETY = 1.15  # on the time that confirmation is reckoned to take
FEWEST_SEEDS = 2  # of a finalist, however little time is left
MOST_ERRORS = 4  # trials that may err before any other outcome is seen
MOST_LOSSES = 5  # slots that a trial may lose without coming a rung further
MOST_UNPLACED = 6  # slots in a row that may find no place in an otherwise idle study
BEST = 6  # trials from which the pace of a full-length run is reckoned
FIRST_GUESS = 0.35  # of the minutes go to confirmation, until a trial has been timed
QUIET_SECONDS = 20.0  # without a report, at least, before it is said what is waited for
LARGEST_SHARE = 0.5  # of the minutes that confirmation may claim; past that it runs fewer seeds


class Conductor(Searcher):  # type: ignore[misc]
    """A Tune Searcher over the study's record.

    Args:
        setup: reference to the slots' setup in Ray's object store.
        slots: how many may run at once, now.
        finalists: picks the recipes to confirm out of the finished trials.
        device: what a run's cost is counted in, GPU or CPU.
        devices: how many of them one run holds.
    """

    def __init__(
        self,
        space: Space,
        record: Record,
        folder: Path,
        setup: Any,
        slots: Room,
        clock: Clock,
        listener: Listener,
        default: Recipe,
        finalists: Callable[[list[Row]], list[Recipe]],
        device: str = "CPU",
        devices: float = 1.0,
    ) -> None:
        super().__init__(metric="score", mode="max")
        self.space, self.record, self.folder = space, record, folder
        self.setup, self.slots, self.clock, self.listener = setup, slots, clock, listener
        self.default, self.pick = default, finalists
        self.rungs = space.fidelity.rungs()
        self.seeds = [space.search.seed + FRESH + i for i in range(space.confirm.seeds)]
        self.device, self.devices = device, devices
        self.live: dict[str, str] = {}  # Tune's id -> our name
        self.since: dict[str, float] = {}  # Tune's id -> when its last rung, or it, began
        self.logged: dict[str, float] = {}  # Tune's id -> seconds that its last report took to log
        self.orphans = record.unfinished()
        self.confirmed: list[Recipe] | None = None  # the finalists, once chosen
        self._phase = ""
        self._over = self._works = False
        self._heard, self._patience = time.monotonic(), QUIET_SECONDS
        self._usual: float | None = None  # the longest time between two reports so far
        self._losses: Counter[str] = Counter()  # by trial: slots lost since its last rung
        self._unplaced = 0  # slots in a row that found no place
        self._held = sum(sum(row.stages.values()) for row in record.rows())
        self._best: list[Row] = []  # the longest-trained trials, of these the best
        for row in record.rows("trial"):
            self._time(row)

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        self._give_up_if_nothing_works()
        if len(self.live) >= self.slots():
            self._idle()
            return None
        row = self._next()
        if row is None:
            self._idle()
            return None if self.live else Searcher.FINISHED  # a live one may yet be lost
        self.live[trial_id] = row.name
        self.since[trial_id] = time.monotonic()
        self.listener.began(row)
        return {
            "setup": self.setup,
            "slot": self.slots.take(trial_id),
            "kind": row.kind,
            "family": row.recipe.family,
            "commands": mailbag.commands(
                row.name,
                row.recipe,
                row.seed,
                self.rungs,
                self.space.compute.trial_minutes * 60,
                keep=row.kind == "finalist" or self.space.track.keep == "all",
            )[min(len(row.reports), len(self.rungs) - 1) :],  # a resumed trial's rungs are known
        }

    def _idle(self) -> None:
        """Nothing to hand out now. After a while without any report, say what is waited for."""
        self.listener.idle()
        seconds = time.monotonic() - self._heard
        if seconds > self._patience:
            self._patience *= 2
            by_state: dict[bool, list[Row]] = {True: [], False: []}
            for trial_id, name in self.live.items():
                by_state[self.slots.starting(trial_id)].append(self.record.row(name))
            self.listener.quiet(seconds, by_state[True], by_state[False])

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
            for recipe in self._racing(recipes) if number >= FEWEST_SEEDS else recipes:
                row = self.record.add_finalist(recipe, seed)
                if row.status == "running" and row.name not in self.live.values():
                    return row
        return None

    def _racing(self, recipes: list[Recipe]) -> list[Recipe]:
        """The default, and the finalists that may still turn out best on fresh seeds."""
        scores: dict[str, list[float]] = {recipe.hash: [] for recipe in recipes}
        for row in self.record.rows("finalist"):
            if row.recipe.hash in scores and row.seed in self.seeds and row.status == "ok":
                scores[row.recipe.hash].append(row.score)
        rivals = {key: seen for key, seen in scores.items() if key != self.default.hash}
        able = in_the_race(rivals) | {self.default.hash}
        return [recipe for recipe in recipes if recipe.hash in able]

    def _waiting(self) -> bool:
        """Are search trials under way, on which the choice of finalists hangs?"""
        return any(self.record.row(name).kind == "trial" for name in self.live.values())

    def _enter(self, phase: str) -> None:
        if phase != self._phase:
            self._phase = phase
            self.listener.phase(phase)

    def search_over(self) -> bool:
        """Is the budget of trials, device-hours or minutes (less what confirming takes) used up?

        Once it is, it stays so: confirmation is not broken off when it turns out quicker.
        """
        budget = self.space.budget
        spent = self.record.trials >= budget.trials
        spent = spent or self.device_hours() >= (budget.device_hours or math.inf)
        self._over = self._over or spent or self.clock.left() < self.confirm_seconds()
        return self._over

    def device_hours(self) -> float:
        """What trials and finalists' runs have held, waiting included."""
        return self._held * self.devices / 3600

    def confirm_seconds(self) -> float:
        """What confirmation will take, reckoned from the pace of the best trials so far."""
        ahead = (self.space.confirm.top + 1) * self.space.confirm.seeds
        ahead -= sum(1 for row in self.record.rows("finalist") if row.status != "running")
        if not self._best:
            return self.space.budget.minutes * 60 * FIRST_GUESS
        pace = sum(row.seconds / row.samples_seen for row in self._best) / len(self._best)
        needed = SAFETY * ahead * pace * self.rungs[-1] / max(1, self.slots())
        return min(needed, self.space.budget.minutes * 60 * LARGEST_SHARE)

    def _time(self, row: Row) -> None:
        """Keep the trials that tell most of what a full-length run takes."""
        if row.kind == "trial" and row.samples_seen and row.judged:
            others = [other for other in self._best if other.name != row.name]
            key = operator.attrgetter("samples_seen", "score")
            self._best = sorted([*others, row], key=key)[-BEST:]

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        name = self.live[trial_id]
        report = self._with_wait(trial_id, mailbag.unpack(result))
        self._hear()
        self.slots.answered(trial_id)
        if self.record.report(name, report):
            row = self.record.row(name)
            self._losses.pop(name, None)
            self._unplaced = 0
            self._held += sum(report.seconds.values())
            self._time(row)
            began = time.monotonic()
            self.listener.reported(row, report)
            self.logged[trial_id] = time.monotonic() - began

    def _hear(self) -> None:
        """A report has come; the next is missed once it takes twice as long as any before (the
        first does not count: it waits for a slot to start)."""
        now = time.monotonic()
        self._usual = 0.0 if self._usual is None else max(self._usual, now - self._heard)
        self._heard, self._patience = now, max(QUIET_SECONDS, 2 * self._usual)

    def _with_wait(self, trial_id: str, report: Report) -> Report:
        """The report with what none of its stages explains: start-up, messages, Tune, the log."""
        now = time.monotonic()
        took, self.since[trial_id] = now - self.since[trial_id], now
        log = self.logged.pop(trial_id, 0.0)  # of the rung before
        wait = max(0.0, took - log - sum(report.seconds.values()))
        return replace(report, seconds={**report.seconds, "log": log, WAIT: wait})

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        if trial_id not in self.live or self._put_back(trial_id, result or {}, error):
            return
        status = "error"
        if result and "report" in result:
            self.on_trial_result(trial_id, result)
            status = str(result["status"])
            if status == "ok" and (error or result["rung"] < len(self.rungs) - 1):
                status = "error" if error else "stopped"
        name = self.live.pop(trial_id)
        self.since.pop(trial_id, None)
        self.slots.leave(trial_id)
        self._works = self._works or status != "error"
        row = self.record.finish(name, status)
        mailbag.checkpoint_path(self.folder, name).unlink(missing_ok=True)
        if row.kind == "trial" and self.space.track.keep != "all":
            shutil.rmtree(self.folder / "trials" / name, ignore_errors=True)
        self.record.remember("spent", self.clock.elapsed())
        self.listener.ended(row)

    def _put_back(self, trial_id: str, result: dict[str, Any], error: bool) -> bool:
        """Has the trial lost its slot? Then it goes on from its last rung, first of all, on
        another; unless slot after slot was lost over it."""
        unplaced = result.get("status") == mailbag.NO_PLACE
        if not (unplaced or error):
            return False
        name = self.live[trial_id]
        self._losses[name] += error
        if self._losses[name] > MOST_LOSSES:
            return False
        del self.live[trial_id], self.since[trial_id]
        self.slots.leave(trial_id, warm=False)
        if unplaced:
            self._unplaced += 1
            self.slots.crowded(len(self.live))
        self.orphans.append(self.record.row(name))
        self.listener.lost(self.orphans[-1])
        return True

    def _give_up_if_nothing_works(self) -> None:
        """If every trial errs, the fault is ours or the cluster's, not the recipes'.

        Asked for in `suggest`, for Tune swallows what is raised where a trial ends.
        """
        if self._unplaced > MOST_UNPLACED and not self.live:
            raise RuntimeError(
                f"{self._unplaced} slots in a row found no place in the cluster although it is "
                "large enough; does something else use it? See `ray status`"
            )
        if self._works:
            return
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
