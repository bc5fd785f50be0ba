"""A study from start to end: data, slots, search, confirmation, the one opening of the test, best/.

Everything that must outlive a crash is in the study folder before anyone acts on it, so running
the same study again goes on where the last run stopped.
"""

from __future__ import annotations

import math
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import ray
import ray.tune

from sslsearch.data.prepare import Prepared, prepare
from sslsearch.data.samples import Samples
from sslsearch.search import confirm, floors
from sslsearch.search.announce import Announcer
from sslsearch.search.board import Line
from sslsearch.search.cluster import cluster
from sslsearch.search.conductor import Clock, Conductor
from sslsearch.search.record import Record
from sslsearch.search.resources import DRIVER_CPUS, Fit, fit
from sslsearch.search.scheduler import FamilyHalving
from sslsearch.search.slot import Slot
from sslsearch.space import Space
from sslsearch.space import literature as literature_of
from sslsearch.space import load as load_space
from sslsearch.track.console import Console
from sslsearch.track.mlflow import Tracker
from sslsearch.values import Recipe

RETRIES = 5  # of a trial whose slot (not whose training) failed
PROGRAM = "sslsearch.search.program:TrialProgram"


@dataclass(frozen=True)
class Answer:
    """What a study found."""

    verdict: confirm.Verdict
    confirmed: list[confirm.Confirmed]
    optimism: float  # the winner's score while searching minus its score on fresh seeds


class Study:
    """One study folder and one run over it.

    Args:
        space: what to search.
        folder: where everything is kept; made if it is not there.
        root: relative data paths start here.
        console: who is told.
    """

    def __init__(self, space: Space, folder: Path, root: Path, console: Console) -> None:
        self.space, self.folder, self.console = space, folder.resolve(), console
        self.started = time.monotonic()
        self.folder.mkdir(parents=True, exist_ok=True)
        refuse_other_questions(self.folder / "space.yaml", space)
        self.record = Record(self.folder, space)
        (self.folder / "space.yaml").write_text(space.text)
        clock_spent = float(self.record.recall("spent", 0.0))
        self.clock = Clock(space.budget.minutes, clock_spent)
        self.default, others = starts(space)
        self.record.enqueue(self.default, "default")
        for recipe in others:
            self.record.enqueue(recipe, "literature")
        console.phase("reading the data")
        self.data: Prepared = prepare(space.data.model_dump(), root)
        for note in self.data.notes:
            console.note(f"data: {note}")
        self._check_batches(Samples.from_table(self.data.train))
        self.tracker = Tracker(
            self.folder, space.track.mlflow, f"sslsearch/{space.name}", console.note
        )

    def _check_batches(self, train: Samples) -> None:
        for question in self.space.questions():
            if question.name == "optim.batch_size":
                most = max(question.options or (question.high or 0,))
                if most > len(train):
                    raise ValueError(
                        f"optim.batch_size up to {most} exceeds the pool of {len(train)} samples; "
                        f"write at most {len(train)}"
                    )

    def run(self, address: str | None) -> Answer:
        """Search, confirm, open the test, write best/. Raises KeyboardInterrupt as it comes."""
        self.console.phase("starting Ray")
        with cluster(address) as resources:
            fitted = fit(self.space.compute, resources)
            announcer = Announcer(
                self.folder, self.record, self.console, self.tracker, fitted.slots
            )
            self._introduce(fitted)
            conductor = self._search(fitted, announcer)
            return self._confirm(conductor, announcer)

    def close(self) -> None:
        """Ship what MLflow has not got yet, for a while."""
        self.tracker.close()

    def _introduce(self, fitted: Fit) -> None:
        summary = self.data.summary
        self.tracker.study(
            tags={
                "sslsearch.goal": str(self.space.goal),
                "sslsearch.source": self.space.data.source,
            },
            params={"data": dict(summary), "slots": fitted.slots, "workers": fitted.workers},
            space_text=self.space.text,
        )

    def _search(self, fitted: Fit, announcer: Announcer) -> Conductor:
        """Search and confirmation runs, all on the same warm slots."""
        self.console.phase(f"starting {fitted.slots} slots")
        train, test = ray.put(self.data.train), ray.put(confirm.without_labels(self.data.test))
        self.floors = floors.Floors(self.space, self.default["encoder"], self.data, self.folder)
        self.floors.start(train, test)
        setup = ray.put(
            {
                "program": PROGRAM,
                "setup": {
                    "train": train,
                    "test": test,
                    "folder": str(self.folder),
                    "threads": fitted.threads,
                },
                "workers": fitted.workers,
                "resources": fitted.resources,
                "use_gpu": fitted.use_gpu,
                "storage": str(self.folder / ".ray"),
                "recycle_after": self.space.compute.recycle_after,
            }
        )
        top = self.space.confirm.top
        conductor = Conductor(
            self.space,
            self.record,
            self.folder,
            setup,
            fitted.slots,
            self.clock,
            announcer,
            self.default,
            lambda rows: confirm.finalists(rows, top),
        )
        past = [
            (row.recipe.family, report.rung, report.score)
            for row in self.record.rows("trial")
            for report in row.reports
            if report.status == "ok" and row.status != "running"
        ]
        halve = self.space.search.scheduler == "asha"
        ray.tune.Tuner(
            ray.tune.with_resources(Slot, {"CPU": DRIVER_CPUS}),
            tune_config=ray.tune.TuneConfig(
                search_alg=conductor,
                scheduler=FamilyHalving(self.space.fidelity.eta, past, halve),
                num_samples=-1,
                reuse_actors=True,
                max_concurrent_trials=fitted.slots,
            ),
            run_config=ray.tune.RunConfig(
                storage_path=str(self.folder / ".ray"),
                name=f"run-{os.getpid()}-{int(time.time())}",
                verbose=0,
                failure_config=ray.tune.FailureConfig(max_failures=RETRIES),
            ),
        ).fit()
        shutil.rmtree(self.folder / ".ray", ignore_errors=True)
        return conductor

    def _confirm(self, conductor: Conductor, announcer: Announcer) -> Answer:
        self.console.phase("waiting for the floors")
        contenders = self._contenders(conductor)
        for contender, line in self.floors.collect(self._winning_encoder(contenders)):
            contenders.append(contender)
            announcer.floor(line)
        self.console.phase("opening the test split")
        labelled = Samples.from_table(self.data.train)
        confirmed = confirm.open_test(
            self.record,
            contenders,
            floors.read_features,
            labelled.labels_N[labelled.labelled],
            Samples.from_table(self.data.test).labels_N,
            self.space.probe.name,
            self.space.goal.metric.removeprefix("probe/"),
        )
        metric = self.space.goal.metric.removeprefix("probe/")
        verdict = confirm.decide(confirmed, metric)
        announcer.write_board(self._tests(confirmed, announcer))
        return Answer(verdict, confirmed, self._optimism(verdict))

    def _contenders(self, conductor: Conductor) -> list[confirm.Contender]:
        rows = self.record.rows("finalist")
        seeds = set(conductor.seeds)
        made = []
        recipes = {"default": self.default}
        recipes |= {f"finalist {i + 1}": r for i, r in enumerate(conductor.confirmed or [])}
        for name, recipe in recipes.items():
            runs = [r for r in rows if r.recipe.hash == recipe.hash and r.seed in seeds]
            kind = "default" if name == "default" else "finalist"
            contender = confirm.contender_of(name, kind, runs, self.folder)
            if contender is not None and not (
                kind == "finalist" and recipe.hash == self.default.hash
            ):
                made.append(contender)
        if not any(c.kind == "default" for c in made):
            raise RuntimeError("the default recipe failed on every fresh seed; see leaderboard.csv")
        return made

    def _winning_encoder(self, contenders: list[confirm.Contender]) -> dict[str, Any]:
        best = max(contenders, key=lambda c: float(np.mean(c.scores)))
        assert best.recipe is not None
        encoder: dict[str, Any] = best.recipe["encoder"]
        return encoder

    def _tests(self, confirmed: list[confirm.Confirmed], announcer: Announcer) -> dict[str, float]:
        tests: dict[str, float] = {}
        for one in confirmed:
            tests |= dict(zip(one.contender.runs, one.test, strict=True))
            if one.contender.kind == "floor":
                line = announcer.floors[one.name]
                values = {**vars(line), "test_score": float(np.mean(one.test))}
                announcer.floors[one.name] = Line(**values)
        return tests

    def _optimism(self, verdict: confirm.Verdict) -> float:
        recipe = verdict.winner.contender.recipe
        assert recipe is not None
        seen = [
            row.score
            for row in self.record.rows("trial")
            if row.recipe.hash == recipe.hash and math.isfinite(row.score)
        ]
        return max(seen) - verdict.winner.score_interval[0] if seen else math.nan


def starts(space: Space) -> tuple[Recipe, list[Recipe]]:
    """The default recipe and the literature's others, in the order of the space's pretext tasks.

    The default is what one would run without a search: the literature's recipe of the first
    pretext task of the space, or failing that the parts' own defaults.
    """
    plain = space.default()
    if space.search.start_from == "none":
        return plain, []
    order = next((q.options for q in space.questions() if q.name == "pretext.kind"), ())
    place = {family: i for i, family in enumerate(order)}
    recipes = sorted(literature_of(space), key=lambda r: place.get(r.family, len(place)))
    if recipes and recipes[0].family == plain.family:
        return recipes[0], recipes[1:]
    return plain, recipes


def refuse_other_questions(path: Path, space: Space) -> None:
    """A study's scores must stay comparable: its data, rungs, probe and goal cannot change."""
    if not path.exists():
        return
    before = load_space(path)
    for section in ("goal", "data", "fidelity"):
        was, now = getattr(before, section), getattr(space, section)
        if was != now:
            changed = changes(was, now)
            raise ValueError(
                f"{path.parent} holds a study with another `{section}` ({changed}): its scores "
                "would not compare; give another folder with --out"
            )
    if (before.probe.name, before.probe.judge_by) != (space.probe.name, space.probe.judge_by):
        raise ValueError(
            f"{path.parent} holds a study judged by {before.probe.name}, "
            f"{before.probe.judge_by}; give another folder with --out"
        )


def changes(was: Any, now: Any) -> str:
    """`labels: 8 per class -> all`, for two values of one section."""
    if not hasattr(was, "model_dump"):
        return f"{was} -> {now}"
    before, after = was.model_dump(), now.model_dump()
    return ", ".join(f"{k}: {before[k]} -> {after[k]}" for k in before if before[k] != after[k])
