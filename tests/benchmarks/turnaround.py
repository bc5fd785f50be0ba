"""Marginal seconds per trial: warm slots against the documented Train-in-Tune way, in one run.

    python tests/benchmarks/turnaround.py [--trials 40] [--stock-trials 4] [--scale]

Both run an empty training loop of 3 reports on one worker. The stock way is written as Ray's
guide "Hyperparameter Tuning with Ray Tune" writes it: a driver function that calls
`TorchTrainer.fit()` inside each Tune trial. Marginal = seconds per trial after the first has
ended, so that neither side pays for its start. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import ray
import ray.train
import ray.tune
from ray.train.torch import TorchTrainer
from ray.tune.integration.ray_train import TuneReportCallback
from ray.tune.search import Searcher

from sslsearch.search.cluster import cluster
from sslsearch.search.resources import ACTOR
from sslsearch.search.slot import Slot

REPORTS = 3
ENDED = "ended.txt"  # one time stamp per line, written by whoever sees a trial end


class Empty:
    """A worker's program that does nothing."""

    def __init__(self, setup: dict[str, Any], rank: int, world: int) -> None:
        """Nothing to set up."""

    def obey(self, command: dict[str, Any]) -> dict[str, Any]:
        return {"score": float(command["rung"]), "status": "ok", "rung": command["rung"]}

    def free(self) -> None:
        """Nothing to free."""


class Sequence(Searcher):
    """Hands out `total` empty trials and notes when each ends."""

    def __init__(self, total: int, setup: Any) -> None:
        super().__init__(metric="score", mode="max")
        self.total, self.setup, self.given = total, setup, 0
        self.ended: list[float] = []

    def suggest(self, trial_id: str) -> dict[str, Any] | str:
        if self.given == self.total:
            return Searcher.FINISHED
        self.given += 1
        rungs = [{"trial": trial_id, "rung": r, "seconds": 60.0} for r in range(REPORTS)]
        return {"setup": self.setup, "commands": rungs}

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
        assert not error, result
        self.ended.append(time.monotonic())

    def save(self, checkpoint_path: str) -> None:
        """Not restored."""

    def restore(self, checkpoint_path: str) -> None:
        """Not restored."""


def slot_seconds(trials: int, storage: str) -> float:
    """Marginal seconds per trial on one warm slot."""
    setup = {
        "program": "turnaround:Empty",
        "setup": {},
        "workers": 1,
        "resources": {"CPU": 0.95},
        "use_gpu": False,
        "storage": storage,
        "recycle_after": trials + 1,
    }
    searcher = Sequence(trials, ray.put(setup))
    ray.tune.Tuner(
        ray.tune.with_resources(Slot, {ACTOR: 1}),
        tune_config=ray.tune.TuneConfig(
            search_alg=searcher, num_samples=-1, reuse_actors=True, max_concurrent_trials=1
        ),
        run_config=ray.tune.RunConfig(storage_path=storage, name=f"slot-{trials}", verbose=0),
    ).fit()
    return marginal(searcher.ended)


def marginal(ended: list[float]) -> float:
    return (ended[-1] - ended[0]) / (len(ended) - 1)


def empty_loop() -> None:
    for i in range(REPORTS):
        ray.train.report({"score": float(i)})


def stock_trial(config: dict[str, Any]) -> None:
    """As in the guide: a Tune function trial that starts a Train run of its own."""
    trainer = TorchTrainer(
        empty_loop,
        scaling_config=ray.train.ScalingConfig(num_workers=1, resources_per_worker={"CPU": 0.95}),
        run_config=ray.train.RunConfig(
            name=f"train-trial_id={ray.tune.get_context().get_trial_id()}",
            storage_path=config["storage"],
            callbacks=[TuneReportCallback()],
        ),
    )
    trainer.fit()
    with (Path(config["storage"]) / ENDED).open("a") as file:
        file.write(f"{time.monotonic()}\n")


def stock_seconds(trials: int, storage: str) -> float:
    """Marginal seconds per trial of the documented way, one at a time."""
    result = ray.tune.Tuner(
        ray.tune.with_resources(stock_trial, {"CPU": 0.01}),
        param_space={"storage": storage, "i": ray.tune.grid_search(list(range(trials)))},
        tune_config=ray.tune.TuneConfig(max_concurrent_trials=1),
        run_config=ray.tune.RunConfig(storage_path=storage, name="stock", verbose=0),
    ).fit()
    assert not result.errors, result.errors
    lines = (Path(storage) / ENDED).read_text().split()
    return marginal([float(line) for line in lines])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=40, help="for each of 3 runs of the slot")
    parser.add_argument("--stock-trials", type=int, default=4)
    args = parser.parse_args()
    os.environ["PYTHONPATH"] = str(Path(__file__).parent)  # workers import this file
    with tempfile.TemporaryDirectory() as storage, cluster(None):
        twenty = slot_seconds(20, storage)
        slot = statistics.median(slot_seconds(args.trials + i, storage) for i in range(3))
        five_hundred = slot_seconds(500, storage)
        stock = stock_seconds(args.stock_trials, storage)
    figures = {
        "slot_s": round(slot, 4),
        "stock_s": round(stock, 2),
        "ratio": round(stock / slot, 1),
        "slot_s_20": round(twenty, 4),
        "slot_s_500": round(five_hundred, 4),
    }
    print(f"a trial costs {slot:.3f} s on a warm slot and {stock:.1f} s the documented way")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
