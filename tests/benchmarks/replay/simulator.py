"""Searches replayed on the recorded table: real searchers and schedulers, no training, no Ray.

A world is one data set, one label budget and one draw of the labels. A recorded recipe answers
with its recorded curve. Any other answers with what a random forest foresees, plus what a recorded
curve of its family had beyond the forest: noise as it was recorded, over all rungs at once. `play`
plays Tune: it asks a searcher for trials and passes their reports to searcher and scheduler, on
slots whose clock counts samples seen. README.md beside this file argues the rule.
"""

from __future__ import annotations

import heapq
import json
import math
import random
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import optuna
import pandas as pd
from numpy.typing import NDArray
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher
from sklearn.ensemble import RandomForestRegressor

from sslsearch.search import mailbag
from sslsearch.search.clock import Clock
from sslsearch.search.conductor import Conductor
from sslsearch.search.confirm import finalists
from sslsearch.search.listener import Listener
from sslsearch.search.opening import starts
from sslsearch.search.record import Record
from sslsearch.search.resources import Fit, Room
from sslsearch.search.surrogate import FAMILY, Cube
from sslsearch.space import Space, load
from sslsearch.values import Recipe, Report, Status

HERE = Path(__file__).parent
TABLE = HERE / "timeseries.parquet"
SPACE = HERE / "space.yaml"
EXACT = 1e-9  # squared distance of answers that are the same but for rounding
TREES = 50
FEWEST = 6  # curves: of a world, and of a family that has a noise of its own
MINUTES = 1e6  # the budget is trials: the wall clock of a replay means nothing
# What schedulers ask of Tune's controller: to keep actors, of which a replay has none.
ACTORS = SimpleNamespace(increase_max=lambda request: None)
CONTROLLER = SimpleNamespace(_tune_controller=SimpleNamespace(_actor_cache=ACTORS))

Answers = dict[str, Any]


@dataclass(frozen=True)
class Curve:
    """A recorded trial: for each rung the selection score, the test accuracy and the status."""

    recipe: int  # its number in the table; -1 if it was not recorded
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
        runs = table[(table.dataset == dataset) & (table.seed == 0)]
        kept = runs[((runs.labels == labels) & (runs.draw == draw)) | runs.labels.isna()]
        self.curves: list[Curve] = []
        self.answers: list[Answers] = []
        for number, rows in kept.sort_values("rung").groupby("recipe"):
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
        if sum(curve.whole for curve in self.curves) < FEWEST:
            raise ValueError(f"the table has too little of {dataset}, {labels}, draw {draw}")
        self.points = np.stack([self.cube.point(answers) for answers in self.answers])
        self.families = np.array([answers[FAMILY] for answers in self.answers])
        self._grow()

    def _grow(self) -> None:
        """The forest, and what each recorded curve has beyond what the others tell of it."""
        whole = [curve for curve in self.curves if curve.whole]
        at = np.array([curve.whole for curve in self.curves])
        curves_NV = np.array([curve.scores + curve.tests for curve in whole])
        self.spread_V = curves_NV.std(axis=0) + EXACT
        self.forest = RandomForestRegressor(
            TREES, max_features=0.5, min_samples_leaf=2, oob_score=True, random_state=0
        )
        self.forest.fit(
            self._columns(self.points[at], self.families[at]), curves_NV / self.spread_V
        )
        self.foreseen_NV = self.forest.oob_prediction_ * self.spread_V
        self.rest_NV = curves_NV - self.foreseen_NV
        self.rest_of = {
            family: np.flatnonzero(self.families[at] == family) for family in set(self.families[at])
        }

    def _columns(self, points: NDArray[np.float64], families: Any) -> NDArray[np.float64]:
        known = sorted(set(self.families))
        one_hot = np.stack([np.asarray(families) == family for family in known], axis=1)
        return np.nan_to_num(np.concatenate([points, one_hot], axis=1), nan=-0.5)

    def _foresee(self, columns: NDArray[np.float64]) -> NDArray[np.float64]:
        """What `forest.predict` says of one row, without its checks: ten times as fast."""
        row = columns.astype(np.float32)
        each = [tree.tree_.predict(row)[0, :, 0] for tree in self.forest.estimators_]
        return cast(NDArray[np.float64], np.mean(each, axis=0))

    def curve(self, answers: Answers) -> Curve:
        """The curve of a recipe: recorded if it was; else what the forest foresees, and the rest
        of a recorded curve of its family, always the same one.

        Where the nearest recorded recipe failed, the recipe fails in the same way.
        """
        point = self.cube.point(answers)
        distances = self.cube.distances(self.points, point[None])[:, 0]
        same = self.families == answers[FAMILY]
        if same.any():
            distances = np.where(same, distances, np.inf)
        at = int(np.argmin(distances))
        if distances[at] < EXACT or not self.curves[at].whole:
            return self.curves[at]
        mean_V = self._foresee(self._columns(point[None], [answers[FAMILY]]))
        key = zlib.crc32(json.dumps(answers, sort_keys=True).encode())
        pool = self.rest_of.get(answers[FAMILY], np.arange(0))
        pool = pool if len(pool) >= FEWEST else np.arange(len(self.rest_NV))
        values = mean_V * self.spread_V + self.rest_NV[pool[key % len(pool)]]
        scores, tests = np.split(values, 2)
        tests = np.clip(tests, 0.0, 1.0)
        return Curve(-1, tuple(scores), tuple(tests), ("ok",) * len(scores), True)


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
            one = _Live(
                SimpleNamespace(trial_id=name, config=config, placement_group_factory=name),
                _curve(world, config),
            )
            scheduler.on_trial_add(CONTROLLER, one.trial)
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
        if scheduler.on_trial_result(CONTROLLER, trial, result) == TrialScheduler.CONTINUE:
            searcher.on_trial_result(trial.trial_id, result)
            return True
        result["done"] = True
    scheduler.on_trial_complete(CONTROLLER, trial, result)
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

    def on_trial_result(self, *_: Any) -> None: ...  # it learns nothing

    def on_trial_complete(self, *_: Any, **__: Any) -> None: ...


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
        Listener(),
        default,
        lambda rows: finalists(rows, top),
    )


def replay_space(seed: int = 0, trials: int = 1_000, sets: Iterable[str] = ()) -> Space:
    """The table's space, with this seed and this budget."""
    settings = (f"search.seed={seed}", f"budget.trials={trials}", "track.mlflow=none")
    return load(SPACE, (*settings, f"budget.minutes={MINUTES}", *sets))
