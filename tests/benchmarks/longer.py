"""Does training a recipe longer than its search did pay? Paired by seed, on the test split.

    python tests/benchmarks/longer.py RECIPE.yaml [--times 10] [--seeds 3] [--first-seed 1000]
        [--set PATH=VALUE …]

For each seed: the encoder untrained, trained for the recipe's own number of samples, and for
`--times` as many, each with the schedule of the learning rate over its own length. The score is the
final probe's on the test split, as a study's confirmation takes it. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import torch
from safetensors.torch import load_file

from sslsearch.data import prepare
from sslsearch.data.samples import Samples
from sslsearch.probe.base import build
from sslsearch.space import load
from sslsearch.train import remains
from sslsearch.train.loop import Trial
from sslsearch.values import Recipe

CPU = torch.device("cpu")


def tested(recipe: Recipe, train: Samples, test: Samples, seed: int, samples: int) -> float:
    """The final probe's accuracy on the test split after `samples` samples; 0 = untrained."""
    trial = Trial(recipe, train, seed, CPU, [max(samples, 1)])
    if samples:
        report = trial.advance()
        assert report.status == "ok", report
    probe = build(recipe["probe"])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        remains.leave(folder, trial.objective.encoder, probe, train, test, CPU)
        fitted = remains.fitted_probe(folder / remains.FEATURES, probe, train)
        truth = probe.truth(test, torch.arange(len(test)), train)
        scores = fitted.score(load_file(folder / remains.FEATURES)["test"], truth)
    return float(scores.values["accuracy"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=1000, help="that of confirmations")
    parser.add_argument("--set", action="append", default=[], dest="sets")
    args = parser.parse_args()
    torch.set_num_threads(1)
    space = load(args.recipe, args.sets)
    recipe, last = space.default(), space.fidelity.last
    prepared = prepare(space.data.model_dump(), Path.cwd())
    train, test = (Samples.from_table(table) for table in (prepared.train, prepared.test))
    lengths = [0, last, args.times * last]
    found: dict[int, list[float]] = {length: [] for length in lengths}
    for seed in range(args.first_seed, args.first_seed + args.seeds):
        for length in lengths:
            started = time.perf_counter()
            found[length].append(tested(recipe, train, test, seed, length))
            seconds = time.perf_counter() - started
            print(f"seed {seed}  {length:>7,} samples  {found[length][-1]:.3f}  {seconds:.1f} s")
    gain = [b - a for a, b in zip(found[last], found[args.times * last], strict=True)]
    spread = statistics.stdev(gain) if len(gain) > 1 else float("nan")
    print(f"{args.times} times the samples: {statistics.mean(gain):+.3f} ± {spread:.3f} (paired)")
    scores = {str(length): [round(s, 4) for s in values] for length, values in found.items()}
    print(json.dumps({"family": recipe.family, "test": len(test), "scores": scores}))


if __name__ == "__main__":
    main()
