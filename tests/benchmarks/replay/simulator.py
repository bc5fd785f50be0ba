"""Searches replayed on the recorded table: real searchers and schedulers, no training, no Ray.

A world is one data set, one label budget and one draw of the labels. It answers a recipe with the
curve of the nearest recorded recipe of the same pretext family, and with the luck of a recorded
repeat. `play` plays Tune: it asks a searcher for trials and passes their reports to searcher and
scheduler, on slots whose clock counts samples seen. README.md beside this file argues the rule.
"""

from __future__ import annotations

import heapq
import json
import math
import random
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import optuna
import pandas as pd
from numpy.typing import NDArray
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from sslsearch.search import mailbag
from sslsearch.search.conductor import Clock, Conductor
from sslsearch.search.confirm import finalists
from sslsearch.search.opening import starts
from sslsearch.search.record import Record, Row
from sslsearch.search.resources import Fit, Room
from sslsearch.search.surrogate import FAMILY, Cube
from sslsearch.space import Space, load
from sslsearch.values import Recipe, Report, Status

HERE = Path(__file__).parent
TABLE = HERE / "timeseries.parquet"
SPACE = HERE / "space.yaml"
EXACT = 1e-9  # squared distance of answers that are the same but for rounding
MINUTES = 1e6  # the budget is trials: the wall clock of a replay means nothing

Answers = dict[str, Any]


@dataclass(frozen=True)
class Curve:
    """A recorded trial: for each rung the selection score, the test accuracy and the status."""

    recipe: int
    scores: tuple[float, ...]
    tests: tuple[float, ...]
    status: tuple[Status, ...]
    whole: bool  # it came through to the last rung


class World:
    """One data set, label budget and draw of labels out of the table.

    All trials share the first training seed, as the trials of a study share theirs.
    """

    def __init__(
        self, table: pd.DataFrame, space: Space, dataset: str, labels: str, draw: int
    ) -> None:
        self.space, self.rungs, self.cube = space, space.fidelity.rungs(), Cube(space)
        runs = table[table.dataset == dataset]
        kept = runs[((runs.labels == labels) & (runs.draw == draw)) | runs.labels.isna()]
        self.curves: list[Curve] = []
        self.answers: list[Answers] = []
        for number, rows in kept[kept.seed == 0].sort_values("rung").groupby("recipe"):
            self.curves.append(
                Curve(
                    int(number),
                    tuple(rows.loo_r2.astype(float)),
                    tuple(rows.test_accuracy.astype(float)),
                    tuple(rows.status.astype(str)),
                    len(rows) == len(self.rungs) and rows.status.iloc[-1] == "ok",
                )
            )
            self.answers.append(json.loads(rows.answers.iloc[0]))
        if not self.curves:
            raise ValueError(f"the table has nothing of {dataset}, {labels}, draw {draw}")
        self.points = np.stack([self.cube.point(answers) for answers in self.answers])
        self.families = np.array([answers[FAMILY] for answers in self.answers])
        self.luck_LRK = luck(kept, len(self.rungs))

    def curve(self, answers: Answers) -> Curve:
        """The nearest recorded curve of the family (of all, if it has none), and a run's luck.

        A recipe that was recorded answers as it was recorded; any other has the luck of one of the
        recorded repeats, always the same one.
        """
        distances = self.cube.distances(self.points, self.cube.point(answers)[None])[:, 0]
        same = self.families == answers[FAMILY]
        if same.any():
            distances = np.where(same, distances, np.inf)
        at = int(np.argmin(distances))
        found = self.curves[at]
        if distances[at] < EXACT or not len(self.luck_LRK):
            return found
        key = zlib.crc32(json.dumps(answers, sort_keys=True).encode())
        luck_RK = self.luck_LRK[key % len(self.luck_LRK)][: len(found.scores)]
        return replace(
            found,
            scores=tuple(np.array(found.scores) + luck_RK[:, 0]),
            tests=tuple(np.clip(np.array(found.tests) + luck_RK[:, 1], 0.0, 1.0)),
        )


def luck(runs: pd.DataFrame, rungs: int) -> NDArray[np.float64]:
    """What a training seed does to a recipe: (repeats, rungs, score and test accuracy).

    Of the recipes that were recorded on all seeds: what is left of a run's curve without its
    recipe's mean and its seed's mean (trials of one study share the seed), scaled for the
    degrees of freedom that the means took.
    """
    whole = runs[runs.status == "ok"].set_index(["recipe", "seed", "rung"])
    wide = whole[["loo_r2", "test_accuracy"]].unstack("rung").dropna()
    seeds = wide.groupby("recipe").size()
    repeated = seeds[(seeds == seeds.max()) & (seeds > 1)].index
    if len(repeated) < 2:
        return np.zeros((0, rungs, 2))
    kept = wide[wide.index.get_level_values("recipe").isin(repeated)]
    values = kept.to_numpy(float).reshape(len(repeated), -1, 2, rungs)
    left = values - values.mean(1, keepdims=True) - values.mean(0, keepdims=True)
    left += values.mean((0, 1), keepdims=True)
    recipes, seeds_each = values.shape[:2]
    left *= math.sqrt(recipes / (recipes - 1) * seeds_each / (seeds_each - 1))
    return cast(NDArray[np.float64], left.reshape(-1, 2, rungs).swapaxes(1, 2))


@dataclass(frozen=True)
class Finished:
    """A trial that reached the last rung: what all trials together had cost by then, in samples."""

    cost: int
    score: float
    test: float


@dataclass
class _Live:
    """A trial in a slot."""

    trial: SimpleNamespace
    curve: Curve
    rung: int = 0


def play(
    searcher: Searcher,
    scheduler: TrialScheduler,
    world: World,
    slots: int,
    trials: int,
    target: float = math.inf,
    most: float = math.inf,
) -> list[Finished]:
    """Run as Tune would until `trials` trials are over, the target is reached, or `most` samples
    are seen; returns what reached the last rung, in that order."""
    finished: list[Finished] = []
    live: list[tuple[int, int, _Live]] = []  # ends at (samples, number)
    asked = cost = now = 0
    while True:
        while len(live) < slots and asked < trials:
            name = f"trial-{asked}"
            config = searcher.suggest(name)
            if config is None or config == Searcher.FINISHED or _confirms(config):
                break
            one = _Live(SimpleNamespace(trial_id=name, config=config), _curve(world, config))
            scheduler.on_trial_add(None, one.trial)
            heapq.heappush(live, (now + world.rungs[0], asked, one))
            asked += 1
        if not live:
            return finished
        now, number, one = heapq.heappop(live)
        cost += world.rungs[one.rung] - (world.rungs[one.rung - 1] if one.rung else 0)
        if one.rung == len(world.rungs) - 1 and one.curve.whole:
            finished.append(Finished(cost, one.curve.scores[-1], one.curve.tests[-1]))
            if one.curve.scores[-1] >= target:
                return finished
        if cost >= most:
            return finished
        if _goes_on(searcher, scheduler, one, world.rungs):
            step = world.rungs[one.rung + 1] - world.rungs[one.rung]
            one.rung += 1
            heapq.heappush(live, (now + step, number, one))


def _goes_on(searcher: Searcher, scheduler: TrialScheduler, one: _Live, rungs: list[int]) -> bool:
    """Tell the report of the trial's rung as Tune tells it; does the trial go on?"""
    rung, trial = one.rung, one.trial
    status = one.curve.status[rung]
    score = one.curve.scores[rung] if status == "ok" else math.nan
    report = Report(rung, rungs[rung], status, score)
    result = {
        **mailbag.pack(report),
        "samples_seen": rungs[rung],
        "training_iteration": rung + 1,
        "done": rung == len(rungs) - 1 or status != "ok",
    }
    if not result["done"]:
        if scheduler.on_trial_result(None, trial, result) == TrialScheduler.CONTINUE:
            searcher.on_trial_result(trial.trial_id, result)
            return True
        result["done"] = True
    scheduler.on_trial_complete(None, trial, result)
    searcher.on_trial_complete(trial.trial_id, result)
    return False


def _curve(world: World, config: dict[str, Any]) -> Curve:
    if "commands" not in config:
        return world.curve(config)
    answers = world.space.project(Recipe(config["commands"][0]["recipe"]))
    assert answers is not None, "the searcher draws from this very space"
    return world.curve(answers)


def _confirms(config: dict[str, Any]) -> bool:
    return config.get("kind") == "finalist"


class RandomSearch(Searcher):  # type: ignore[misc]
    """Recipes drawn evenly from the space."""

    def __init__(self, space: Space, seed: int) -> None:
        super().__init__(metric="score", mode="max")
        self.space, self.rng = space, random.Random(seed)

    def suggest(self, trial_id: str) -> Answers:
        answers = self.space.project(self.space.random_recipe(self.rng))
        assert answers is not None, "drawn from this very space"
        return answers

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Random search learns nothing."""

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Random search learns nothing."""


class Silent:
    """A listener that is told everything and says nothing."""

    def began(self, row: Row) -> None: ...

    def reported(self, row: Row, report: Report) -> None: ...

    def ended(self, row: Row) -> None: ...

    def lost(self, row: Row) -> None: ...

    def idle(self) -> None: ...

    def phase(self, text: str) -> None: ...


def conductor(space: Space, folder: Path, slots: int) -> Conductor:
    """The package's own search over a study in `folder`, started as `Study` starts it."""
    record = Record(folder, space, optuna.storages.InMemoryStorage())
    default, others = starts(space)
    record.enqueue(default, "default")
    for recipe in others:
        record.enqueue(recipe, "literature")
    top = space.confirm.top
    return Conductor(
        space,
        record,
        folder,
        None,
        Room(Fit(slots, slots, 1, {"CPU": 1.0}, False, 1), lambda: [{"CPU": float(slots)}]),
        Clock(MINUTES, 0.0),
        Silent(),
        default,
        lambda rows: finalists(rows, top),
    )


def replay_space(seed: int = 0, trials: int = 1_000, sets: Iterable[str] = ()) -> Space:
    """The table's space, with this seed and this budget."""
    settings = (f"search.seed={seed}", f"budget.trials={trials}", "track.mlflow=none")
    return load(SPACE, (*settings, f"budget.minutes={MINUTES}", *sets))
