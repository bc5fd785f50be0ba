"""Where self-supervision wins on tables and where boosting does: Adult and phoneme, 1 to 100 %.

    python tests/benchmarks/tabular.py --data FOLDER --out ROWS.jsonl --seconds 1800
    python tests/benchmarks/tabular.py --out ROWS.jsonl --table

FOLDER holds adult.parquet (label `income`, with its split: 32,561 training and 16,281 test rows)
and phoneme.parquet (5,404 rows, of which each seed draws 70 % to learn from). Each recipe of the
literature is pretrained on all training rows for as many samples as it says (or --seen), and judged
on the test rows by ridge regression on frozen features of the labelled ones (its penalty by
leave-one-out: on features as these within a hair of the logistic regression of a study's end, and a
tenth of its time); so is its encoder before pretraining. A seed draws weights, labels and, of
phoneme, the split. Lines that are in ROWS already are not run again, so that it can be cut off and
go on. The last line is the result as JSON. The second form prints ROWS as Markdown tables.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import stats

from sslsearch import registry
from sslsearch.data.prepare import prepare
from sslsearch.data.samples import Samples
from sslsearch.encoders.base import Encoder
from sslsearch.probe.base import score_predictions
from sslsearch.probe.linear import Linear
from sslsearch.space import load
from sslsearch.space.shipped import FOLDER
from sslsearch.train.embed import features
from sslsearch.train.loop import Trial

Case = tuple[Samples, Samples]  # training and test
Cell = tuple[str, str]  # a set and the share of its labels
CPU = torch.device("cpu")
SETS = {"adult": {"label": "income"}, "phoneme": {}}
SHARES = ("1%", "10%", "100%")
RECIPES = ("scarf", "vime", "subtab", "mae", "simclr", "latent_noise")
FLOORS = ("majority", "logistic", "boosting", "untrained")
SEEN = 54_000  # samples, what the recipes say


def main() -> None:
    args = _arguments().parse_args()
    torch.set_num_threads(1)
    if not args.table:
        run(args)
    rows = _rows(args.out)
    print(tables(rows))
    print(json.dumps(summary(rows)))


def run(args: argparse.Namespace) -> None:
    """Measure what is not yet, until the time is up."""
    known = {json.dumps(row["key"]) for row in _rows(args.out)}
    until = time.monotonic() + args.seconds
    for seed in range(args.seeds):
        for name in args.set:
            cases: list[Case] = []
            for who in args.who:
                run_of = who if who in FLOORS or args.seen == SEEN else f"{who} {args.seen:,}"
                keys = [[name, share, run_of, seed] for share in SHARES]
                if all(json.dumps(key) in known for key in keys):
                    continue
                if time.monotonic() > until:
                    return
                cases = cases or [draw(args.data, name, share, seed) for share in SHARES]
                started = time.monotonic()
                found = measure(who, cases, seed, args.seen)
                rows = [{"key": key, **said} for key, said in zip(keys, found, strict=True)]
                with args.out.open("a", encoding="utf-8") as file:
                    file.writelines(json.dumps(row) + "\n" for row in rows)
                print(name, seed, run_of, found, f"{time.monotonic() - started:.1f} s", flush=True)


def draw(folder: Path, name: str, share: str, seed: int) -> Case:
    """Training and test rows; which labels may be seen, and the split of phoneme, by the seed."""
    data: dict[str, Any] = {
        "modality": "tabular",
        "source": f"parquet:{folder.resolve() / name}.parquet",
        "labels": "all" if share == "100%" else share,
        "columns": SETS[name],
        "seed": seed,
    }
    done = prepare(data, Path.cwd())
    return Samples.from_table(done.train), Samples.from_table(done.test)


def measure(who: str, cases: list[Case], seed: int, seen: int) -> list[dict[str, float]]:
    """Test accuracy of a recipe or a floor, for each number of labels of one pool."""
    if who in FLOORS:
        return [{"accuracy": _floor(who, *case, seed)} for case in cases]
    recipe = load(FOLDER / "recipes" / f"{who}_tabular.yaml").default()
    trial = Trial(recipe, cases[0][0], seed, CPU, [seen])
    before = _judged(trial.objective.encoder, cases)
    assert trial.train_to(trial.steps), "the loss is not finite"
    after = _judged(trial.objective.encoder, cases)
    return [{"accuracy": a, "untrained": b} for a, b in zip(after, before, strict=True)]


def _judged(encoder: Encoder, cases: list[Case]) -> list[float]:
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


def interval(values: list[float]) -> float:
    """Half of Student's 95 % interval of the mean."""
    if len(values) < 2:
        return float("nan")
    spread = np.std(values, ddof=1) / np.sqrt(len(values))
    return float(spread * stats.t.ppf(0.975, len(values) - 1))


def collected(rows: list[dict[str, Any]], what: str) -> dict[Cell, dict[str, dict[int, float]]]:
    """(set, share) -> who -> seed -> percent: the accuracy, or the gain over the same untrained."""
    found: dict[Cell, dict[str, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    for row in rows:
        name, share, who, seed = row["key"]
        if what == "accuracy":
            found[name, share][who][seed] = 100 * row["accuracy"]
        elif "untrained" in row:
            found[name, share][who][seed] = 100 * (row["accuracy"] - row["untrained"])
    return found


def tables(rows: list[dict[str, Any]]) -> str:
    """Accuracy; bold = the best of a column and all that its interval does not tell from it. Then
    what pretraining adds to the same encoder; bold = the interval is above 0."""
    accuracy, gain = (collected(rows, what) for what in ("accuracy", "gain"))

    def ties(case: Cell, runs: dict[int, float]) -> bool:
        of = accuracy[case]
        best = max(of.values(), key=lambda other: float(np.mean(list(other.values()))))
        apart = [best[seed] - value for seed, value in runs.items() if seed in best]
        return bool(np.mean(apart) <= max(interval(apart), 0.0)) if best is not runs else True

    def above(case: Cell, runs: dict[int, float]) -> bool:
        return bool(np.mean(list(runs.values())) > interval(list(runs.values())))

    return _table(accuracy, ties, "{:.1f}") + "\n\n" + _table(gain, above, "{:+.1f}")


def _table(found: dict[Cell, dict[str, dict[int, float]]], bold: Any, form: str) -> str:
    cases = [(name, share) for name in SETS for share in SHARES if (name, share) in found]
    names = list(dict.fromkeys(who for case in cases for who in found[case]))
    lines = [
        "| | " + " | ".join(f"{name} {share}" for name, share in cases) + " |",
        "|---" * (len(cases) + 1) + "|",
    ]
    for who in names:
        cells = []
        for case in cases:
            runs = found[case].get(who, {})
            values = list(runs.values())
            text = f"{form.format(np.mean(values))} ± {interval(values):.1f}" if values else ""
            cells.append(f"**{text}**" if runs and bold(case, runs) else text)
        lines.append(f"| {who} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Set and share -> who -> mean accuracy in percent, half its interval, seeds."""
    return {
        " ".join(case): {
            who: [round(float(np.mean(v)), 2), round(interval(v), 2), len(v)]
            for who, v in ((who, list(runs.values())) for who, runs in of.items())
        }
        for case, of in collected(rows, "accuracy").items()
    }


def _rows(path: Path) -> list[dict[str, Any]]:
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [json.loads(line) for line in lines]


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="the folder that holds the two files")
    parser.add_argument("--out", type=Path, required=True, help="where lines are added")
    parser.add_argument("--set", nargs="+", default=list(SETS), choices=SETS)
    parser.add_argument("--who", nargs="+", default=[*FLOORS, *RECIPES])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--seen", type=int, default=SEEN, help="samples to pretrain on")
    parser.add_argument("--seconds", type=float, default=1800.0, help="begin nothing after")
    parser.add_argument("--table", action="store_true", help="print what was measured")
    return parser


if __name__ == "__main__":
    main()
