"""What a slot's worker does: bring a trial to a rung, and at the end say what its encoder sees."""

from __future__ import annotations

import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray
import ray.train.torch
import torch

from sslsearch.data.samples import Samples
from sslsearch.probe.base import build
from sslsearch.search import mailbag
from sslsearch.train import checkpoint, remains
from sslsearch.train.loop import Trial
from sslsearch.values import Recipe, Status

NO_MEMORY = "can't allocate memory"  # torch's word on the CPU, in a bare RuntimeError


class TrialProgram:
    """Holds the samples for its whole life and one trial at a time.

    setup: {"train": ref, "test": ref, "folder": str} — Arrow tables in Ray's object store, mapped
    into this process without a copy. `test` holds no labels.
    """

    def __init__(self, setup: dict[str, Any], rank: int, world: int) -> None:
        if not torch.cuda.is_available():
            torch.set_num_threads(max(1, int(setup["threads"])))
        self.rank = rank
        self.device = ray.train.torch.get_device()
        self.train = Samples.from_table(ray.get(setup["train"])).to(self.device)
        self.test = Samples.from_table(ray.get(setup["test"]))
        self.folder = Path(setup["folder"])
        self.trial: Trial | None = None
        self.name = ""
        self.note = ""  # what must be said of the trial beside its reports

    def free(self) -> None:
        self.trial, self.name, self.note = None, "", ""
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def obey(self, command: dict[str, Any]) -> dict[str, Any]:
        """Bring `trial` to `rung`. What the trial's own fault is becomes a status, not a crash."""
        try:
            return self._advance(command)
        except Exception as fault:
            traceback.print_exc()
            if checkpoint.no_room(fault, self.folder):
                return mailbag.halt(f"{type(fault).__name__}: {fault}")
            if torch.distributed.is_initialized() and torch.distributed.get_world_size() > 1:
                raise  # the other workers wait in a collective: the whole group starts again
            return mailbag.failure(blame(fault), f"{type(fault).__name__}: {fault}")

    def _advance(self, command: dict[str, Any]) -> dict[str, Any]:
        trial = self._stand(command)
        rung: int = command["rung"]
        path = mailbag.checkpoint_path(self.folder, command["trial"])
        while len(trial.reports) <= rung and not trial.over:
            trial.advance()
            if self.rank == 0:
                trial.save(path)
        report = trial.reports[min(rung, len(trial.reports) - 1)]
        if command["keep"] and not trial.over and self.rank == 0:
            self._keep(trial, self.folder / "trials" / command["trial"])
        return mailbag.pack(replace(report, message=report.message or self.note))

    def _stand(self, command: dict[str, Any]) -> Trial:
        """The trial as it stands here, or as its last checkpoint left it, or at its start."""
        if self.trial is None or self.name != command["trial"]:
            recipe = Recipe(command["recipe"])
            trial = Trial(recipe, self.train, command["seed"], self.device, command["rungs"])
            path = mailbag.checkpoint_path(self.folder, command["trial"])
            if self.rank == 0:
                for part in path.parent.glob("*.part"):  # what a killed worker was writing
                    part.unlink(missing_ok=True)
            if path.exists():
                self._restore(trial, path)
            self.trial, self.name = trial, command["trial"]
        return self.trial

    def _restore(self, trial: Trial, path: Path) -> None:
        """Go on from the checkpoint; one that is damaged is put aside and the trial starts over."""
        try:
            trial.restore(path)
        except checkpoint.Damaged as fault:
            aside = path.with_suffix(".damaged")
            if self.rank == 0:
                path.replace(aside)
            self.note = f"started over; its checkpoint is set aside as {aside}, for {fault}"

    def _keep(self, trial: Trial, folder: Path) -> None:
        """What `confirm` will ask of the trial."""
        remains.leave(
            folder,
            trial.objective.encoder,
            build(trial.recipe["probe"]),
            self.train,
            self.test,
            self.device,
        )


def blame(fault: BaseException) -> Status:
    """The status of a trial that ended with `fault`."""
    memory = isinstance(fault, torch.OutOfMemoryError | MemoryError) or NO_MEMORY in str(fault)
    return "oom" if memory else "error"
