"""The console: a live table of the search on a terminal, plain lines anywhere else."""

from __future__ import annotations

import math
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import TextIO

from rich.console import Console as Rich
from rich.console import Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from sslsearch.track.summary import Summary, clock, render_summary
from sslsearch.values import Status

COLOURS: dict[str, str] = {
    "ok": "green",
    "stopped": "cyan",
    "nan": "red",
    "collapsed": "magenta",
    "oom": "red",
    "timeout": "yellow",
    "error": "bold red",
}
PLAIN_GAP = 1.0  # seconds: unremarkable lines come no faster without a terminal
PLAIN_WIDTH = 100


@dataclass
class Running:
    """Where a running trial stands."""

    family: str
    rung: int
    samples_seen: int
    score: float


class Console:
    """What the search says while it runs. Safe to call from any thread.

    Args:
        title: the study's name.
        total_trials: the budget in trials, None = no limit.
        minutes: the budget in minutes, None = no limit.
        metric: what `score` is, in the user's words.
        file: where to write; stdout by default.
    """

    def __init__(
        self,
        title: str,
        total_trials: int | None,
        minutes: float | None,
        metric: str = "score",
        file: TextIO | None = None,
    ) -> None:
        self.title, self.total, self.minutes, self.metric = title, total_trials, minutes, metric
        self._rich = Rich(file=file or sys.stdout, highlight=False)
        self._plain = not self._rich.is_terminal
        if self._plain:
            self._rich = Rich(file=file or sys.stdout, highlight=False, width=PLAIN_WIDTH)
        self._lock = threading.RLock()
        self._start = time.monotonic()
        self._phase = "starting"
        self._slots = (0, 0)
        self._running: dict[str, Running] = {}
        self._statuses: Counter[str] = Counter()
        self._best: tuple[float, str, str] | None = None  # score, id, family
        self._floors: dict[str, float] = {}
        self._last_line, self._held = 0.0, 0
        self._live = Live(
            get_renderable=self._picture, console=self._rich, refresh_per_second=2, transient=True
        )

    def __enter__(self) -> Console:
        self._start = time.monotonic()
        if self._plain:
            self._line(f"{self.title}: {self._budget()}")
        else:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def phase(self, text: str) -> None:
        """What the search is doing now: `reading data`, `searching`, `confirming` …"""
        with self._lock:
            changed, self._phase = text != self._phase, text
            if self._plain and changed:
                self._line(f"-- {text}")

    def slots(self, busy: int, total: int) -> None:
        with self._lock:
            self._slots = (busy, total)

    def trial_report(
        self, trial_id: str, family: str, rung: int, samples_seen: int, score: float
    ) -> None:
        """A running trial has been judged at a rung."""
        with self._lock:
            self._running[trial_id] = Running(family, rung, samples_seen, score)

    def trial_done(
        self, trial_id: str, family: str, status: Status, score: float, seconds: float
    ) -> None:
        with self._lock:
            self._running.pop(trial_id, None)
            self._statuses[status] += 1
            new_best = self._lead(trial_id, family, status, score)
            number = f"{sum(self._statuses.values()):>3}"
            of = f"/{self.total}" if self.total else ""
            words = f"{status:<9} {score:>7.3f}  {seconds:>5.1f} s"
            text = f"{number}{of}  {trial_id} {family:<12} {words}"
            if new_best:
                self._say(Text(f"{text}  best so far", "bold green"))
            elif status not in ("ok", "stopped"):
                self._say(Text(text, COLOURS[status]))
            elif self._plain:
                self._seldom(text)

    def seed_done(self, run_id: str, family: str, score: float) -> None:
        """A finalist has run on one fresh seed."""
        with self._lock:
            self._running.pop(run_id, None)
            self._say(Text(f"fresh seed {run_id} {family}: {score:.3f}"))

    def goes_on(self, ended: Iterable[tuple[str, str, Status, float]], spent: float) -> None:
        """Trials (id, family, status, score) and seconds of earlier runs of this study."""
        with self._lock:
            for trial_id, family, status, score in ended:
                self._statuses[status] += 1
                self._lead(trial_id, family, status, score)
            done = sum(self._statuses.values())
            if done:
                of = f" of {self.total}" if self.total else ""
                self._say(Text(f"going on after {done}{of} trials and {clock(spent)}"))
            self._start -= spent

    def floor(self, name: str, score: float) -> None:
        with self._lock:
            self._floors[name] = score
            if self._plain:
                self._line(f"floor {name}: {self.metric} {score:.3f}")

    def note(self, text: str) -> None:
        with self._lock:
            self._say(Text(text))

    def error(self, text: str) -> None:
        with self._lock:
            self._say(Text(text, "bold red"))

    def summary(self, summary: Summary) -> None:
        """The closing words; the live display ends."""
        self._live.stop()
        self._rich.print(render_summary(summary))

    def _lead(self, trial_id: str, family: str, status: Status, score: float) -> bool:
        """Note the trial if it is the best at full length so far."""
        leads = status == "ok" and score > (self._best[0] if self._best else -math.inf)
        if leads:
            self._best = (score, trial_id, family)
        return leads

    def _say(self, text: Text) -> None:
        """A line worth keeping: it scrolls by above the live table."""
        if self._plain:
            self._line(text.plain)
        else:
            self._rich.print(text)

    def _seldom(self, text: str) -> None:
        if time.monotonic() - self._last_line < PLAIN_GAP:
            self._held += 1
        else:
            self._line(text)

    def _line(self, text: str) -> None:
        if self._held:
            text += f"  (and {self._held} more since the last line)"
        self._held, self._last_line = 0, time.monotonic()
        self._rich.print(escape(text), soft_wrap=True)
        self._rich.file.flush()

    def _budget(self) -> str:
        limits = [f"{self.total} trials"] if self.total else []
        limits += [f"{self.minutes:g} minutes"] if self.minutes else []
        return ", ".join(limits) or "no limit"

    def _eta(self, elapsed: float) -> str:
        done = sum(self._statuses.values())
        left = [] if self.minutes is None else [self.minutes * 60 - elapsed]
        if self.total and done >= 3:
            left.append(elapsed / done * (self.total - done))
        return f"about {clock(max(0.0, min(left)))} left" if left else ""

    def _picture(self) -> RenderableType:
        with self._lock:
            return Group(self._head(), self._counts(), self._contest(), *self._trials())

    def _head(self) -> RenderableType:
        elapsed = time.monotonic() - self._start
        budget = f" of {clock(self.minutes * 60)}" if self.minutes else ""
        busy, total = self._slots
        slots = f"slots {busy}/{total} busy" if total else ""
        parts = [self._phase, f"{clock(elapsed)}{budget}", self._eta(elapsed), slots]
        line = "   ".join(part for part in parts if part)
        return Group(Rule(Text(self.title, "bold"), style="dim", align="left"), Text(line))

    def _counts(self) -> RenderableType:
        done = sum(self._statuses.values())
        text = Text(f"{done}{f'/{self.total}' if self.total else ''} trials")
        for status, count in self._statuses.most_common():
            text.append(f"   {count} {status}", COLOURS[status])
        return text

    def _contest(self) -> RenderableType:
        text = Text(f"{self.metric}: ")
        if self._best is None:
            text.append("no trial has finished yet", "dim")
        else:
            score, trial_id, family = self._best
            text.append(f"{score:.3f}", "bold green")
            text.append(f" best, {trial_id} {family}")
        for name, score in sorted(self._floors.items(), key=lambda item: -item[1]):
            beaten = self._best is not None and self._best[0] > score
            text.append(f"   {name} {score:.3f}", "dim" if beaten else "yellow")
        return text

    def _trials(self) -> list[RenderableType]:
        if not self._running:
            return []
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        for name in ("running", "pretext"):
            table.add_column(name)
        for name in ("rung", "samples seen", self.metric):
            table.add_column(name, justify="right")
        for trial_id, at in list(self._running.items())[-12:]:
            table.add_row(
                trial_id, at.family, str(at.rung), f"{at.samples_seen:,}", f"{at.score:.3f}"
            )
        return [Text(), table]
