"""What denoising the scores is worth: test accuracy of the recipe picked, against the maximum.

    python tests/benchmarks/denoise.py [--table F.parquet] [--searches 30] [--trials 40]

Searches with random proposals and the package's scheduler are replayed on recorded learning curves
(replay/README.md) for every data set and 2, 5 and 10 labels per class. Of the trials that came to
the last rung each rule picks one: `maximum` the best score, `rung_mean` the best mean of the last
two rungs, `denoised_OWN` the best denoised score with that share of what the surrogate cannot
explain. What counts is the pick's test accuracy; differences to `maximum` are paired by search,
with 95 % intervals over worlds (data set x labels x draw), whose searches share their labels. The
last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import warnings
from collections import defaultdict
from pathlib import Path

import optuna
import pandas as pd

sys.path.insert(0, str(Path(__file__).parent / "replay"))

import simulator as replay

from sslsearch.probe.interval import mean_interval
from sslsearch.search import denoise
from sslsearch.search.row import Row
from sslsearch.search.scheduler import FamilyHalving
from sslsearch.values import Recipe

SLOTS = 4
LABELS = ("2", "5", "10")
SHARES = (0.0, 0.25, 0.5, 0.75)
World = tuple[str, str, int]


def search(world: replay.World, seed: int, trials: int) -> list[Row]:
    """The trials of one search that came to the last rung, after the others."""
    space = replay.replay_space(seed, trials)
    searcher = replay.conductor(space, Path(), SLOTS)
    searcher.record.search.sampler = optuna.samplers.RandomSampler(seed=seed)
    replay.play(searcher, FamilyHalving(space.fidelity.eta, len(world.rungs)), world, SLOTS, trials)
    return searcher.record.rows("trial")


def picks(rows: list[Row], world: replay.World) -> dict[str, Recipe]:
    full = [row for row in rows if row.status == "ok"]
    rules = {
        "maximum": {row.name: row.score for row in full},
        "rung_mean": {
            row.name: statistics.fmean(report.score for report in row.reports[-2:]) for row in full
        },
        **{f"denoised_{own}": denoise.denoised(rows, world.space, own) for own in SHARES},
    }
    return {
        rule: max(full, key=lambda row: (scores[row.name], row.name)).recipe
        for rule, scores in rules.items()
    }


def tested(recipe: Recipe, world: replay.World) -> float:
    answers = world.space.project(recipe)
    assert answers is not None, "drawn from this very space"
    return world.curve(answers).tests[-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", type=Path, default=replay.TABLE)
    parser.add_argument("--searches", type=int, default=30, help="for each data set and labels")
    parser.add_argument("--trials", type=int, default=40)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    table = pd.read_parquet(args.table)
    space = replay.replay_space()
    found: dict[str, dict[World, list[float]]] = defaultdict(lambda: defaultdict(list))
    for dataset in table.dataset.cat.categories:
        for labels in LABELS:
            draws = sorted(table[table.labels == labels].draw.dropna().unique())
            worlds = [replay.World(table, space, dataset, labels, int(d)) for d in draws]
            for seed in range(args.searches):
                at = seed % len(draws)
                for rule, recipe in picks(
                    search(worlds[at], seed, args.trials), worlds[at]
                ).items():
                    test = tested(recipe, worlds[at])
                    found[rule][str(dataset), labels, at].append(test)
    summary = {}
    for rule, by_world in found.items():
        gains = [
            statistics.fmean(by_world[w]) - statistics.fmean(found["maximum"][w]) for w in by_world
        ]
        mean, low, high = mean_interval(gains)
        accuracy = statistics.fmean(statistics.fmean(v) for v in by_world.values())
        by_labels = {
            n: statistics.fmean(g for w, g in zip(by_world, gains, strict=True) if w[1] == n)
            for n in LABELS
        }
        summary[rule] = {
            "accuracy": round(accuracy, 4),
            "gain_points": [round(100 * v, 2) for v in (mean, low, high) if math.isfinite(v)],
            "by_labels": {n: round(100 * gain, 2) for n, gain in by_labels.items()},
        }
        print(f"{rule:14s} {summary[rule]}")
    print(json.dumps({"denoise": summary, "searches": args.searches}))


if __name__ == "__main__":
    main()
