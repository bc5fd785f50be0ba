"""How much of a slot's time is training, and how fast training is against a plain PyTorch loop.

    python tests/benchmarks/throughput.py [--trials 12] [--steps 150] [--repeats 5]

1. A real study on real slots (no early stopping, one slot): the share of the time between the
   first trial and the last that the slot spends in training and probing.
2. Steps per second of the project's loop against a loop as a researcher would write it around
   the same encoder, pretext and views, in turns, in one process: the median ratio.

The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import torch

from sslsearch.data.prepare import prepare
from sslsearch.data.samples import Samples
from sslsearch.search.conductor import Conductor
from sslsearch.search.study import Study
from sslsearch.space import Space, parse
from sslsearch.track.console import Console
from sslsearch.train.build import build
from sslsearch.train.loop import Trial
from sslsearch.values import Batch, Recipe

SPACE = """
name: throughput
data: {{modality: timeseries, source: "aeon:OSULeaf", labels: 10 per class}}
encoder: {{conv1d: {{depth: 3, width: 128, kernel: 3, stride: 8, pool: mean_max}}}}
pretext: {{simclr: {{temperature: 0.05..1.0 log}}}}
augment: {{time_shift: {{ratio: 0.5}}, jitter: {{sigma: 0.1}}}}
optim: {{batch_size: 32, lr: 1e-3..1e-2 log}}
probe: {{against: [raw]}}
fidelity: {{first: 400, last: 1200, eta: 3}}
budget: {{trials: {trials}, minutes: 30}}
search: {{scheduler: none, start_from: none}}
confirm: {{top: 1, seeds: 1}}
track: {{mlflow: none}}
compute: {{slots: 1}}
"""


class Stopwatch:
    """Notes when trials begin and end, on top of what the conductor does."""

    def __init__(self) -> None:
        self.began: list[float] = []
        self.ended: list[float] = []

    def watch(self) -> None:
        suggest, complete = Conductor.suggest, Conductor.on_trial_complete

        def timed_suggest(conductor: Conductor, trial_id: str) -> object:
            self.began.append(time.monotonic())
            return suggest(conductor, trial_id)

        def timed_complete(conductor: Conductor, *args: object, **kwargs: object) -> None:
            self.ended.append(time.monotonic())
            complete(conductor, *args, **kwargs)

        Conductor.suggest, Conductor.on_trial_complete = timed_suggest, timed_complete


def busy_share(trials: int) -> tuple[float, dict[str, float]]:
    """Share of slot time in training and probing, first trial left out (slots were starting)."""
    space: Space = parse(SPACE.format(trials=trials))
    watch = Stopwatch()
    watch.watch()
    with tempfile.TemporaryDirectory() as folder:
        console = Console(space.name, trials, None)
        study = Study(space, Path(folder) / "study", Path.cwd(), console)
        study.run(None)
        study.close()
        rows = study.record.rows()
    order = [*study.record.rows("trial"), *study.record.rows("finalist")]
    assert len(order) == len(rows)
    stages: dict[str, float] = {}
    for row in order[1:]:
        for report in row.reports:
            for stage, seconds in report.seconds.items():
                stages[stage] = stages.get(stage, 0.0) + seconds
    return sum(stages.values()) / (watch.ended[-1] - watch.ended[0]), stages


def plain_loop(recipe: Recipe, samples: Samples, steps: int) -> float:
    """Steps per second of a loop written by hand."""
    objective, compose = build(recipe, samples.spec, 0)
    optimiser = torch.optim.AdamW(objective.parameters(), lr=1e-3)
    rng = torch.Generator().manual_seed(0)
    size, cpu = recipe["optim"]["batch_size"], torch.device("cpu")
    order = torch.randperm(len(samples), generator=rng)
    started = time.perf_counter()
    for step in range(steps):
        at = step * size % (len(samples) - size)
        batch: Batch = samples.batch(order[at : at + size], cpu)
        loss = objective([compose(batch, rng), compose(batch, rng)], rng)
        optimiser.zero_grad()
        loss.total.backward()
        optimiser.step()
    return steps / (time.perf_counter() - started)


def our_loop(recipe: Recipe, samples: Samples, steps: int) -> float:
    """Steps per second of the project's loop, without its probe."""
    size = recipe["optim"]["batch_size"]
    trial = Trial(recipe, samples, 0, torch.device("cpu"), [steps * size])
    started = time.perf_counter()
    assert trial.train_to(steps)
    return steps / (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    space = parse(SPACE.format(trials=1))
    samples = Samples.from_table(prepare(space.data.model_dump(), Path.cwd()).train)
    recipe = space.default()
    pairs = []
    for _ in range(args.repeats + 1):  # the first pair warms up
        ours, plain = (f(recipe, samples, args.steps) for f in (our_loop, plain_loop))
        pairs.append((ours, plain))
    ours, plain = (statistics.median(column) for column in zip(*pairs[1:], strict=True))
    ratio = statistics.median(a / b for a, b in pairs[1:])
    share, stages = busy_share(args.trials)
    print(f"steps per second: ours {ours:.1f}, plain {plain:.1f}")
    print("slot seconds by stage: " + ", ".join(f"{k} {v:.1f}" for k, v in stages.items()))
    print(json.dumps({"busy_share": round(share, 3), "steps_ratio": round(ratio, 3)}))


if __name__ == "__main__":
    main()
