"""How much training each search needs to reach what random search reaches with 100 trials.

    python tests/benchmarks/search_efficiency.py [--table F.parquet] [--seeds 30] [--work F.jsonl] \
        [--methods ours tpe …]

Searches are replayed on recorded learning curves (replay/README.md) for every data set, 5 and 10
labels per class, and --seeds seeds spread over the draws of the labels:

- ours: the package's conductor, sampler and scheduler with their defaults
- tpe: Optuna's TPESampler at full length
- ray_optuna_asha: ray.tune's OptunaSearch with its ASHAScheduler, defaults of both
- one_epoch_top_k: 100 random recipes at the first rung, the best 10 at full length, and so on
- random: random recipes at full length

The score of a search is the selection score of the best trial that has reached the last rung. Its
target is what random search has reached after 100 trials, the median over the seeds. Compute is
samples trained on by all trials together until the target is reached, over the median that random
search needs to reach it (at most its 100 trials; on a table of few recipes less). A search that has
not reached it after 50 full-length trials' worth counts as one that never does. --work keeps what
has been replayed, so that a run that was stopped goes on. The last line is JSON.
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
from collections.abc import Callable, Iterator
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


def outcome(finished: list[replay.Finished], target: float) -> Result:
    """Compute until the target, and what the incumbent is worth on the test split then."""
    cost = next((f.cost for f in finished if f.score >= target), math.inf)
    best = max(finished, key=lambda f: f.score, default=None)
    return {
        "compute": cost,
        "score": best.score if best else math.nan,
        "test": best.test if best else math.nan,
    }


def searches(table: pd.DataFrame, seeds: int, methods: list[str]) -> Iterator[Result]:
    """Every search that is to be replayed; `run` replays it."""
    space = replay.replay_space()
    for dataset in table.dataset.cat.categories:
        for labels in LABELS:
            draws = sorted(table[table.labels == labels].draw.dropna().unique())
            for draw in draws:
                world = replay.World(table, space, dataset, labels, int(draw))
                mine = [s for s in range(seeds) if s % len(draws) == draw]
                reached = [random(world, seed) for seed in mine]
                target = statistics.median(max(f.score for f in run) for run in reached)
                for method in methods:
                    for seed in mine:
                        yield {
                            "key": [str(dataset), labels, int(draw), method, seed],
                            "run": lambda w=world, m=method, s=seed, t=target: outcome(
                                METHODS[m](w, s, t), t
                            ),
                        }


def summary(results: dict[tuple[Any, ...], Result], full: int) -> Result:
    """Ratios to random's median compute in the same world, and their medians."""
    computes: dict[tuple[Any, ...], list[float]] = defaultdict(list)
    for key, result in results.items():
        computes[key[:4]].append(result["compute"])
    over: dict[str, list[float]] = defaultdict(list)
    cells: dict[tuple[str, ...], list[float]] = defaultdict(list)
    share, tests, reached = defaultdict(list), defaultdict(list), defaultdict(list)
    for key, result in results.items():
        own = min(statistics.median(computes[*key[:3], "random"]), TRIALS * full)
        over[key[3]].append(result["compute"] / own)
        cells[*key[:2], key[3]].append(result["compute"] / own)
        share[key[3]].append(result["compute"] / (TRIALS * full))
        tests[key[3]].append(result["test"])
        reached[key[3]].append(math.isfinite(result["compute"]))
    for cell, ratios in sorted(cells.items()):
        print(f"{' '.join(cell):40s} {statistics.median(ratios):7.3f}  ({len(ratios)} searches)")
    return {
        "compute_over_random": {m: number(statistics.median(r)) for m, r in over.items()},
        "compute_over_100_trials": {m: number(statistics.median(r)) for m, r in share.items()},
        "reached": {m: number(statistics.fmean(r)) for m, r in reached.items()},
        "test_accuracy": {m: number(statistics.fmean(r)) for m, r in tests.items()},
    }


def number(value: float) -> float | None:
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
    table = pd.read_parquet(args.table)
    known: dict[tuple[Any, ...], Result] = {}
    if args.work and args.work.exists():
        lines = [json.loads(line) for line in args.work.read_text().splitlines()]
        known = {tuple(line["key"]): line["result"] for line in lines}
    results: dict[tuple[Any, ...], Result] = {}
    for search in searches(table, args.seeds, list(dict.fromkeys([*args.methods, "random"]))):
        key = tuple(search["key"])
        if key not in known:
            known[key] = search["run"]()
            if args.work:
                with args.work.open("a") as file:
                    file.write(json.dumps({"key": key, "result": known[key]}) + "\n")
        results[key] = known[key]
    full = replay.replay_space().fidelity.last
    print(json.dumps({**summary(results, full), "seeds": args.seeds}))


if __name__ == "__main__":
    main()
