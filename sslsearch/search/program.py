"""What a slot's worker does: bring a trial to a rung, and at the end say what its encoder sees."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

import ray
import ray.train.torch
import torch
from safetensors.torch import save_file

from sslsearch.data.samples import Samples
from sslsearch.search import mailbag
from sslsearch.train.embed import features
from sslsearch.train.loop import Trial
from sslsearch.values import Recipe


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

    def free(self) -> None:
        self.trial, self.name = None, ""
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def obey(self, command: dict[str, Any]) -> dict[str, Any]:
        """Bring `trial` to `rung`. What the trial's own fault is becomes a status, not a crash."""
        try:
            return self._advance(command)
        except Exception as fault:
            if torch.distributed.is_initialized() and torch.distributed.get_world_size() > 1:
                raise  # the other workers wait in a collective: the whole group starts again
            traceback.print_exc()
            return mailbag.failure("error", f"{type(fault).__name__}: {fault}")

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
        return mailbag.pack(report)

    def _stand(self, command: dict[str, Any]) -> Trial:
        """The trial as it stands here, or as its last checkpoint left it, or at its start."""
        if self.trial is None or self.name != command["trial"]:
            recipe = Recipe(command["recipe"])
            trial = Trial(recipe, self.train, command["seed"], self.device, command["rungs"])
            path = mailbag.checkpoint_path(self.folder, command["trial"])
            if path.exists():
                trial.restore(path)
            self.trial, self.name = trial, command["trial"]
        return self.trial

    def _keep(self, trial: Trial, folder: Path) -> None:
        """Write the encoder and the features of labelled and test samples for `confirm`."""
        encoder = trial.objective.encoder
        everything = torch.arange(len(self.test))
        tensors = {
            "train": features(encoder, self.train, self.train.labelled, self.device),
            "test": features(encoder, self.test, everything, self.device),
        }
        folder.mkdir(parents=True, exist_ok=True)
        weights = {k: v.detach().cpu().contiguous() for k, v in encoder.state_dict().items()}
        save_file(weights, folder / "encoder.safetensors")
        save_file(tensors, folder / "features.safetensors")
