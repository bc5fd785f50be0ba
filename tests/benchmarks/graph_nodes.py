"""The literature's node recipes on Cora's public split, beside published figures and floors.

    python tests/benchmarks/graph_nodes.py --data FOLDER [RECIPE …] [--seeds 3] [--rows FILE]

FOLDER holds cora_planetoid.npz (140 training, 500 validation and 1,000 test nodes). The protocol
is the literature's: pretrained on all nodes without labels, then logistic regression on frozen
vectors of the training nodes, its penalty chosen on the validation nodes. Rows go to FILE as they
come; what is there is not measured again. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sslsearch import registry
from sslsearch.data.prepare import prepare
from sslsearch.data.samples import Samples
from sslsearch.encoders.base import Encoder
from sslsearch.probe.base import build, final_probe
from sslsearch.space import load
from sslsearch.train.embed import features
from sslsearch.train.loop import Trial
from sslsearch.values import Recipe

RECIPES = Path(__file__).parents[2] / "search_spaces" / "recipes"
CPU = torch.device("cpu")
# Linear evaluation on this split: DGI's, CCA-SSG's and GraphMAE's papers (the latter two give the
# others' too).
PUBLISHED = {"dgi": 82.3, "grace": 81.9, "bgrl": 82.7, "cca_ssg": 84.0, "graphmae": 84.2}
NODES = ("cca_ssg", "dgi", "grace", "bgrl", "graphmae", "gae", "vgae", "link_prediction")
NODES += ("attribute_prediction", "graph_language")
FLOORS = ("raw", "propagated")


class Task:
    """Cora, and how well features tell its classes."""

    def __init__(self, folder: Path, **rules: Any) -> None:
        source = f"npz:{(folder / 'cora_planetoid.npz').resolve()}"
        self.data = {"modality": "graph", "source": source, "labels": "all", **rules}
        prepared = prepare(self.data, Path.cwd())
        self.train, self.test = map(Samples.from_table, (prepared.train, prepared.test))
        self.probe = build({"name": "linear"})

    def accuracy(self, train_ND: torch.Tensor, test_ND: torch.Tensor) -> dict[str, float]:
        """Of validation (which has chosen the penalty) and test, in percent."""
        label_N, judging_N = self.train.labels_N[self.train.labelled], self.train.judging
        assert judging_N is not None
        fitted = final_probe(self.probe, train_ND, label_N, judging_N)
        sides = {
            "val": (train_ND[judging_N], label_N[judging_N]),
            "test": (test_ND, self.test.labels_N),
        }
        seen = {side: fitted.score(*rows).values["accuracy"] for side, rows in sides.items()}
        return {side: round(100 * value, 2) for side, value in seen.items()}

    def of(self, encoder: Encoder) -> dict[str, float]:
        rows = torch.arange(len(self.test))
        return self.accuracy(
            features(encoder, self.train, self.train.labelled, CPU),
            features(encoder, self.test, rows, CPU),
        )


def floor(task: Task, name: str) -> dict[str, Any]:
    made = registry.get("floor", name).bind({})(task.train, task.test, 0, {})
    return {"recipe": name, "seed": 0, "trained": task.accuracy(made.train_ND, made.test_ND)}


def run(folder: Path, name: str, seed: int) -> dict[str, Any]:
    recipe = load(RECIPES / f"{name}_graph.yaml").default()
    task = Task(folder, normalise=recipe["data"]["normalise"])
    probe = {"name": "linear", "knobs": {}, "watch": [], "judge_by": "accuracy"}
    recipe = Recipe({**recipe.body, "data": task.data, "probe": probe})
    trial = Trial(recipe, task.train, seed, CPU, [recipe["fidelity"]["last"]])
    untrained, started = task.of(trial.objective.encoder), time.process_time()
    report = trial.advance()
    if report.status != "ok":
        raise RuntimeError(f"{name}: {report.status} {report.message}")
    return {
        "recipe": name,
        "seed": seed,
        "epochs": round(report.samples_seen / len(task.train)),
        "untrained": untrained,
        "trained": task.of(trial.objective.encoder),
        "cpu_seconds": round(time.process_time() - started, 1),
    }


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    said = {}
    for name in dict.fromkeys(row["recipe"] for row in rows):
        mine = [row for row in rows if row["recipe"] == name]
        said[name] = {
            state: {side: _spread([row[state][side] for row in mine]) for side in ("val", "test")}
            for state in ("untrained", "trained")
            if state in mine[0]
        } | {"seeds": len(mine), "published": PUBLISHED.get(name)}
    return said


def _spread(values: list[float]) -> list[float]:
    """Mean and standard deviation over seeds."""
    return [round(float(np.mean(values)), 2), round(float(np.std(values, ddof=len(values) > 1)), 2)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("recipes", nargs="*", default=[*FLOORS, *NODES])
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", type=Path, default=Path("graph_nodes.jsonl"), metavar="FILE")
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = [json.loads(line) for line in args.rows.open()] if args.rows.exists() else []
    done = {(row["recipe"], row["seed"]) for row in rows}
    for seed in range(args.seeds):
        for name in args.recipes:
            if (name, seed) in done or (name in FLOORS and seed):
                continue
            row = floor(Task(args.data), name) if name in FLOORS else run(args.data, name, seed)
            rows.append(row)
            with args.rows.open("a") as file:
                file.write(json.dumps(row) + "\n")
            print(row, flush=True)
    print(json.dumps(summary(rows)))


if __name__ == "__main__":
    main()
