"""A study from start to end: data, slots, search, confirmation, the one opening of the test.

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
from typing import Any, cast

import numpy as np
import ray
import ray.tune

from sslsearch.data.prepare import Prepared, prepare
from sslsearch.data.samples import Samples
from sslsearch.probe.base import build
from sslsearch.search import confirm
from sslsearch.search.announce import Announcer
from sslsearch.search.board import Line
from sslsearch.search.cluster import cluster, nodes, swept_nodes
from sslsearch.search.conductor import Clock, Conductor
from sslsearch.search.denoise import denoised
from sslsearch.search.floors import Floors
from sslsearch.search.gauges import told_to_ray
from sslsearch.search.logged import study_params, told_of
from sslsearch.search.mirror import Mirror
from sslsearch.search.opening import (
    best_of,
    refuse_large_batches,
    refuse_other_question,
    refuse_what_cannot_be_judged,
    starts,
)
from sslsearch.search.record import Record
from sslsearch.search.resources import Fit, Room, fit
from sslsearch.search.scheduler import halving
from sslsearch.search.slot import Slot, slot_of
from sslsearch.space import Space
from sslsearch.track.console import Console
from sslsearch.track.mlflow import Tracker
from sslsearch.track.params import scrub
from sslsearch.train import checkpoint
from sslsearch.values import Status

CEILING = 1024  # slots that Tune may start; how many it does is the conductor's to say
PROGRAM = "sslsearch.search.program:TrialProgram"


@dataclass(frozen=True)
class Answer:
    """What a study found.

    Attributes:
        confirmed: default, finalists and floors, with their test scores.
        optimism: the winner's score while searching minus its score on fresh seeds.
        device, devices: what a run held: GPU or CPU, and how many.
    """

    verdict: confirm.Verdict
    confirmed: list[confirm.Confirmed]
    optimism: float
    device: str
    devices: float


class Study:
    """One study folder and one run over it.

    Args:
        space: what to search.
        folder: where everything is kept; made once the input has proved right.
        root: relative data paths start here.
        console: who is told.
        source: folder of another study, whose best recipes run first here.
    """

    def __init__(
        self,
        space: Space,
        folder: Path,
        root: Path,
        console: Console,
        source: Path | None = None,
    ) -> None:
        self.space, self.folder, self.console = space, folder.resolve(), console
        self.started = time.monotonic()
        self.mirror = Mirror(space.compute.storage, self.folder, console.note)
        self.mirror.restore()
        self.rays = self.mirror.folder_of_ray()
        refuse_other_question(self.folder / "space.yaml", space)
        console.phase("reading the data")
        self._new = not self.folder.exists()  # a large pool is put there in files
        self.data: Prepared = prepare(space.data.model_dump(), root, self.folder)
        self.train = Samples.from_table(self.data.train)
        refuse_large_batches(space, self.train)
        refuse_what_cannot_be_judged(space, self.train)
        known = [] if source is None else best_of(source)
        for note in self.data.notes:
            console.note(f"data: {note}")
        self.folder.mkdir(parents=True, exist_ok=True)
        self.record = Record(self.folder, space)
        checkpoint.write_text(self.folder / "space.yaml", scrub(space.text))
        if self.record.carried_over:
            console.note(f"the space has changed: {self.record.carried_over}")
        self.default, others = starts(space)
        self.record.enqueue(self.default, "default")
        for recipe in known:
            self.record.enqueue(recipe, "study")
        for recipe in others:
            self.record.enqueue(recipe, "literature")
        over = self.record.recall("finished") is not None  # a longer budget has its own minutes
        spent = 0.0 if over else float(self.record.recall("spent", 0.0))
        self.clock = Clock(space.budget.minutes, spent, self.started)
        ended = [row for row in self.record.rows("trial") if row.status != "running"]
        told = [(r.name, r.recipe.family, cast(Status, r.status), r.score) for r in ended]
        console.goes_on(told, spent)
        self.floors = Floors(
            space, self.default["encoder"], self.data, self.folder, self.mirror.uri
        )
        experiment = f"sslsearch/{space.name}"
        self.tracker = Tracker(self.folder, space.track.mlflow, experiment, console.note)

    @property
    def finished(self) -> bool:
        """Has an earlier run come to its end with this budget or a larger one?"""
        before = self.record.recall("finished")
        if before is None or not (self.folder / "result.json").exists():
            return False
        now = self._budget()
        same = all(before[key] == now[key] for key in ("digest", "top", "seeds", "floors"))
        limits = ("trials", "minutes", "device_hours")
        return same and all(
            (before.get(key) or math.inf) >= (now[key] or math.inf) for key in limits
        )

    def mark_finished(self) -> None:
        self.record.remember("finished", self._budget())

    def _budget(self) -> dict[str, Any]:
        return {
            "digest": self.space.digest,
            **self.space.budget.model_dump(),
            **self.space.confirm.model_dump(),
            "floors": sorted(self.floors.names),
        }

    def run(self, address: str | None) -> Answer:
        """Search, confirm, open the test. A KeyboardInterrupt passes through: nothing is lost."""
        self.console.phase("starting Ray")
        with cluster(address):
            try:
                fitted = fit(self.space.compute, nodes())
            except ValueError:
                self._withdraw()
                raise
            room = Room(fitted, swept_nodes)
            announcer = Announcer(
                self.folder,
                self.record,
                self.console,
                self.tracker,
                self.floors,
                room,
                self.mirror,
            )
            self._introduce(fitted)
            if self.mirror.restored:
                announcer.catch_up()
            self.mirror.begin(self.record.rows, self.space.track.keep == "all")
            conductor = self._search(fitted, room, announcer)
            return self._confirm(conductor, announcer)

    def close(self) -> None:
        """Ship what MLflow and the storage have not got yet, for a while."""
        if self.folder.exists():
            self.tracker.close()
            self.mirror.close()

    def _withdraw(self) -> None:
        """Nothing can run: a new study leaves nothing behind."""
        if self._new:
            self.tracker.close()
            shutil.rmtree(self.folder)

    def _introduce(self, fitted: Fit) -> None:
        params = study_params(self.space, self.data.summary)
        self.tracker.study(
            tags=told_of(self.space),
            params={**params, "slots": fitted.slots, "workers": fitted.workers},
            space_text=self.space.text,
        )

    def _search(self, fitted: Fit, room: Room, announcer: Announcer) -> Conductor:
        """Search and confirmation runs, all on the same warm slots."""
        self.console.phase(f"starting {fitted.slots} slot{'s' if fitted.slots > 1 else ''}")
        top = self.space.confirm.top
        conductor = Conductor(
            self.space,
            self.record,
            self.folder,
            self._setup(fitted),
            room,
            self.clock,
            told_to_ray(announcer, self.folder.name, self.record, room),
            self.default,
            lambda rows: confirm.finalists(rows, top, self.space.goal, denoised(rows, self.space)),
            fitted.device,
            fitted.devices,
        )
        ray.tune.Tuner(
            ray.tune.with_resources(Slot, slot_of),
            tune_config=ray.tune.TuneConfig(
                search_alg=conductor,
                scheduler=halving(self.space, self.record.rows("trial")),
                num_samples=-1,
                reuse_actors=True,
                max_concurrent_trials=CEILING,
            ),
            run_config=ray.tune.RunConfig(
                storage_path=str(self.rays),
                name=f"run-{os.getpid()}-{int(time.time())}",
                verbose=0,
            ),
        ).fit()
        shutil.rmtree(self.rays, ignore_errors=True)
        return conductor

    def _setup(self, fitted: Fit) -> Any:
        """What every slot must know, once in Ray's object store; the samples lie there too."""
        train, test = ray.put(self.data.train), ray.put(confirm.without_labels(self.data.test))
        self.floors.place(train, test)
        folder, threads = str(self.folder), fitted.threads
        shared = {"train": train, "test": test, "folder": folder, "threads": threads}
        shared["storage"] = self.mirror.uri
        return ray.put(
            {
                "program": PROGRAM,
                "setup": shared,
                "workers": fitted.workers,
                "resources": fitted.resources,
                "use_gpu": fitted.use_gpu,
                "storage": str(self.rays),
                "recycle_after": self.space.compute.recycle_after,
            }
        )

    def _confirm(self, conductor: Conductor, announcer: Announcer) -> Answer:
        contenders = self._contenders(conductor)
        self.console.phase("waiting for the floors")
        best = max(contenders, key=lambda c: float(np.mean(c.scores)))
        assert best.recipe is not None
        for contender, line in self.floors.collect(best.recipe["encoder"]):
            contenders.append(contender)
            announcer.floor(line)
        self.console.phase("opening the test split")
        test = Samples.from_table(self.data.test)
        metric = self.space.goal.metric.removeprefix("probe/")
        confirmed = confirm.open_test(
            self.record, contenders, self.train, test, build(self.space.probe.model_dump()), metric
        )
        verdict = confirm.decide(confirmed, metric, test.groups_N)
        announcer.write_board(self._tests(confirmed, announcer))
        optimism = confirm.optimism(verdict, self.record.rows("trial"))
        return Answer(verdict, confirmed, optimism, conductor.device, conductor.devices)

    def _contenders(self, conductor: Conductor) -> list[confirm.Contender]:
        """The default and the finalists, each with its runs on the fresh seeds of this study."""
        rows = [r for r in self.record.rows("finalist") if r.seed in conductor.seeds]
        recipes = [r for r in conductor.confirmed or [] if r.hash != self.default.hash]
        named = {"default": self.default, **{f"finalist {i + 1}": r for i, r in enumerate(recipes)}}
        made = []
        for name, recipe in named.items():
            runs = [row for row in rows if row.recipe.hash == recipe.hash]
            kind = "default" if recipe is self.default else "finalist"
            contender = confirm.contender_of(name, kind, runs, self.floors.shelf)
            made += [] if contender is None else [contender]
        if not made or made[0].kind != "default":
            raise RuntimeError("the default recipe failed on every fresh seed; see leaderboard.csv")
        return made

    def _tests(self, confirmed: list[confirm.Confirmed], announcer: Announcer) -> dict[str, float]:
        """Test score by run; floors get theirs on their line."""
        tests: dict[str, float] = {}
        for one in confirmed:
            tests |= dict(zip(one.contender.runs, one.test, strict=True))
            if one.kind == "floor":
                line = vars(announcer.floor_lines[one.name])
                mean = float(np.mean(one.test))
                announcer.floor_lines[one.name] = Line(**{**line, "test_score": mean})
        return tests
