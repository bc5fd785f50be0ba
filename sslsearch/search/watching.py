"""Who watches a long training: the terminal, step by step, and MLflow, in the words of a trial."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from rich.console import Console as Rich
from rich.live import Live
from rich.text import Text

from sslsearch.search.logged import study_params, told_of
from sslsearch.search.wire import News
from sslsearch.space import Space
from sslsearch.track.mlflow import Tracker
from sslsearch.track.summary import clock
from sslsearch.train.optim import effective_lr
from sslsearch.values import Recipe, Report

STAGES = ("load", "augment", "train")  # of a step
RUN = "pretrain"  # the training's name among the runs of its folder
WINDOW_SECONDS = 60.0  # over which speed is measured
PULSE_SECONDS = 60.0  # between points of the loss in MLflow, and between lines without a terminal


@dataclass
class Pace:
    """How fast it goes: now, and with all looks and stops of this run."""

    marks: deque[tuple[float, int]] = field(default_factory=deque)
    first: tuple[float, int] | None = None

    def note(self, samples: int) -> None:
        now = time.monotonic()
        if self.marks and samples < self.marks[-1][1]:  # a new group, from what was saved
            self.marks.clear()
            self.first = None
        self.first = self.first or (now, samples)
        self.marks.append((now, samples))
        while now - self.marks[0][0] > WINDOW_SECONDS and len(self.marks) > 2:
            self.marks.popleft()

    @property
    def now(self) -> float:
        return self._between(self.marks[0], self.marks[-1]) if self.marks else 0.0

    @property
    def overall(self) -> float:
        return self._between(self.first, self.marks[-1]) if self.first else 0.0

    @staticmethod
    def _between(start: tuple[float, int], end: tuple[float, int]) -> float:
        """Samples per second."""
        seconds = end[0] - start[0]
        return (end[1] - start[1]) / seconds if seconds > 0 else 0.0


class Watch:
    """Tells the terminal and MLflow; as a context it is the terminal's live line.

    Args:
        epoch: samples of one epoch.
        known: reports that an earlier run has told.
        workers: how many trained together before; 0 = nothing was trained yet.
    """

    def __init__(
        self,
        space: Space,
        recipe: Recipe,
        tracker: Tracker,
        epoch: int,
        known: Sequence[Report] = (),
        workers: int = 0,
    ) -> None:
        self.space, self.recipe, self.tracker, self.epoch = space, recipe, tracker, epoch
        self.last = space.fidelity.last
        self.pace, self.news = Pace(), News()
        self._told, self._at = len(known), known[-1].samples_seen if known else 0
        self._new, self._workers = 0, workers  # _new: reports of this run
        self._line = self._pulse = self._began = time.monotonic()
        self._pulsed = 0  # samples up to which MLflow has the loss
        self._rich = Rich(highlight=False, soft_wrap=True)
        self._live = Live(Text(), console=self._rich, refresh_per_second=2, transient=True)

    def __enter__(self) -> Self:
        if self._rich.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *fault: object) -> None:
        self._live.stop()

    def begin(self, summary: Mapping[str, Any]) -> None:
        """Tell MLflow what is trained, and on what; told again by a run that goes on."""
        params = study_params(self.space, summary)
        self.tracker.study(tags=told_of(self.space), params=params, space_text=self.space.text)
        lr = {"lr_effective": effective_lr(self.recipe["optim"])}
        self.tracker.trial(RUN, 0, "pretrain", self.recipe, self.space.search.seed, optim=lr)

    def end(self, last: Report, figures: dict[str, float], folder: Path) -> None:
        """The training is over and tested."""
        seconds = time.monotonic() - self._began
        self.tracker.finish(RUN, last.status, last.score, seconds)
        self.tracker.artifact(RUN, folder, folder.name)
        self.tracker.summary(figures)

    def fail(self, last: Report) -> None:
        self.tracker.finish(RUN, last.status)

    def say(self, text: str) -> None:
        """A line that stays."""
        if self._live.is_started:
            self._rich.print(Text(text))
        else:
            print(text, flush=True)

    def look(self, news: News) -> None:
        """The news, as often as one likes."""
        if news.group != self.news.group:
            self._group(news)
        for values in news.reports[self._new :]:
            self._report(Report.from_dict(values), news)
        if news.trouble and news.trouble != self.news.trouble:
            self.say(f"note: {news.trouble}")
        if news.group:
            self.pace.note(news.samples_seen)
        self.news, self._new = news, len(news.reports)
        self._progress()

    def _group(self, news: News) -> None:
        workers = news.workers
        words = "1 worker trains" if workers == 1 else f"{workers} workers train together"
        self.say(f"{words}, from {news.began:,} samples on")
        if self._workers not in (0, workers):
            self.say(
                f"note: {self._workers} workers so far, now {workers}: the same batches, other "
                "views and masks; equal in kind, not to the bit"
            )
        self._workers = workers

    def _report(self, report: Report, news: News) -> None:
        """A rung; one that was judged again, after a restart, is told once."""
        if report.rung < self._told:
            return
        self._told = report.rung + 1
        if report.status == "ok":
            self._say_rung(report, news)
        losses = tuple((at, loss) for at, loss in report.losses if at > self._pulsed)
        taking = sum(report.seconds.get(stage, 0.0) for stage in STAGES)
        speed = self._speed((report.samples_seen - self._at) / taking if taking else 0.0)
        self._at = report.samples_seen
        told = replace(report, losses=losses, scores={**report.scores, **speed})
        self.tracker.report(RUN, told)

    def _say_rung(self, report: Report, news: News) -> None:
        accuracy, judge = report.scores.get("accuracy", math.nan), self.space.probe.judge_by
        beside = f"  accuracy {accuracy:.3f}" if math.isfinite(accuracy) else ""
        at = f"rung {self._told}/{news.rungs}  {report.samples_seen:,} samples"
        spread = f"[{report.low:.3f}, {report.high:.3f}]"
        seconds = sum(report.seconds.values())
        self.say(f"{at}  {judge} {report.score:.3f} {spread}{beside}  {seconds:.1f} s")

    def _progress(self) -> None:
        """The live line; without a terminal a line a minute. A point in MLflow as often."""
        now, text = time.monotonic(), self._where()
        if self._live.is_started:
            self._live.update(Text(text))
        elif text and now - self._line > PULSE_SECONDS:
            self._line = now
            self.say(text)
        news = self.news
        if now - self._pulse > PULSE_SECONDS and news.samples_seen > self._pulsed:
            self._pulse, self._pulsed = now, news.samples_seen
            losses = ((news.samples_seen, news.loss),)
            speed = self._speed(self.pace.now)
            pulse = Report(self._told, news.samples_seen, "ok", math.nan, speed, losses=losses)
            self.tracker.report(RUN, pulse)

    def _speed(self, samples_per_second: float) -> dict[str, float]:
        return {"speed/samples_per_second": samples_per_second, "speed/workers": self._workers}

    def _where(self) -> str:
        """`1,234,560 of 5,000,000 samples (25 %), epoch 12 of 50, loss 0.231, 1,830 samples/s`."""
        seen, pace = self.news.samples_seen, self.pace
        if not self.news.group:
            return ""
        epoch, epochs = min(seen, self.last - 1) // self.epoch + 1, -(-self.last // self.epoch)
        share = f"{seen:,} of {self.last:,} samples ({min(1.0, seen / self.last):.0%})"
        parts = [share, f"epoch {epoch} of {epochs}"]
        if math.isfinite(self.news.loss):
            parts.append(f"loss {self.news.loss:.4g}")
        if pace.now:
            parts.append(f"{pace.now:,.0f} samples/s")
        if pace.overall:
            parts.append(f"{clock(max(0, self.last - seen) / pace.overall)} left")
        return ", ".join([*parts, f"saved at {self.news.saved:,}"])
