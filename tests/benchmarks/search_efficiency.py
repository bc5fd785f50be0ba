"""How much training each search needs to reach what random search reaches with 100 trials.

    python tests/benchmarks/search_efficiency.py [--table F.parquet] [--seeds 30] [--work F.jsonl] \
        [--methods ours tpe …]

Searches are replayed on recorded learning curves (replay/README.md) for every data set, 5 and 10
labels per class, and --seeds seeds spread over the draws of the labels:

- ours: the package's conductor, sampler and scheduler with their defaults
- tpe: Optuna's TPESampler at full length, by ray.tune's OptunaSearch
- ray_optuna_asha: ray.tune's OptunaSearch with its ASHAScheduler, defaults of both
- one_epoch_top_k: 100 random recipes at the first rung, the best 10 at full length, and so on
- random: random recipes at full length

The score of a search is the selection score of the best trial that has come to the last rung. Its
target is what random search has reached after 100 trials, the median over the seeds of that data
set, label budget and draw. Compute is samples trained on by all trials together until the target is
reached, over the median that random search needs to reach it. A search that has not reached it
after 50 full-length trials' worth counts as one that never does; null is a median of those.
test_accuracy is that of the trial that reached the target, or of the incumbent at the end. --work
keeps what has been replayed, so that a run that was stopped goes on. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import statistics
import sys
import warnings
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler
from ray.tune.search.optuna import OptunaSearch

sys.path.insert(0, str(Path(__file__).parent / "replay"))

import simulator as replay

from sslsearch.search.sampler import OptunaAsk
from sslsearch.search.scheduler import FamilyHalving
from sslsearch.space import Space

SLOTS = 4
TRIALS = 100  # of random search: what sets the target
MOST = 50  # full-length trials' worth, after which a search has failed
LABELS = ("5", "10")
SCREENED, KEPT = 100, 10  # one_epoch_top_k
Result = dict[str, Any]
Key = tuple[Any, ...]


def ours(world: replay.World, seed: int, target: float) -> list[replay.Finished]:
    space = replay.replay_space(seed)
    searcher = replay.conductor(space, Path(), SLOTS)
    scheduler = FamilyHalving(space.fidelity.eta, len(world.rungs), how=space.search.scheduler)
    return replay.play(searcher, scheduler, world, SLOTS, 1_000, target, MOST * world.rungs[-1])


def optuna_search(space: Space, seed: int) -> OptunaSearch:
    def ask(trial: optuna.Trial) -> None:
        space.draw(OptunaAsk(trial))

    # its `seed=0` counts as none
    return OptunaSearch(ask, metric="score", mode="max", seed=seed + 1)


def tpe(world: replay.World, seed: int, target: float) -> list[replay.Finished]:
    searcher = optuna_search(world.space, seed)
    return replay.play(searcher, FIFOScheduler(), world, SLOTS, MOST, target)


def ray_optuna_asha(world: replay.World, seed: int, target: float) -> list[replay.Finished]:
    scheduler = ASHAScheduler(
        time_attr="samples_seen",
        metric="score",
        mode="max",
        max_t=world.rungs[-1],
        grace_period=world.rungs[0],
    )
    searcher = optuna_search(world.space, seed)
    return replay.play(searcher, scheduler, world, SLOTS, 1_000, target, MOST * world.rungs[-1])


def one_epoch_top_k(world: replay.World, seed: int, target: float) -> list[replay.Finished]:
    searcher = replay.RandomSearch(world.space, seed + 1_000_000)  # other recipes than random's
    first, last, cost = world.rungs[0], world.rungs[-1], 0
    finished: list[replay.Finished] = []
    while cost < MOST * last:
        curves = [world.curve(searcher.suggest("")) for _ in range(SCREENED)]
        cost += SCREENED * first
        able = sorted((c for c in curves if c.status[0] == "ok"), key=lambda c: -c.scores[0])
        for curve in able[:KEPT]:
            cost += world.rungs[len(curve.status) - 1] - first
            if curve.whole:
                finished.append(replay.Finished(cost, curve.scores[-1], curve.tests[-1]))
                if curve.scores[-1] >= target:
                    return finished
    return finished


def random(world: replay.World, seed: int, target: float = math.inf) -> list[replay.Finished]:
    searcher = replay.RandomSearch(world.space, seed)
    return replay.play(searcher, FIFOScheduler(), world, SLOTS, TRIALS, target)


METHODS: dict[str, Callable[[replay.World, int, float], list[replay.Finished]]] = {
    "ours": ours,
    "tpe": tpe,
    "ray_optuna_asha": ray_optuna_asha,
    "one_epoch_top_k": one_epoch_top_k,
    "random": random,
}


def records(finished: list[replay.Finished]) -> list[list[float]]:
    """Each time the incumbent changed: (compute, its score, its test accuracy)."""
    best, found = -math.inf, []
    for one in finished:
        if one.score > best:
            best = one.score
            found.append([one.cost, one.score, one.test])
    return found


class Notebook:
    """What has been replayed; on disk too where a file is given."""

    def __init__(self, path: Path | None) -> None:
        self.path, self.pages = path, dict[Key, list[list[float]]]()
        if path and path.exists():
            lines = [json.loads(line) for line in path.read_text().splitlines()]
            self.pages = {tuple(line["key"]): line["records"] for line in lines}

    def look(self, key: Key, search: Callable[[], list[replay.Finished]]) -> list[list[float]]:
        if key not in self.pages:
            self.pages[key] = records(search())
            if self.path:
                with self.path.open("a") as file:
                    file.write(json.dumps({"key": key, "records": self.pages[key]}) + "\n")
        return self.pages[key]


def compare(
    world: replay.World, name: Key, methods: list[str], seeds: list[int], notes: Notebook
) -> list[Result]:
    """All searches in one world, with what random search needs there."""
    chance = [notes.look((*name, "random", s), lambda s=s: random(world, s)) for s in seeds]
    target = statistics.median_low(run[-1][1] for run in chance)  # half reach it
    own = statistics.median_low(reach(run, target) for run in chance)
    found = []
    for method in methods:
        for seed in seeds:
            run = notes.look(
                (*name, method, seed), lambda m=method, s=seed: METHODS[m](world, s, target)
            )
            compute = reach(run, target)
            found.append(
                {
                    "cell": (*name[:2], method),
                    "method": method,
                    "over_random": compute / own,
                    "over_100_trials": compute / (TRIALS * world.rungs[-1]),
                    "test": next((r[2] for r in run if r[1] >= target), run[-1][2] if run else 0),
                }
            )
    return found


def reach(run: list[list[float]], target: float) -> float:
    return next((record[0] for record in run if record[1] >= target), math.inf)


def summary(results: list[Result]) -> Result:
    """Medians over all searches, after a line for each data set, label budget and method."""
    by_method, by_cell = defaultdict(list), defaultdict(list)
    for result in results:
        by_method[result["method"]].append(result)
        by_cell[result["cell"]].append(result)
    for cell, found in sorted(by_cell.items()):
        print(f"{' '.join(cell):40s} {middle(found, 'over_random')} of random's compute")
    return {
        "compute_over_random": {m: middle(r, "over_random") for m, r in by_method.items()},
        "compute_over_100_trials": {m: middle(r, "over_100_trials") for m, r in by_method.items()},
        "reached": {
            m: round(statistics.fmean(math.isfinite(r["over_random"]) for r in found), 3)
            for m, found in by_method.items()
        },
        "test_accuracy": {
            m: round(statistics.fmean(r["test"] for r in found), 4)
            for m, found in by_method.items()
        },
    }


def middle(found: list[Result], key: str) -> float | None:
    """The median; None where half of the searches never get there."""
    value = statistics.median_low(one[key] for one in found)
    return round(value, 4) if math.isfinite(value) else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", type=Path, default=replay.TABLE)
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--work", type=Path, default=None)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.disable(logging.WARNING)
    table, space = pd.read_parquet(args.table), replay.replay_space()
    methods = list(dict.fromkeys([*args.methods, "random"]))
    notes, results = Notebook(args.work), []
    for dataset in table.dataset.cat.categories:
        for labels in LABELS:
            draws = sorted(table[table.labels == labels].draw.dropna().unique())
            for draw in draws:
                world = replay.World(table, space, dataset, labels, int(draw))
                seeds = [seed for seed in range(args.seeds) if seed % len(draws) == draw]
                name = (str(dataset), labels, int(draw))
                results += compare(world, name, methods, seeds, notes)
    print(json.dumps({**summary(results), "seeds": args.seeds}))


if __name__ == "__main__":
    main()
