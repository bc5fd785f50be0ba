"""A study folder made by the search's own writers, with made-up scores: no Ray, no training."""

import math
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sslsearch.search.board import Line, line_of, write_board
from sslsearch.search.record import Record, Row
from sslsearch.space import Space
from sslsearch.track.mlflow import Tracker
from sslsearch.values import Report, Status

SPACE = """
name: tiny
data: {modality: timeseries, source: "synthetic:60", labels: 8 per class}
encoder:
  conv1d: {depth: 2, width: 16}
pretext:
  one_of:
    simclr: {temperature: 0.05..1.0 log}
    vicreg: {}
augment:
  subset_of:
    jitter: {sigma: 0.01..0.50 log}
    crop_resize: {keep: 0.40..1.00}
fidelity: {first: 32, last: 288, eta: 3}
budget: {trials: 4, minutes: 5}
search: {start_from: none}
"""
FLOORS = {"majority": 0.1, "untrained": 0.4}
VERDICT = "The best recipe beats the default by +5.0 points of test accuracy [+1.0, +9.0]."


@dataclass
class Made:
    """A study that is being written: begin trials, bring them to rungs, end it."""

    folder: Path
    space: Space
    mlflow: str | None = None

    def __post_init__(self) -> None:
        self.record = Record(self.folder, self.space)
        self.tracker = Tracker(
            self.folder, self.mlflow, f"sslsearch/{self.space.name}", lambda _: None
        )
        self.rungs = self.space.fidelity.rungs()
        self.lines: list[Line] = []
        self.luck = random.Random(0)
        (self.folder / "space.yaml").write_text(self.space.text)
        self.tracker.study({"sslsearch.goal": self.space.goal}, {}, self.space.text)

    def begin(self) -> Row:
        row = self.record.ask()
        self.tracker.trial(row.name, int(row.name[1:]), row.kind, row.recipe, row.seed)
        return row

    def report(self, row: Row, rung: int, score: float | None = None) -> float:
        """Better with jitter and with every rung, else by luck."""
        score = score if score is not None else 0.3 + 0.1 * rung + 0.1 * self.luck.random()
        score += 0.1 * ("jitter" in row.recipe["augment"])
        report = Report(
            rung, self.rungs[rung], "ok" if math.isfinite(score) else "nan", score,
            {"accuracy": score}, score - 0.05, score + 0.05,
            seconds={"train": 1.0, "wait": 0.5},
        )  # fmt: skip
        self.record.report(row.name, report)
        self.tracker.report(row.name, report)
        return score

    def end(self, row: Row, status: Status) -> None:
        row = self.record.finish(row.name, status)
        self.tracker.finish(row.name, status, row.score, row.seconds)
        self.lines.append(line_of(row, self.space.goal))
        self.board()

    def floors(self) -> None:
        for name, score in FLOORS.items():
            self.tracker.trial(name, 0, "floor", None)
            self.tracker.finish(name, "ok", score)
            self.lines.append(Line("floor", name, "ok", score, score - 0.1, score + 0.1, 0.5))
        self.board()

    def board(self) -> None:
        write_board(self.folder / "leaderboard.csv", self.lines, self.space.goal)

    def finish(self) -> None:
        results = {"winner/test": 0.8, "default/test": 0.75, "floor/majority/test": 0.5}
        self.tracker.summary(results, {"sslsearch.verdict": VERDICT})
        self.tracker.close()


def make(folder: Path, space: Space, trials: int, mlflow: str | None = None, **how: Any) -> Made:
    """`trials` trials of which every other stops early; `running` more; the end, if `finished`."""
    folder.mkdir(parents=True)
    made = Made(folder, space, mlflow)
    for number in range(trials):
        row = made.begin()
        for rung in range(1 + (number % 2) * (len(made.rungs) - 1)):
            made.report(row, rung)
        made.end(row, "ok" if number % 2 else "stopped")
    for _ in range(how.get("running", 0)):
        made.report(made.begin(), 0)
    if how.get("finished", True):
        made.floors()
        made.finish()
    return made
