"""InfoGraph and GraphCL on MUTAG and NCI1 by the literature's protocol: 10-fold accuracy.

    python tests/benchmarks/graph_folds.py --data FOLDER [--sets MUTAG NCI1] [--seeds 3]
        [--minutes 10] [--epochs 20]

FOLDER holds MUTAG.txt and NCI1.txt. An encoder is pretrained on all graphs without labels; ridge
regression on its frozen vectors, its penalty chosen within the training folds by leave-one-out
(the papers have a support vector machine), is judged by ten stratified folds, whose mean is one
seed's accuracy. Beside it: the same encoder untrained, and counts of tags, nodes and edges (`raw`).
A run that has used its minutes ends after the method in hand. The last line is JSON: percent, mean
and standard deviation over seeds.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold

from sslsearch.data.prepare import prepare
from sslsearch.data.samples import Samples
from sslsearch.probe.linear import Linear
from sslsearch.space import load
from sslsearch.train.embed import features
from sslsearch.train.loop import Trial
from sslsearch.values import Recipe

RECIPES = Path(__file__).parents[2] / "search_spaces" / "recipes"
CPU = torch.device("cpu")
METHODS = ("infograph", "graphcl")
FOLDS = 10
# Accuracy in percent, mean of five runs, from the papers (NCI1 of InfoGraph: from GraphCL's).
PUBLISHED = {
    "infograph": {"MUTAG": 89.0, "NCI1": 76.2},
    "graphcl": {"MUTAG": 86.8, "NCI1": 77.9},
}


def graphs(folder: Path, name: str) -> tuple[Samples, NDArray[np.int64]]:
    """All graphs in one table, without labels, and the labels."""
    source = f"txt:{(folder / f'{name}.txt').resolve()}"
    data = {"modality": "graph", "source": source, "normalise": "none", "test": 0.01}
    prepared = prepare(data, Path.cwd())
    whole = pa.concat_tables([prepared.train, prepared.test]).combine_chunks()
    samples = Samples.from_table(whole.replace_schema_metadata(prepared.train.schema.metadata))
    return samples, samples.labels_N.numpy()


def folds(x_ND: torch.Tensor, label_N: NDArray[np.int64], seed: int) -> float:
    """Mean accuracy over folds, in percent."""
    seen = []
    for fit, judge in StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(x_ND, label_N):
        fitted = Linear(head="ridge").final(x_ND[fit], torch.from_numpy(label_N[fit]))
        scores = fitted.score(x_ND[judge], torch.from_numpy(label_N[judge]))
        seen.append(scores.values["accuracy"])
    return 100 * float(np.mean(seen))


def run(samples: Samples, label_N: NDArray[np.int64], name: str, seed: int, epochs: int) -> Any:
    """(untrained, trained) accuracy."""
    recipe = load(RECIPES / f"{name}_graph.yaml").default()
    probe = {"name": "linear", "knobs": {}, "watch": [], "judge_by": "r2"}
    recipe = Recipe({**recipe.body, "probe": probe})
    trial = Trial(recipe, samples, seed, CPU, [epochs * len(samples)])
    every = torch.arange(len(samples))
    before = folds(features(trial.objective.encoder, samples, every, CPU), label_N, seed)
    report = trial.advance()
    if report.status != "ok":
        raise RuntimeError(f"{name}: {report.status} {report.message}")
    return before, folds(features(trial.objective.encoder, samples, every, CPU), label_N, seed)


def measure(folder: Path, name: str, seeds: int, epochs: int, until: float) -> dict[str, Any]:
    samples, label_N = graphs(folder, name)
    every = torch.arange(len(samples))
    flat_ND = samples.modality.flat(samples.batch(every, CPU), samples.spec)
    seen: dict[str, list[float]] = {"raw": [folds(flat_ND, label_N, s) for s in range(seeds)]}
    for seed in range(seeds):
        for method in METHODS:
            if time.monotonic() > until:
                break
            before, after = run(samples, label_N, method, seed, epochs)
            if method == METHODS[0]:
                seen.setdefault("untrained", []).append(before)
            seen.setdefault(method, []).append(after)
            print(name, seed, method, f"{before:.1f} -> {after:.1f}", flush=True)
    said = {"graphs": len(samples), "epochs": epochs, "published": {}}
    said["published"] = {m: PUBLISHED[m].get(name) for m in METHODS}
    return said | {
        method: {
            "mean": round(float(np.mean(values)), 2),
            "sd": round(float(np.std(values, ddof=len(values) > 1)), 2),
            "seeds": len(values),
        }
        for method, values in seen.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--sets", nargs="+", default=["MUTAG", "NCI1"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=10.0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    until = time.monotonic() + 60 * args.minutes
    said = {s: measure(args.data, s, args.seeds, args.epochs, until) for s in args.sets}
    print(json.dumps(said))


if __name__ == "__main__":
    main()
