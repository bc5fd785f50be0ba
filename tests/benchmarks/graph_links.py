"""Edges of Cora that were kept back: how well recipes and floors tell them from other pairs.

    python tests/benchmarks/graph_links.py --data FOLDER [RECIPE …] [--seeds 3] [--score dot]

FOLDER holds cora_planetoid.npz. The protocol is Kipf & Welling's (arXiv:1611.07308): 5 and 10 % of
the edges are hidden, and as many pairs without one drawn; scores are inner products, or what
`--score` says. Each seed hides other edges. The last line is JSON: test AUC and average precision
in percent, mean and standard deviation over seeds.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sslsearch import registry
from sslsearch.data.prepare import prepare
from sslsearch.data.samples import Samples
from sslsearch.probe.base import FittedProbe
from sslsearch.probe.link import Link, Score
from sslsearch.space import load
from sslsearch.train.embed import features
from sslsearch.train.loop import Trial
from sslsearch.values import Recipe

RECIPES = Path(__file__).parents[2] / "search_spaces" / "recipes"
CPU = torch.device("cpu")
PUBLISHED = {"gae": [91.0, 92.0], "vgae": [91.4, 92.6]}  # AUC, average precision
Seen = dict[str, list[dict[str, float]]]


class Task:
    """Cora without the edges that a seed hides."""

    def __init__(self, folder: Path, seed: int, normalise: str, score: Score) -> None:
        source = f"npz:{(folder / 'cora_planetoid.npz').resolve()}"
        self.data = {"modality": "graph", "source": source, "level": "link", "test": 0.1}
        self.data |= {"seed": seed, "normalise": normalise}
        prepared = prepare(self.data, Path.cwd())
        self.train, self.test = map(Samples.from_table, (prepared.train, prepared.test))
        self.probe = Link(score=score)
        rows = torch.arange(len(self.train))
        self.rows, self.truth = rows, self.probe.truth(self.train, rows, self.train)
        self.final = self.probe.truth(self.test, rows, self.train)

    def judge(self, seen_VD: torch.Tensor) -> dict[str, float]:
        return self.scored(self.probe.final(seen_VD, self.truth), seen_VD)

    def scored(self, fitted: FittedProbe, seen: torch.Tensor) -> dict[str, float]:
        return {name: 100 * v for name, v in fitted.score(seen, self.final).values.items()}


def floors(folder: Path, seed: int, score: Score, seen: Seen) -> None:
    task = Task(folder, seed, "rows", score)
    batch = task.test.batch(task.rows, CPU)
    seen["raw"].append(task.judge(task.test.modality.flat(batch, task.test.spec)))
    made = registry.get("floor", "adamic_adar").bind({})(task.train, task.test, 0, {})
    seen["adamic_adar"].append(task.scored(task.probe.taken([]), made.test_ND))


def run(folder: Path, name: str, seed: int, score: Score, seen: Seen) -> None:
    recipe = load(RECIPES / f"{name}_graph.yaml").default()
    task = Task(folder, seed, recipe["data"]["normalise"], score)
    probe = {"name": "link", "knobs": {"score": score}, "watch": [], "judge_by": "auc"}
    recipe = Recipe({**recipe.body, "data": task.data, "probe": probe})
    trial = Trial(recipe, task.train, seed, CPU, [recipe["fidelity"]["last"]])
    encoder = trial.objective.encoder
    seen[f"{name}, untrained"].append(task.judge(features(encoder, task.train, task.rows, CPU)))
    report = trial.advance()
    if report.status != "ok":
        raise RuntimeError(f"{name}: {report.status} {report.message}")
    seen[name].append(task.judge(features(encoder, task.train, task.rows, CPU)))
    print(seed, name, seen[f"{name}, untrained"][-1], seen[name][-1], flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("recipes", nargs="*", default=["gae", "vgae"])
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--score", choices=("dot", "cosine", "hadamard"), default="dot")
    args = parser.parse_args()
    torch.set_num_threads(1)
    seen: Seen = defaultdict(list)
    for seed in range(args.seeds):
        floors(args.data, seed, args.score, seen)
        for name in args.recipes:
            run(args.data, name, seed, args.score, seen)
    said: dict[str, Any] = {name: _spread(rows) for name, rows in seen.items()}
    print(json.dumps(said | {"score": args.score, "published": PUBLISHED}))


def _spread(rows: list[dict[str, float]]) -> dict[str, list[float]]:
    """Metric -> mean and standard deviation over seeds."""
    values = {name: [row[name] for row in rows] for name in rows[0]}
    return {
        name: [round(float(np.mean(v)), 2), round(float(np.std(v, ddof=len(v) > 1)), 2)]
        for name, v in values.items()
    }


if __name__ == "__main__":
    main()
