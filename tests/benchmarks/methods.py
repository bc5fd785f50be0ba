"""Does each method beat its untrained encoder on real data? The page docs/methods.md.

    python tests/benchmarks/methods.py                measure what is not yet, and write the page
    python tests/benchmarks/methods.py METHOD …       measure these (again)
    python tests/benchmarks/methods.py --page         write the page anew from what was measured

A case is one method on one data set that a dependency ships, with settings that were found by
trying a few. Each seed draws an encoder, fits the probe on its features before and after
pretraining, and scores both on the test split; the gain is the difference. docs/methods.json
holds what was measured.
"""

from __future__ import annotations

import argparse
import ast
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sslsearch import registry
from sslsearch.data.prepare import prepare
from sslsearch.data.samples import Samples
from sslsearch.encoders.base import Encoder
from sslsearch.space.fit import why_not
from sslsearch.train.embed import features
from sslsearch.train.loop import Trial
from sslsearch.values import Recipe

ROOT = Path(__file__).parents[2]
PAGE, RECORD = ROOT / "docs" / "methods.md", ROOT / "docs" / "methods.json"
ORACLES = ROOT / "tests" / "oracles"
CPU = torch.device("cpu")
SEEDS = 3
OWNERS = {"lightlys": "lightly's", "authors": "the authors'", "papers": "the paper's"}

CROP = {"crop_resize": {"keep": 0.6}, "jitter": {"sigma": 0.1}}
SHIFT = {"frequency_mask": {"ratio": 0.5}, "time_shift": {"ratio": 0.5}}
WARP = {"time_warp": {"sigma": 0.2}}
NOISE = {"jitter": {"sigma": 0.05}}
WIDE = {"conv1d": {"depth": 3, "width": 128, "stride": 8, "pool": "mean_max"}}
FINE = {"conv1d": {"depth": 3, "width": 64, "stride": 1, "pool": "mean_max"}}
STEPS = {"conv1d": {"depth": 3, "width": 64, "stride": 4, "pool": "mean_max"}}
QUEUE = {"queue": 128, "momentum": 0.9}
KEYS = {"temperature": 0.2, "momentum": 0.9}
SMALL_HEAD = {"prototypes": 64, "bottleneck": 64, "momentum": 0.9}
PREDICTOR = {"predictor_depth": 1, "predictor_width": 64, "momentum": 0.95}
SPAN = {"span": {"ratio": 0.5, "length": 3}}


def series(name: str, labels: int) -> dict[str, Any]:
    return {"modality": "timeseries", "source": f"aeon:{name}", "labels": f"{labels} per class"}


LEAF, POWER = series("OSULeaf", 10), series("ItalyPowerDemand", 5)
MOTIONS, GUN = series("BasicMotions", 2), series("GunPoint", 5)


@dataclass(frozen=True)
class Case:
    """One method on one data set."""

    method: str
    knobs: dict[str, Any]
    data: dict[str, Any]
    encoder: dict[str, Any]
    augment: dict[str, Any] = field(default_factory=dict)
    seen: int = 2400
    lr: float = 3e-3
    lost: bool = False  # measured and shown, though no better than untrained

    @property
    def key(self) -> tuple[str, str, str]:
        return self.method, self.data["modality"], self.data["source"].partition(":")[2]

    def recipe(self) -> Recipe:
        optim = {"batch_size": 16, "lr": self.lr, "weight_decay": 1e-4, "warmup": 0.05}
        return Recipe(
            {
                "data": self.data,
                "encoder": self.encoder,
                "pretext": {self.method: self.knobs},
                "augment": self.augment,
                "optim": {**optim, "lr_scaling": "sqrt"},
                "probe": {"name": "linear", "watch": [], "judge_by": "r2"},
            }
        )


CASES = [
    Case("simclr", {"temperature": 0.2}, LEAF, WIDE, SHIFT, 3600),
    Case("ts2vec", {}, LEAF, WIDE, WARP, 3600),
    Case("byol", {}, POWER, FINE, CROP),
    Case("vicreg", {"expander": 1.0}, POWER, FINE, CROP),
    Case("mae", {"masking": SPAN}, MOTIONS, STEPS),
    Case("cpc", {}, MOTIONS, STEPS, NOISE),
    Case("moco", QUEUE, MOTIONS, STEPS, CROP),
    Case("moco_v3", KEYS, MOTIONS, STEPS, CROP),
    Case("simsiam", {}, MOTIONS, STEPS, CROP),
    Case("dino", SMALL_HEAD, MOTIONS, STEPS, CROP),
    Case("tnc", {"windows": 3, "near": 0.25}, POWER, FINE, lost=True),
    Case("tnc", {"windows": 3, "near": 0.3}, MOTIONS, STEPS, NOISE, lost=True),
    Case("tnc", {"windows": 3, "near": 0.1, "debias": 0.3}, GUN, STEPS, {}, 1600),
    Case("barlow_twins", {"projector": 1.0}, POWER, FINE, CROP),
    Case("ijepa", PREDICTOR, MOTIONS, STEPS),
    Case("simmim", {}, MOTIONS, STEPS),
    Case("autoregressive", {}, MOTIONS, STEPS),
    Case("transform_prediction", {}, MOTIONS, STEPS),
]


def measure(case: Case, seeds: int = SEEDS) -> dict[str, Any]:
    """Test accuracy of the probe before and after pretraining, one pair per seed."""
    prepared = prepare(case.data, Path.cwd())
    train, test = Samples.from_table(prepared.train), Samples.from_table(prepared.test)
    probe = registry.get("probe", "linear").bind({})()

    def accuracy(model: Encoder) -> float:
        fitted = probe.final(
            features(model, train, train.labelled, CPU), train.labels_N[train.labelled]
        )
        scores = fitted.score(features(model, test, torch.arange(len(test)), CPU), test.labels_N)
        return float(scores.values["accuracy"])

    before, after = [], []
    for seed in range(seeds):
        trial = Trial(case.recipe(), train, seed, CPU, [case.seen])
        before.append(accuracy(trial.objective.encoder))
        report = trial.advance()
        if report.status != "ok":
            raise RuntimeError(f"{case.method}: {report.status} {report.message}")
        after.append(accuracy(trial.objective.encoder))
    return {
        **dict(zip(("method", "modality", "data"), case.key, strict=True)),
        "labels": case.data["labels"],
        "samples": case.seen,
        "before": [round(value, 4) for value in before],
        "after": [round(value, 4) for value in after],
    }


def oracles() -> dict[str, list[str]]:
    """Method -> the oracle tests named after it: test_METHOD_is_… -> "is …"."""
    names = sorted(registry.parts("pretext"), key=len, reverse=True)
    found: dict[str, list[str]] = {name: [] for name in names}
    for file in sorted(ORACLES.glob("test_*.py")):
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef):
                word = node.name.removeprefix("test_") + "_"
                owner = next((n for n in names if word.startswith(f"{n}_")), None)
                if owner:
                    said = word.removeprefix(owner).strip("_").replace("_", " ")
                    found[owner].append(" ".join(OWNERS.get(w, w) for w in said.split()))
    return found


def page(record: list[dict[str, Any]]) -> str:
    """docs/methods.md: a row for each method and kind of data that it can be used on."""
    modalities = list(registry.parts("modality"))
    tested = oracles()
    lines = [
        HEAD,
        "| method | data | paper | held against | seen on | untrained → trained | gain |",
    ]
    lines.append("|---|---|---|---|---|---|---|")
    for name, part in registry.parts("pretext").items():
        if "untrained" in part.traits:
            continue
        for modality in modalities:
            if why_not(part, modality):
                continue
            rows = [r for r in record if (r["method"], r["modality"]) == (name, modality)]
            seen = _seen(max(rows, key=_gain)) if rows else "not measured | |"
            held = "; ".join(tested[name]) or "–"
            paper = part.paper or "–"
            lines.append(f"| {name} | {modality} | {paper} | {held} | {seen} |")
    lines += ["", NOT_FITTING, ""]
    for name, part in registry.parts("pretext").items():
        reasons = {m: why_not(part, m) for m in modalities}
        said = [f"{m} ({reason})" for m, reason in reasons.items() if reason]
        if said:
            lines.append(f"- **{name}**: not for {', '.join(said)}.")
    if lines[-1] == "":
        lines.append("All fit all.")
    lines += ["", LOST, ""]
    lost = [r for r in record if _gain(r) <= 0]
    lines += [f"- {r['method']} on {_where(r)}: {_change(r)}." for r in lost] or ["None."]
    return "\n".join(lines) + "\n"


HEAD = """# Methods

Written by `python tests/benchmarks/methods.py --page` from the registry and `docs/methods.json`; do
not edit. A gain is the mean, over seeds, of test accuracy after pretraining less that of the same
encoder untrained, in points, with its standard error; the probe, the split and the few labels are
the same. Settings were found by trying a few, so a gain says that a method works here, not by how
much it would win on other data. What was measured and lost is at the end.
"""
NOT_FITTING = """## What does not fit

Read from what each method needs and what each kind of data and its encoders give.
"""
LOST = """## Measured, and no better than untrained
"""


def _gain(row: dict[str, Any]) -> float:
    return float(np.mean(row["after"]) - np.mean(row["before"]))


def _where(row: dict[str, Any]) -> str:
    return f"{row['data']}, {row['labels']}, {row['samples']:,} samples"


def _change(row: dict[str, Any]) -> str:
    gains = 100 * (np.array(row["after"]) - np.array(row["before"]))
    error = gains.std(ddof=1) / math.sqrt(len(gains))
    before, after = np.mean(row["before"]), np.mean(row["after"])
    return f"{before:.3f} → {after:.3f}, {gains.mean():+.1f} ± {error:.1f} ({len(gains)} seeds)"


def _seen(row: dict[str, Any]) -> str:
    scores, _, gain = _change(row).partition(", ")
    verdict = gain if _gain(row) > 0 else f"{gain}: **not better**"
    return f"{_where(row)} | {scores} | {verdict}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("methods", nargs="*", help="measure these again")
    parser.add_argument("--page", action="store_true", help="measure nothing")
    args = parser.parse_args()
    record = json.loads(RECORD.read_text()) if RECORD.exists() else []
    for case in [] if args.page else CASES:
        done = case.key in {_key(row) for row in record}
        if case.method not in args.methods if args.methods else done:
            continue
        row = measure(case)
        print(f"{row['method']} on {_where(row)}: {_change(row)}", flush=True)
        keep = [r for r in record if _key(r) != _key(row)]
        record = sorted([*keep, row], key=_key)
        RECORD.write_text(json.dumps(record, indent=1) + "\n")
    PAGE.write_text(page(record), encoding="utf-8")


def _key(row: dict[str, Any]) -> tuple[str, str, str]:
    return row["method"], row["modality"], row["data"]


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
