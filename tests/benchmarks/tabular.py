"""Where self-supervision wins on tables and where boosting does: Adult and phoneme, 1 to 100 %.

    python tests/benchmarks/tabular.py --data FOLDER --out ROWS.jsonl --seconds 240
    python tests/benchmarks/tabular.py --out ROWS.jsonl --table

FOLDER holds adult.parquet (label `income`, with its split) and phoneme.parquet. Each recipe of the
literature is pretrained on all training rows (Adult: 5,000 of them, drawn anew by each seed, and
5,000 of its test split; phoneme: 70 % of the rows) for 18,000 samples, a third of what it says, and
judged by ridge regression on frozen features of the labelled rows (its penalty by leave-one-out:
on features as these within a hair of the logistic regression of a study's end, and a tenth of its
time). Lines that are in ROWS already are not run again, so that it can be run in
slices. The last form prints ROWS as a Markdown table.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from sslsearch import registry
from sslsearch.data.prepare import prepare
from sslsearch.data.samples import Samples
from sslsearch.probe.base import score_predictions
from sslsearch.probe.linear import Linear
from sslsearch.space import load
from sslsearch.space.literature import FOLDER
from sslsearch.train.embed import features
from sslsearch.train.loop import Trial

Case = tuple[Samples, Samples]  # training and test
CPU = torch.device("cpu")
POOL = 5_000  # training rows of Adult that a seed sees, and test rows
SETS = {"adult": {"label": "income"}, "phoneme": {}}
SHARES = ("1%", "10%", "100%")
RECIPES = ("scarf", "vime", "subtab", "mae", "simclr", "latent_noise")
FLOORS = ("majority", "logistic", "boosting", "untrained")
SEEN = 18_000  # samples, in place of the recipes' 54,000


def main() -> None:
    args = _arguments().parse_args()
    torch.set_num_threads(1)
    known = {json.dumps(row["key"]) for row in _rows(args.out)}
    if args.table:
        print(table(_rows(args.out)))
        return
    until = time.monotonic() + args.seconds
    for seed in range(args.seeds):
        for name in args.set:
            cases: list[Case] = []
            for who in args.who:
                keys = {share: [name, share, who, seed] for share in SHARES}
                if all(json.dumps(key) in known for key in keys.values()):
                    continue
                if time.monotonic() > until:
                    return
                cases = cases or [draw(args.data, name, share, seed) for share in SHARES]
                started = time.monotonic()
                found = dict(zip(SHARES, measure(who, cases, seed), strict=True))
                rows = [{"key": key, "accuracy": found[share]} for share, key in keys.items()]
                with args.out.open("a", encoding="utf-8") as file:
                    file.writelines(json.dumps(row) + "\n" for row in rows)
                print(name, seed, who, found, f"{time.monotonic() - started:.1f} s", flush=True)


def draw(folder: Path, name: str, share: str, seed: int) -> Case:
    """Training and test rows: the split (of Adult the pool), labels drawn by the seed."""
    path = folder / f"{name}.parquet"
    data: dict[str, Any] = {
        "modality": "tabular",
        "source": f"parquet:{path}",
        "labels": "all" if share == "100%" else share,
        "columns": SETS[name],
        "seed": seed,
    }
    if name == "adult":
        data["source"] = f"parquet:{_smaller(path, seed)}"
    done = prepare(data, Path.cwd())
    return Samples.from_table(done.train), Samples.from_table(done.test)


def _smaller(path: Path, seed: int) -> Path:
    """A copy with POOL rows of each split."""
    table = pq.read_table(path)
    split_N = np.array(table["split"].to_pylist())
    rng, splits = np.random.default_rng(seed), ("train", "test")
    drawn = [rng.permutation(np.flatnonzero(split_N == word))[:POOL] for word in splits]
    rows = np.sort(np.concatenate(drawn))
    to = Path("/tmp") / f"sslsearch-{path.stem}-{seed}.parquet"
    pq.write_table(table.take(pa.array(rows)), to)
    return to


def measure(who: str, cases: list[Case], seed: int) -> list[float]:
    """Test accuracy of a recipe or a floor, for each number of labels of one pool."""
    if who in FLOORS:
        return [_floor(who, *case, seed) for case in cases]
    recipe = load(FOLDER / f"{who}_tabular.yaml").default()
    trial = Trial(recipe, cases[0][0], seed, CPU, [SEEN])
    assert trial._train_to(trial.steps, []), "the loss is not finite"
    encoder = trial.objective.encoder
    pool, test = cases[0]
    every_ND = features(encoder, pool, torch.arange(len(pool)), CPU)
    test_ND = features(encoder, test, torch.arange(len(test)), CPU)
    return [_probed(every_ND[train.labelled], test_ND, train, test) for train, _ in cases]


def _floor(who: str, train: Samples, test: Samples, seed: int) -> float:
    encoder = {"table_resnet": {"depth": 2, "width": 192, "hidden": 2.0}}
    made = registry.bind("floor", {who: {}})(train, test, seed, encoder)
    if not made.predicts:
        return _probed(made.train_ND, made.test_ND, train, test)
    classes = torch.unique(train.labels_N[train.labelled]).tolist()
    return _accuracy(np.asarray(made.test_ND, float), classes, test.labels_N)


def _probed(left_ND: torch.Tensor, right_ND: torch.Tensor, train: Samples, test: Samples) -> float:
    fitted = Linear(head="ridge").final(left_ND, train.labels_N[train.labelled])
    return _accuracy(fitted.predict_proba(right_ND), fitted.classes, test.labels_N)


def _accuracy(proba_NK: Any, classes: list[int], labels_N: torch.Tensor) -> float:
    return float(score_predictions(proba_NK, classes, labels_N).values["accuracy"])


def table(rows: Iterator[dict[str, Any]]) -> str:
    """Mean and standard deviation over seeds, in percent; the best of a column is bold."""
    found: dict[tuple[str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        name, share, who, _ = row["key"]
        found[name, share][who].append(100 * row["accuracy"])
    cases = [(name, share) for name in SETS for share in SHARES if (name, share) in found]
    best = {case: max(np.mean(runs) for runs in found[case].values()) for case in cases}
    lines = [
        "| | " + " | ".join(f"{name} {share}" for name, share in cases) + " |",
        "|---" * (len(cases) + 1) + "|",
    ]
    for who in (*FLOORS, *RECIPES):
        cells = []
        for case in cases:
            runs = found[case].get(who)
            text = "" if not runs else f"{np.mean(runs):.1f} ± {np.std(runs):.1f}"
            cells.append(f"**{text}**" if runs and np.mean(runs) == best[case] else text)
        lines.append(f"| {who} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    if path.exists():
        yield from map(json.loads, path.read_text(encoding="utf-8").splitlines())


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="the folder that holds the two files")
    parser.add_argument("--out", type=Path, required=True, help="where lines are added")
    parser.add_argument("--set", nargs="+", default=list(SETS), choices=SETS)
    parser.add_argument("--who", nargs="+", default=[*FLOORS, *RECIPES])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=240.0, help="begin nothing after")
    parser.add_argument("--table", action="store_true", help="print what was measured")
    return parser


if __name__ == "__main__":
    main()
