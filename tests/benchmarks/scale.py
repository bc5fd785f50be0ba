"""How a study scales: slots kept busy on eight nodes, and what a trial costs as trials pile up.

    python tests/benchmarks/scale.py [--trials 1000] [--sleep 0.05] [--nodes 8] [--rungs 1]
    python tests/benchmarks/scale.py --driver [--trials 5000]

1. A real study on real slots (conductor, study.db, scheduler, leaderboard) whose workers only
   sleep, on a Ray cluster of as many one-CPU nodes, all of them processes of this machine:
   the share of slot time spent sleeping, once every slot has ended a trial.
2. --driver: all that the study's own process does for a trial, without Ray: conductor, sampler,
   study.db, scheduler, leaderboard, event log. Seconds per trial and resident memory as trials
   pile up.

The last line is JSON.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import ray
from ray.cluster_utils import Cluster
from ray.tune.search import Searcher

from sslsearch.search import mailbag, study
from sslsearch.search.announce import Announcer
from sslsearch.search.conductor import Conductor
from sslsearch.search.resources import Fit, Room
from sslsearch.search.scheduler import halving
from sslsearch.space import Space, parse
from sslsearch.track.console import Console
from sslsearch.values import Report

SPACE = """
name: scale
data: {{modality: timeseries, source: "synthetic:120", labels: 10 per class}}
encoder: {{conv1d: {{depth: 2..6, width: 16 | 32 | 64}}}}
pretext:
  one_of:
    simclr: {{temperature: 0.05..1.0 log}}
    vicreg: {{}}
    ts2vec: {{}}
augment:
  subset_of:
    crop_resize: {{keep: 0.40..1.00}}
    jitter: {{sigma: 0.01..0.50 log}}
optim: {{batch_size: 8 | 16 | 32, lr: 1e-4..1e-2 log}}
probe: {{against: [raw]}}
fidelity: {{first: 90, last: {last}, eta: 3}}
budget: {{trials: {trials}, minutes: 600}}
search: {{start_from: none, scheduler: {scheduler}}}
confirm: {{top: 1, seeds: 1}}
track: {{mlflow: none}}
compute: {{recycle_after: 100000}}
"""
AT = (100, 1_000, 5_000)


class SearchOnly(study.Study):
    """A study without floors and test split: its workers leave no features."""

    def _confirm(self, conductor: Conductor, announcer: Any) -> Any:
        return None


class Sleep:
    """A worker's program that sleeps for a rung and invents a score."""

    def __init__(self, setup: dict[str, Any], rank: int, world: int) -> None:
        self.seconds = float(os.environ["SLEEP"])

    def obey(self, command: dict[str, Any]) -> dict[str, Any]:
        time.sleep(self.seconds)
        return mailbag.pack(invented(command["trial"], command["rung"], self.seconds))

    def free(self) -> None:
        """Nothing to free."""


def invented(trial: str, rung: int, seconds: float) -> Report:
    """A report as a trial would give it, with a loss curve and metrics."""
    luck = random.Random(f"{trial}-{rung}")
    score = luck.random() * 0.2 + rung * 0.1
    curve = tuple((step, 1.0 / (step + 1)) for step in range(40))
    scores = dict.fromkeys(("accuracy", "log_loss", "r2", "macro_f1"), score)
    low, high, took = score - 0.1, score + 0.1, {"train": seconds}
    return Report(rung, 90 * 3**rung, "ok", score, scores, low, high, curve, took)


class Unseen(io.StringIO):
    """Where the console writes: its own work is done, and not seen."""

    def write(self, text: str) -> int:
        return len(text)


class Watch:
    """Notes when the conductor's trials end, on top of what it does."""

    def __init__(self) -> None:
        self.ended: list[float] = []  # wall clock
        self.busy: list[float] = []  # processor seconds of this process
        self.megabytes: list[float] = []
        complete = Conductor.on_trial_complete

        def timed(conductor: Conductor, *args: Any, **kwargs: Any) -> None:
            complete(conductor, *args, **kwargs)
            self.note()

        Conductor.on_trial_complete = timed

    def note(self) -> None:
        self.ended.append(time.monotonic())
        self.busy.append(time.process_time())
        self.megabytes.append(memory())
        done = len(self.ended)
        if done % 100 == 0:
            wall, busy = self.per_trial(done)
            print(f"{done} trials: {wall:.3f} s each, {busy:.3f} s of the driver's processor, "
                  f"{self.megabytes[-1]:.0f} MB", flush=True)  # fmt: skip

    def per_trial(self, at: int, window: int = 100) -> tuple[float, float]:
        """Seconds for each of the `window` trials that ended up to the `at`-th."""
        first, last = max(0, at - window), at - 1
        count = last - first
        return tuple((t[last] - t[first]) / count for t in (self.ended, self.busy))  # type: ignore


def memory() -> float:
    """Resident MB of this process."""
    return psutil.Process().memory_info().rss / 2**20


def make(args: argparse.Namespace, folder: Path) -> study.Study:
    scheduler = "asha" if args.driver or args.rungs > 1 else "none"
    text = SPACE.format(trials=args.trials, last=90 * 3 ** (args.rungs - 1), scheduler=scheduler)
    space: Space = parse(text)
    console = Console(space.name, args.trials, None, file=Unseen())
    made = SearchOnly(space, folder / "study", Path.cwd(), console)
    made.floors.start = lambda: None
    return made


def on_slots(args: argparse.Namespace, folder: Path) -> dict[str, float]:
    """The share of slot time that is sleep, between every slot's first trial and the last."""
    os.environ["SLEEP"] = str(args.sleep)
    os.environ["PYTHONPATH"] = str(Path(__file__).parent)  # workers import this file
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    for _ in range(args.nodes - 1):
        nodes.add_node(num_cpus=1)
    study.PROGRAM = "scale:Sleep"
    watch, made = Watch(), make(args, folder)
    try:
        made.run(nodes.address)
    finally:
        ray.shutdown()
        nodes.shutdown()
    reports = sum(len(row.reports) for row in made.record.rows("trial")) / args.trials
    warm = args.trials // 10  # while the slots start
    spent = watch.ended[args.trials - 1] - watch.ended[warm - 1]
    wall, busy = watch.per_trial(args.trials)
    return {
        "busy_share": round(args.sleep * reports * (args.trials - warm) / spent / args.nodes, 3),
        "trial_s": round(wall, 4),
        "driver_trial_s": round(busy, 4),
        "driver_mb": round(watch.megabytes[-1]),
    }


def on_the_driver(args: argparse.Namespace, folder: Path) -> dict[str, float]:
    """Seconds and memory per trial of the driver's own path, with eight trials under way."""
    made = make(args, folder)
    room = Room(Fit(8, 8, 1, {"CPU": 1.0}, False, 1), lambda: [{"CPU": 8.0}])
    announcer = Announcer(made.folder, made.record, made.console, made.tracker, made.floors, room)
    watch = Watch()
    conductor = Conductor(
        made.space, made.record, made.folder, None, room, made.clock, announcer, made.default,
        lambda rows: [],
    )  # fmt: skip
    play(conductor, halving(made.space, made.record.rows("trial")))
    figures: dict[str, float] = {}
    for at in [at for at in AT if at <= args.trials]:
        wall, busy = watch.per_trial(at)
        figures |= {
            f"overhead_s_{at}": round(wall, 4),
            f"processor_s_{at}": round(busy, 4),
            f"driver_mb_{at}": round(watch.megabytes[at - 1]),
        }
    return figures


def play(conductor: Conductor, scheduler: Any) -> None:
    """Play Tune and the slots: eight trials under way, one rung of one of them at a time."""
    live: dict[str, dict[str, Any]] = {}
    number = 0
    while True:
        while True:
            config = conductor.suggest(f"tune-{number}")
            if config == Searcher.FINISHED:
                return
            if not isinstance(config, dict):
                break
            live[f"tune-{number}"], number = config, number + 1
        tune = next(iter(live))
        config = live.pop(tune)
        command = config["commands"].pop(0)
        answer = mailbag.pack(invented(command["trial"], command["rung"], 0.0))
        stop = (
            not config["commands"]
            or scheduler.on_trial_result(
                None, SimpleNamespace(trial_id=tune, config=config), answer
            )
            == "STOP"
        )
        tell = conductor.on_trial_complete if stop else conductor.on_trial_result
        tell(tune, answer)
        if not stop:
            live[tune] = config


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--driver", action="store_true", help="measure the driver alone")
    parser.add_argument("--trials", type=int, default=1_000)
    parser.add_argument("--sleep", type=float, default=0.05, help="seconds of a rung")
    parser.add_argument("--nodes", type=int, default=8, help="of one CPU each")
    parser.add_argument("--rungs", type=int, default=1)
    args = parser.parse_args()
    measure: Callable[..., dict[str, float]] = on_the_driver if args.driver else on_slots
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(args, Path(folder))))


if __name__ == "__main__":
    main()
