"""One recipe trained to its end on a Ray Train group of its own, for `sslsearch.pretrain`."""

from __future__ import annotations

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
from sslsearch.data.samples import Samples
from sslsearch.probe.base import build
from sslsearch.search.confirm import without_labels
from sslsearch.search.resources import Fit
from sslsearch.train import remains
from sslsearch.train.loop import Trial
from sslsearch.values import Recipe

RESTARTS = 3  # of the worker group, after which the training is given up


def trainer(
    recipe: Recipe,
    seed: int,
    rungs: list[int],
    train: pa.Table,
    test: pa.Table,
    fitted: Fit,
    rung: Path,
) -> TorchTrainer:
    """Its `fit()` goes on from the checkpoint `rung` and returns the last report.

    Ray keeps nothing that we need: its own files may be removed from .ray beside it at any time.
    """
    return TorchTrainer(
        work,
        train_loop_config={
            "train": ray.put(train),
            "test": ray.put(without_labels(test)),
            "recipe": recipe.body,
            "seed": seed,
            "rungs": rungs,
            "threads": fitted.threads,
            "rung": str(rung),
        },
        scaling_config=ray.train.ScalingConfig(
            num_workers=fitted.workers,
            use_gpu=fitted.use_gpu,
            resources_per_worker=fitted.resources,
        ),
        run_config=ray.train.RunConfig(
            name=f"pretrain-{time.time_ns()}",
            storage_path=str(rung.parent / ".ray"),
            failure_config=ray.train.FailureConfig(max_failures=RESTARTS),
        ),
    )


def work(config: dict[str, Any]) -> dict[str, Any]:
    """The Train loop of one worker: from the last rung to the end; returns the last report.

    A rung at which the trial failed is not saved: a cure may lie outside the recipe.
    """
    device, first = ray.train.torch.get_device(), distributed.rank() == 0
    if device.type == "cpu":
        torch.set_num_threads(config["threads"])
    samples = Samples.from_table(ray.get(config["train"])).to(device)
    trial = Trial(Recipe(config["recipe"]), samples, config["seed"], device, config["rungs"])
    path = Path(config["rung"])
    # Only worker 0 judges and looks at the disk; the others do as it does.
    if _as_first(first and path.exists(), device):
        trial.restore(path)
    over = False
    while len(trial.reports) < len(trial.rungs) and not over:
        trial.advance()
        over = _as_first(trial.over, device)
        if first and not over:
            trial.save(path)
    if first and not over:
        test = Samples.from_table(ray.get(config["test"]))
        probe = build(trial.recipe["probe"])
        remains.leave(path.parent, trial.objective.encoder, probe, samples, test, device)
    return vars(trial.reports[-1])


def _as_first(said: bool, device: torch.device) -> bool:
    """What worker 0 says, on every worker."""
    return bool(distributed.agree(torch.tensor(int(said), device=device)))
