"""Does each method beat its untrained encoder on real data? The page docs/methods.md.

    python tests/benchmarks/methods.py                  measure what is not yet, and write the page
    python tests/benchmarks/methods.py METHOD …         measure these (again)
    python tests/benchmarks/methods.py --only tabular    of these kinds of data
    python tests/benchmarks/methods.py --page           write the page anew from what was measured

A case (method_cases/, a file for each kind of data) is one method on one data set, with settings
that were found by trying a few. Each seed draws an encoder, fits the probe on its features before
and after pretraining, and scores both on the test split; the gain is the difference. What was
measured is in docs/methods/, a file for each kind of data. Cases on data that no dependency ships
are measured where `--data FOLDER` holds them.
"""

from __future__ import annotations

import argparse
import importlib
import json
from pathlib import Path
from typing import Any

import methods_page
import torch
from method_cases.case import Case

from sslsearch import registry
from sslsearch.data.prepare import prepare
from sslsearch.data.samples import Samples
from sslsearch.encoders.base import Encoder
from sslsearch.probe.base import build, final_probe
from sslsearch.train.embed import features
from sslsearch.train.loop import Trial

ROOT = Path(__file__).parents[2]
PAGE, RECORDS = ROOT / "docs" / "methods.md", ROOT / "docs" / "methods"
CPU = torch.device("cpu")


def cases() -> list[Case]:
    """Those of every file in method_cases/."""
    files = sorted((Path(__file__).parent / "method_cases").glob("*.py"))
    made = [importlib.import_module(f"method_cases.{file.stem}") for file in files]
    return [case for module in made for case in getattr(module, "CASES", ())]


def record() -> list[dict[str, Any]]:
    """What was measured, by kind of data."""
    return [row for file in sorted(RECORDS.glob("*.json")) for row in json.loads(file.read_text())]


def remember(row: dict[str, Any]) -> None:
    file = RECORDS / f"{row['modality']}.json"
    rows = json.loads(file.read_text()) if file.exists() else []
    rows = sorted([*(r for r in rows if key(r) != key(row)), row], key=key)
    lines = ",\n ".join(json.dumps(r, ensure_ascii=False) for r in rows)
    file.write_text(f"[\n {lines}\n]\n", encoding="utf-8")


def measure(case: Case, folder: Path | None = None) -> dict[str, Any]:
    """The metric on the test split before and after pretraining, one pair per seed."""
    before, after = [], []
    for seed in range(case.seeds):
        data = {**case.data, **({"seed": seed} if case.redraw else {})}
        prepared = prepare(data, folder or Path.cwd())
        train, test = Samples.from_table(prepared.train), Samples.from_table(prepared.test)
        trial = Trial(case.recipe(), train, seed, CPU, [case.seen])
        before.append(_score(case, trial.objective.encoder, train, test))
        report = trial.advance()
        if report.status != "ok":
            raise RuntimeError(f"{case.method}: {report.status} {report.message}")
        after.append(_score(case, trial.objective.encoder, train, test))
    row = {
        **dict(zip(("method", "modality", "data"), case.key, strict=True)),
        "labels": case.data.get("labels", "all"),
        "samples": case.seen,
        "metric": case.metric,
        "before": [round(value, 4) for value in before],
        "after": [round(value, 4) for value in after],
    }
    return row | ({"note": case.note} if case.note else {})


def _score(case: Case, encoder: Encoder, train: Samples, test: Samples) -> float:
    probe = build(case.probe)
    train = train.showing(probe.rows(train))
    seen_ND = features(encoder, train, train.labelled, CPU, probe)
    truth_N = probe.truth(train, train.labelled, train)
    fitted = final_probe(probe, seen_ND, truth_N, train.judging)
    rows = torch.arange(len(test))
    scores = fitted.score(features(encoder, test, rows, CPU, probe), probe.truth(test, rows, train))
    return float(scores.values[case.metric])


def key(row: dict[str, Any]) -> tuple[str, str, str]:
    return row["method"], row["modality"], row["data"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("methods", nargs="*", help="measure these again")
    parser.add_argument("--only", nargs="+", choices=registry.parts("modality"), metavar="DATA")
    parser.add_argument("--data", type=Path, help="the folder that holds what is not shipped")
    parser.add_argument("--page", action="store_true", help="measure nothing")
    args = parser.parse_args()
    done = {key(row) for row in record()}
    for case in [] if args.page else cases():
        wanted = case.method in args.methods if args.methods else case.key not in done
        there = case.file is None or (args.data is not None and (args.data / case.file).exists())
        if wanted and there and (not args.only or case.key[1] in args.only):
            row = measure(case, args.data)
            print(" on ".join(row[k] for k in ("method", "data")), methods_page.change(row))
            remember(row)
    PAGE.write_text(methods_page.page(record()), encoding="utf-8")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
