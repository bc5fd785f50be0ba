"""What a slot's worker does: bring a trial to a rung, and at the end say what its encoder sees."""

from __future__ import annotations

import traceback
from dataclasses import replace
from typing import Any

import ray
import ray.train.torch
import torch

from sslsearch.data.samples import Samples
from sslsearch.probe.base import build
from sslsearch.search import mailbag
from sslsearch.search.shelf import RESUME_SECONDS, shelf_of_worker
from sslsearch.train import checkpoint, remains
from sslsearch.train.loop import Trial
from sslsearch.values import Recipe, Status

NO_MEMORY = "can't allocate memory"  # torch's word on the CPU, in a bare RuntimeError


class TrialProgram:
    """Holds the samples for its whole life and one trial at a time.

    setup: {"train": ref, "test": ref, "folder": str, "storage": str | None, "threads": int} — Arrow
    tables in Ray's object store, mapped into this process without a copy; `test` holds no labels.
    folder and storage: of the study, as in `Shelf`.
    """

    def __init__(self, setup: dict[str, Any], rank: int, world: int) -> None:
        if not torch.cuda.is_available():
            torch.set_num_threads(max(1, int(setup["threads"])))
        self.rank = rank
        self.device = ray.train.torch.get_device()
        self.train = Samples.from_table(ray.get(setup["train"])).to(self.device)
        self.test = Samples.from_table(ray.get(setup["test"]))
        self.shelf = shelf_of_worker(setup["folder"], setup.get("storage"))
        self.trial: Trial | None = None
        self.name = ""
        self.note = ""  # what must be said of the trial beside its reports

    def free(self) -> None:
        self.shelf.forget(f"trials/{self.name}")
        self.trial, self.name, self.note = None, "", ""
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def obey(self, command: dict[str, Any]) -> dict[str, Any]:
        """Bring `trial` to `rung`. What the trial's own fault is becomes a status, not a crash."""
        try:
            return self._advance(command)
        except Exception as fault:
            traceback.print_exc()
            if checkpoint.no_room(fault, self.shelf.folder):
                return mailbag.halt(f"{type(fault).__name__}: {fault}")
            if torch.distributed.is_initialized() and torch.distributed.get_world_size() > 1:
                raise  # the other workers wait in a collective: the whole group starts again
            return mailbag.failure(blame(fault), f"{type(fault).__name__}: {fault}")

    def _advance(self, command: dict[str, Any]) -> dict[str, Any]:
        trial = self._stand(command)
        rung: int = command["rung"]
        saved = mailbag.checkpoint_name(command["trial"])
        while len(trial.reports) <= rung and not trial.over:
            trial.advance()
            if self.rank == 0:
                trial.save(self.shelf.path(saved))
                self.shelf.put_soon(saved)
        report = trial.reports[min(rung, len(trial.reports) - 1)]
        if command["keep"] and not trial.over and self.rank == 0:
            self._keep(trial, command["trial"])
        return mailbag.pack(replace(report, message=report.message or self.note))

    def _stand(self, command: dict[str, Any]) -> Trial:
        """The trial as it stands here, or as its last checkpoint left it, or at its start."""
        if self.trial is None or self.name != command["trial"]:
            recipe = Recipe(command["recipe"])
            trial = Trial(recipe, self.train, command["seed"], self.device, command["rungs"])
            saved = mailbag.checkpoint_name(command["trial"])
            if self.rank == 0:
                for part in self.shelf.path(saved).parent.glob("*.part"):  # of a killed worker
                    part.unlink(missing_ok=True)
            if self._found(saved, command["rung"]):
                self._restore(trial, saved)
            self.trial, self.name = trial, command["trial"]
        return self.trial

    def _found(self, saved: str, rung: int) -> bool:
        """Is there a checkpoint to go on from? A storage is not asked for one before any rung."""
        if self.shelf.storage is not None and not rung:
            return False
        try:
            return self.shelf.fetch(saved, RESUME_SECONDS).exists()
        except OSError as fault:
            if torch.distributed.is_initialized() and torch.distributed.get_world_size() > 1:
                raise  # another worker may have got it
            self.note = f"started over; the storage has not answered: {fault}"
            return False

    def _restore(self, trial: Trial, saved: str) -> None:
        """Go on from the checkpoint; one that is damaged is put aside and the trial starts over."""
        try:
            trial.restore(self.shelf.path(saved))
        except checkpoint.Damaged as fault:
            aside = self.shelf.set_aside(saved) if self.rank == 0 else "damaged"
            self.note = f"started over; its checkpoint is set aside as {aside}, for {fault}"

    def _keep(self, trial: Trial, name: str) -> None:
        """What `confirm` will ask of the trial."""
        remains.leave(
            self.shelf.path(f"trials/{name}"),
            trial.objective.encoder,
            build(trial.recipe["probe"]),
            self.train,
            self.test,
            self.device,
        )
        for file in remains.FILES:
            if self.shelf.path(f"trials/{name}/{file}").exists():
                self.shelf.put(f"trials/{name}/{file}")


def blame(fault: BaseException) -> Status:
    """The status of a trial that ended with `fault`."""
    memory = isinstance(fault, torch.OutOfMemoryError | MemoryError) or NO_MEMORY in str(fault)
    return "oom" if memory else "error"
