"""One long training: what is trained, and the folder that holds all there is of it.

<out>/recipe.yaml         what is trained
<out>/state.safetensors   where the training stands
<out>/events.jsonl        what MLflow is told
<out>/best/               the encoder with its probe, when the training is over
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from sslsearch import registry
from sslsearch.data import Prepared, prepare
from sslsearch.data.mapped import Mapped
from sslsearch.data.samples import Samples
from sslsearch.probe.base import build
from sslsearch.search.groups import Groups, counts
from sslsearch.search.kept import Kept
from sslsearch.search.watching import Watch
from sslsearch.space import Space
from sslsearch.track.mlflow import Tracker
from sslsearch.train import bundle, checkpoint, remains
from sslsearch.train.build import build_encoder
from sslsearch.values import Recipe, Report

STATE = "state.safetensors"
CURES = {
    "nan": "lower optim.lr",
    "collapsed": "lower optim.lr, or take another pretext",
}


@dataclass(frozen=True)
class Job:
    """One training.

    Attributes:
        probes: looks of the probe at even distances; the recipe's own rungs before the first.
        save_minutes: the state is saved when it has not been for so long.
        own: the recipe as the file has it, where `--set` has changed it.
    """

    space: Space
    recipe: Recipe
    out: Path
    probes: int = 10
    save_minutes: float = 10.0
    own: Recipe | None = None
    say: Callable[[str], None] = print

    @cached_property
    def kept(self) -> Kept:
        return Kept(self.out, self.space.compute.storage)

    @property
    def seed(self) -> int:
        return self.space.search.seed

    def finished(self) -> bool:
        """Is there nothing left to do? What a storage has of the training is got first."""
        self.kept.recall(STATE)
        there = bundle.recipe_hash(self.out / "best")
        if there not in (None, self.recipe.hash):
            raise self._another(f"{self.out / 'best'} holds the encoder of recipe {there}")
        return there is not None

    def run(self, address: str | None) -> None:
        """Train what is left, then write best/."""
        done, prepared = self.reports(), self.prepare()
        train = Samples.from_table(prepared.train)
        able = counts(train, self.recipe["optim"]["batch_size"], *self.space.compute.workers)
        marks = self.marks(train.batch_size(self.recipe["optim"]["batch_size"], able[0]))
        self.out.mkdir(parents=True, exist_ok=True)
        self.recipe.save(self.out / "recipe.yaml")
        self.kept.keep("recipe.yaml")
        self._introduce(prepared, train, marks)
        state = checkpoint.peek(self.out / STATE) if (self.out / STATE).exists() else {}
        uri, experiment = self.space.track.mlflow, f"sslsearch/{self.space.name}"
        name = self.kept.study_id
        tracker = Tracker(self.out, uri, experiment, lambda text: watch.say(text), name)
        workers = int(state.get("workers", 0))
        watch = Watch(self.space, self.recipe, tracker, len(train.pool), done, workers)
        try:
            watch.begin(prepared.summary)
            with watch:
                last = self._train(address, prepared, able, marks, watch)
            if last.status != "ok":
                watch.fail(last)
                raise ValueError(
                    f"the training ended as {last.status} after {last.samples_seen:,} samples: "
                    f"{last.message}; {CURES.get(last.status, 'see the message')}"
                )
            watch.end(last, self.write_best(prepared, last), self.out / "best")
        finally:
            tracker.close()

    def marks(self, batch_size: int) -> list[int]:
        """Where the probe looks: the recipe's rungs while they are close, then evenly; never twice
        at one step."""
        last = self.space.fidelity.last
        even = [round(last * k / self.probes) for k in range(1, self.probes + 1)]
        early = [rung for rung in self.space.fidelity.rungs() if rung < even[0]]
        steps = {math.ceil(mark / batch_size): mark for mark in [*early, *even] if mark}
        return list(steps.values())

    def reports(self) -> list[Report]:
        """The rungs reached so far. ValueError if another recipe was trained here."""
        path = self.out / STATE
        if not path.exists():
            return []
        meta = checkpoint.peek(path)
        if (meta["recipe_hash"], meta["seed"]) != (self.recipe.hash, self.seed):
            raise self._another(
                f"{self.out} holds recipe {meta['recipe_hash']} (seed {meta['seed']}) in training"
            )
        return [Report.from_dict(values) for values in meta["reports"]]

    def _another(self, found: str) -> ValueError:
        return ValueError(
            f"{found}, this is {self.recipe.hash} (seed {self.seed}; the number of samples "
            "belongs to a recipe); choose another --out"
        )

    def prepare(self) -> Prepared:
        """The data, after all checks that need no cluster."""
        prepared = prepare(self.space.data.model_dump(), Path.cwd(), self.out)
        for note in prepared.notes:
            self.say(f"data: {note}")
        batch, train = self.recipe["optim"]["batch_size"], Samples.from_table(prepared.train)
        if train.batch_size(batch) > len(train.pool):
            raise ValueError(
                f"optim.batch_size {batch} exceeds the pool of {len(train.pool)} samples"
            )
        counts(train, batch, *self.space.compute.workers)
        told = sum(count > 0 for count in prepared.summary["per_class"].values())
        if told < 2 and "labels" in registry.get("probe", self.space.probe.name).gives:
            raise ValueError("data: the probe needs labelled samples of at least 2 classes")
        return prepared

    def _introduce(self, prepared: Prepared, train: Samples, marks: list[int]) -> None:
        """How much there is to do, and of what."""
        batch = train.batch_size(self.recipe["optim"]["batch_size"])
        last, pool = self.space.fidelity.last, len(train.pool)
        name, _ = self.recipe.part("encoder")
        size = _parameters(self.recipe, train)
        was = _parameters(self.own, train) if self.own else size
        than = f" (in the file: {was:,})" if size != was else ""
        where = "in files" if isinstance(prepared.train, Mapped) else "in memory"
        self.say(f"{self.recipe.family}, recipe {self.recipe.hash}, in {self.out}")
        self.say(f"encoder {name}: {size:,} parameters{than}")
        self.say(
            f"{last:,} samples: {math.ceil(last / batch):,} steps of {batch}, {last / pool:.3g} "
            f"epochs of {pool:,} samples {where}; the probe looks {len(marks)} times"
        )

    def _train(
        self,
        address: str | None,
        prepared: Prepared,
        able: list[int],
        marks: list[int],
        watch: Watch,
    ) -> Report:
        from sslsearch.search.cluster import cluster, nodes
        from sslsearch.search.pretraining import what
        from sslsearch.search.resources import fit
        from sslsearch.search.wire import lay_wire

        compute = self.space.compute.model_copy(
            update={"slots": 1, "workers_per_trial": f"{able[0]}..{able[-1]}"}
        )
        with cluster(address):
            fitted, state = fit(compute, nodes()), self.out / STATE
            tables, wire = (prepared.train, prepared.test), lay_wire()
            seconds = 60 * self.save_minutes
            place = self.kept.uri
            known = what(self.recipe, self.seed, marks, *tables, state, place, seconds, wire)
            return Groups(known, fitted, able, self.out / ".ray", watch.look, watch.say).run()

    def write_best(self, prepared: Prepared, last: Report) -> dict[str, float]:
        """Fit the final probe, open the test split for its one score, and save the bundle; the
        scores, as MLflow is told them."""
        self.kept.fetch(STATE, *remains.FILES)
        train, test = (Samples.from_table(t) for t in (prepared.train, prepared.test))
        probe = build(self.recipe["probe"])
        fitted = remains.fitted_probe(self.out / remains.FEATURES, probe, train)
        scores: dict[str, Any] = {
            "metric": self.space.goal.metric,
            "judge_by": self.space.probe.judge_by,
            "seeds": [self.seed],
            "run_score": last.score,
            "run_score_low": last.low,
            "run_score_high": last.high,
        }
        if len(test):
            metric = self.space.goal.metric.removeprefix("probe/")
            truth = probe.truth(test, torch.arange(len(test)), train)
            seen = fitted.score(load_file(self.out / remains.FEATURES)["test"], truth)
            sides = {"": seen.values, "_low": seen.low, "_high": seen.high}
            scores |= {f"run_test{end}": side.get(metric) for end, side in sides.items()}
            self.say(f"test {metric} {seen.values[metric]:.3f}, opened once")
        bundle.save(
            self.out / "best",
            recipe=self.recipe,
            weights=self.out / remains.ENCODER,
            probe=fitted,
            spec=prepared.spec,
            preprocess=prepared.preprocess,
            classes=prepared.classes,
            scores=scores,
        )
        self.kept.keep("best")
        self.kept.forget(*remains.FILES)
        self.say(f"{self.out / 'best'}: use it with sslsearch.load({str(self.out / 'best')!r})")
        return {name: v for name, v in scores.items() if isinstance(v, float)}


def _parameters(recipe: Recipe, train: Samples) -> int:
    return sum(weight.numel() for weight in build_encoder(recipe, train.spec).parameters())
