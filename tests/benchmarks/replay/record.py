"""Record the replay table: whole learning curves of recipes drawn from space.yaml, on real series.

    python tests/benchmarks/replay/record.py --data FOLDER --work FOLDER [--recipes 120] \
        [--repeated 12] [--seeds 3] [--minutes 60]

FOLDER of --data holds NAME.parquet with `series`, `label` and `split`. Every recipe runs on every
data set, the first --repeated of them on --seeds seeds. Each finished curve is one line of
`curves.jsonl` in --work, so a stopped recording goes on where it was; at the end, and whenever
the minutes are over, the lines become `timeseries.parquet` beside this file. README.md beside it
is the data card.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from threadpoolctl import threadpool_limits

from sslsearch import registry
from sslsearch.data.prepare import prepare
from sslsearch.data.samples import Samples
from sslsearch.space import Space, literature, load
from sslsearch.train.embed import features
from sslsearch.train.loop import Trial
from sslsearch.values import Recipe

HERE = Path(__file__).parent
SETS = ("OSULeaf", "SwedishLeaf", "CricketX")
BUDGETS = {"2": 3, "5": 3, "10": 3, "all": 1}  # labels per class -> draws
CPU = torch.device("cpu")


def recipes(space: Space, count: int) -> list[Recipe]:
    """The literature's recipes that fit the space, then recipes drawn at random from it."""
    rng = random.Random(0)
    made = {recipe.hash: recipe for recipe in literature(space)}
    while len(made) < count:
        recipe = space.random_recipe(rng)
        made.setdefault(recipe.hash, recipe)
    return list(made.values())[:count]


class Judged:
    """One data set, and the label draws on which every encoder is judged."""

    def __init__(self, name: str, source: Path) -> None:
        data = {"modality": "timeseries", "source": f"parquet:{source}", "labels": "all"}
        prepared = prepare(data, Path.cwd())
        self.name = name
        self.train = Samples.from_table(prepared.train)
        self.test = Samples.from_table(prepared.test)
        self.probe = registry.get("probe", "linear").bind({"head": "ridge"})()
        self.draws = [(b, d, self._rows(b, d)) for b, n in BUDGETS.items() for d in range(n)]

    def _rows(self, budget: str, draw: int) -> torch.Tensor:
        labels = self.train.labels_N.numpy()
        if budget == "all":
            return torch.arange(len(labels))
        rng = np.random.default_rng([draw, int(budget)])
        rows = [
            rng.permutation(np.flatnonzero(labels == k))[: int(budget)] for k in np.unique(labels)
        ]
        return torch.from_numpy(np.sort(np.concatenate(rows)))

    def scores(self, trial: Trial) -> list[dict[str, Any]]:
        """Leave-one-out scores and test accuracy for every label budget and draw."""
        encoder = trial.objective.encoder
        train = features(encoder, self.train, torch.arange(len(self.train)), CPU)
        test = features(encoder, self.test, torch.arange(len(self.test)), CPU)
        if not torch.isfinite(train).all():
            return []
        lines = []
        for budget, draw, rows in self.draws:
            labels = self.train.labels_N[rows]
            seen = self.probe.rung(train[rows], labels).values
            fitted = self.probe.final(train[rows], labels)
            tested = fitted.score(test, self.test.labels_N).values
            lines.append(
                {
                    "labels": budget,
                    "draw": draw,
                    **{f"loo_{key}": seen[key] for key in ("accuracy", "r2", "log_loss")},
                    "test_accuracy": tested["accuracy"],
                }
            )
        return lines


def curve(recipe: Recipe, judged: Judged, seed: int, rungs: list[int]) -> list[dict[str, Any]]:
    """A recipe trained up all rungs: for each, what it cost and how it was judged."""
    trial = Trial(recipe, judged.train, seed, CPU, rungs)
    lines = []
    while len(trial.reports) < len(rungs) and not trial.over:
        report = trial.advance()
        lines.append(
            {
                "rung": report.rung,
                "samples_seen": report.samples_seen,
                "status": report.status,
                "seconds": sum(s for stage, s in report.seconds.items() if stage != "probe"),
                "loss": report.losses[-1][1] if report.losses else float("nan"),
                "rankme": report.scores.get("rankme", float("nan")),
                "knn": report.scores.get("knn", float("nan")),
                "feature_spread": report.scores.get("health/feature_spread", float("nan")),
                "scores": judged.scores(trial) if report.status == "ok" else [],
            }
        )
    return lines


def table(lines: list[dict[str, Any]]) -> pd.DataFrame:
    """One row for each curve, rung, label budget and draw; a rung that failed has one row."""
    rows = []
    for line in lines:
        head = {key: value for key, value in line.items() if key != "curve"}
        for rung in line["curve"]:
            own = {key: value for key, value in rung.items() if key != "scores"}
            rows += [{**head, **own, **scores} for scores in rung["scores"] or [{}]]
    frame = pd.DataFrame(rows).sort_values(["dataset", "recipe", "seed", "rung", "labels", "draw"])
    for name in ("dataset", "recipe_hash", "answers", "status", "labels"):
        frame[name] = frame[name].astype("category")
    for name in ("recipe", "seed", "rung", "samples_seen"):
        frame[name] = frame[name].astype("int32")
    frame["draw"] = frame["draw"].astype("Int32")
    floats = frame.select_dtypes("float64").columns
    frame[floats] = frame[floats].astype("float32")
    return frame.reset_index(drop=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--recipes", type=int, default=120)
    parser.add_argument("--repeated", type=int, default=12)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=60.0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    threadpool_limits(1)  # two BLAS threads that wait for each other cost more than they do
    end = time.monotonic() + 60 * args.minutes
    space = load(HERE / "space.yaml")
    drawn = recipes(space, args.recipes)
    sets = [Judged(name, args.data / f"{name}.parquet") for name in SETS]
    args.work.mkdir(parents=True, exist_ok=True)
    log = args.work / "curves.jsonl"
    lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    done = {(line["dataset"], line["recipe"], line["seed"]) for line in lines}
    jobs = [
        (judged, number, seed)
        for number in range(len(drawn))
        for seed in range(args.seeds if number < args.repeated else 1)
        for judged in sets
    ]
    for judged, number, seed in jobs:
        if (judged.name, number, seed) in done:
            continue
        if time.monotonic() > end:
            break
        recipe, began = drawn[number], time.monotonic()
        line = {
            "dataset": judged.name,
            "recipe": number,
            "recipe_hash": recipe.hash,
            "answers": json.dumps(space.project(recipe, strict=True)),
            "seed": seed,
            "curve": curve(recipe, judged, seed, space.fidelity.rungs()),
        }
        lines.append(line)
        with log.open("a") as file:
            file.write(json.dumps(line) + "\n")
        print(
            f"{len(lines)}/{len(jobs)} {judged.name} {recipe.family} {number} seed {seed}: "
            f"{time.monotonic() - began:.1f} s",
            flush=True,
        )
    table(lines).to_parquet(HERE / "timeseries.parquet", index=False, compression="zstd")


if __name__ == "__main__":
    main()
