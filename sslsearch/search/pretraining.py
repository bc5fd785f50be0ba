"""One recipe trained to its end on a Ray Train group of its own, for `sslsearch.pretrain`.

The state is saved at every rung, and between rungs whenever it has not been for a while: with the
weights go the optimiser, the place in the epoch and the losses since the last rung, so that who
goes on from it takes the steps that would have been taken.
"""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import ray
import ray.train
import ray.train.torch
import torch
from ray.train.torch import TorchTrainer

from sslsearch import distributed
from sslsearch.data.mapped import Mapped
from sslsearch.data.samples import Samples
from sslsearch.probe.base import build
from sslsearch.search.confirm import without_labels
from sslsearch.search.resources import Fit
from sslsearch.search.shelf import Shelf, shelf_of_worker
from sslsearch.train import remains
from sslsearch.train.loop import Trial
from sslsearch.values import Recipe, Report

TELL_SECONDS = 0.5  # between news; the answer says whether to leave


class Leaving(Exception):
    """The state is saved, as was asked: Ray Train ends the other workers of the group."""


class Unseen(ValueError):
    """A node does not see the files of the samples."""


def what(
    recipe: Recipe,
    seed: int,
    marks: list[int],
    train: pa.Table | Mapped,
    test: pa.Table,
    state: Path,
    uri: str | None,
    save_seconds: float,
    wire: Any,
) -> dict[str, Any]:
    """What every group of a training must know; the samples lie in Ray's object store, or in
    files. `state` is a file in the training's folder; `uri` the storage in place of that folder."""
    return {
        "train": ray.put(train),
        "test": ray.put(without_labels(test)),
        "recipe": recipe.body,
        "seed": seed,
        "marks": marks,
        "folder": str(state.parent),
        "state": state.name,
        "storage": uri,
        "save_seconds": save_seconds,
        "wire": wire,
    }


def trainer(known: dict[str, Any], fitted: Fit, workers: int, scratch: Path) -> TorchTrainer:
    """Its `fit()` goes on from the saved state and returns the last report.

    Ray keeps nothing that we need: its own files may be removed from `scratch` at any time. What
    fails ends it: who comes next (groups.py) is no business of Ray's.
    """
    return TorchTrainer(
        work,
        train_loop_config={**known, "threads": fitted.threads},
        scaling_config=ray.train.ScalingConfig(
            num_workers=workers,
            use_gpu=fitted.use_gpu,
            resources_per_worker=fitted.resources,
        ),
        run_config=ray.train.RunConfig(
            name=f"pretrain-{time.time_ns()}",
            storage_path=str(scratch),
            failure_config=ray.train.FailureConfig(
                max_failures=0, controller_failure_limit=0, max_preemption_failures=0
            ),
        ),
    )


def work(config: dict[str, Any]) -> dict[str, Any]:
    """The Train loop of one worker: from the saved state to the end; returns the last report.

    A rung at which the trial failed is not saved: a cure may lie outside the recipe.
    """
    device, first = ray.train.torch.get_device(), distributed.rank() == 0
    if device.type == "cpu":
        torch.set_num_threads(config["threads"])
    samples = Samples.from_table(seen_from_here(ray.get(config["train"]))).to(device)
    trial = Trial(Recipe(config["recipe"]), samples, config["seed"], device, config["marks"])
    shelf, state = shelf_of_worker(config["folder"], config["storage"]), config["state"]
    # Only worker 0 judges and looks for the state; the others do as it does.
    if _as_first(first and shelf.fetch(state).exists(), device):
        trial.restore(shelf.fetch(state))
    trial.rungs = rungs_of(trial, config["marks"])
    keeper = Keeper(trial, shelf, state, config["wire"], config["save_seconds"]) if first else None
    over = False
    while len(trial.reports) < len(trial.rungs) and not over:
        report = trial.advance(keeper.between) if keeper else trial.advance()
        over = _as_first(trial.over, device)
        if keeper:
            keeper.at_rung(report)
    if first and not over:
        test = Samples.from_table(ray.get(config["test"]))
        probe = build(trial.recipe["probe"])
        remains.leave(shelf.folder, trial.objective.encoder, probe, samples, test, device)
        for name in remains.FILES:
            if shelf.path(name).exists():
                shelf.put(name)
    return vars(trial.reports[-1])


class Keeper:
    """Worker 0's: saves the state, tells the driver, and leaves when it is asked to.

    The others know nothing of it: what they hold is what it saves, and while it does they wait for
    its gradient.
    """

    def __init__(
        self, trial: Trial, shelf: Shelf, state: str, wire: Any, save_seconds: float
    ) -> None:
        self.trial, self.shelf, self.state = trial, shelf, state
        self.wire, self.save_seconds = wire, save_seconds
        self._saved = self._told = time.monotonic()
        seen = trial.samples_seen
        about = {"workers": distributed.world(), "rungs": len(trial.rungs)}
        ray.get(wire.begin.remote(**about, began=seen, samples_seen=seen, saved=seen))

    def between(self) -> None:
        """After a step."""
        now = time.monotonic()
        if now - self._told > TELL_SECONDS:
            self._told = now
            if ray.get(self.wire.tell.remote(**self._news())):
                self.save()
                ray.get(self.wire.tell.remote(left=True))
                raise Leaving
        if now - self._saved > self.save_seconds:
            self.save()

    def at_rung(self, report: Report) -> None:
        if not self.trial.over:
            self.save()
        ray.get(self.wire.report.remote(vars(report)))

    def save(self) -> None:
        """What was saved before stays where the loss is no longer finite, or where the storage does
        not answer; then the next save comes at its time."""
        self._saved = time.monotonic()
        if self.trial.curve.sound():
            self.trial.save(self.shelf.path(self.state))
            if self.shelf.storage is not None:
                try:
                    self.shelf.storage.put(self.shelf.path(self.state), self.state)
                except OSError as fault:
                    self.wire.tell.remote(trouble=f"the storage has not taken the state: {fault}")
                    return
            self.wire.tell.remote(saved=self.trial.samples_seen, trouble="")

    def _news(self) -> dict[str, Any]:
        points = self.trial.curve.points or [(0, math.nan)]
        return {"samples_seen": self.trial.samples_seen, "loss": points[-1][1]}


def rungs_of(trial: Trial, marks: list[int]) -> list[int]:
    """The rungs that were reached, and the marks that are still ahead: `--probes` may change."""
    if not trial.trains:
        return marks
    done = [report.samples_seen for report in trial.reports]
    steps = {mark: math.ceil(mark / trial.batch_size) for mark in marks}
    left = [mark for mark, at in steps.items() if at > trial.curve.began and at >= trial.step]
    return done + left


def seen_from_here(table: pa.Table | Mapped) -> pa.Table | Mapped:
    """The samples; Unseen if they are in files that this node does not see."""
    if isinstance(table, Mapped) and not table.folder.is_dir():
        node = ray.util.get_node_ip_address()
        raise Unseen(
            f"the samples are in files in {table.folder}, which the node {node} does not see: "
            "give an --out on storage that all nodes share under one path"
        )
    return table


def _as_first(said: bool, device: torch.device) -> bool:
    """What worker 0 says, on every worker."""
    return bool(distributed.agree(torch.tensor(int(said), device=device)))
