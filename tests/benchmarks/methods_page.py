"""The page docs/methods.md: which method was seen to help on which data, and what it is held to."""

from __future__ import annotations

import ast
import math
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from sslsearch import registry
from sslsearch.space.fit import why_not

ORACLES = Path(__file__).parents[1] / "oracles"
OWNERS = {"lightlys": "lightly's", "authors": "the authors'", "papers": "the paper's"}
Row = dict[str, Any]

HEAD = """# Methods

Written by `python tests/benchmarks/methods.py --page` from the registry and `docs/methods/`; do not
edit. A gain is the mean, over seeds, of the test score after pretraining less that of the same
encoder untrained, in points, with its standard error; the probe, the split and the few labels are
the same. Settings were found by trying a few, so a gain says that a method works here, not by how
much it would win on other data.

## Where each was seen to help

The clearest gain of each method on each kind of data, of those measured. **Bold**: Student's 95 %
interval is above 0, which 3 seeds seldom reach. *Not better*: the mean is not above the untrained
encoder's. Empty: not measured. –: does not fit (the end of this page says why).
"""
HELD = """## What each is held against

Every method has an oracle test in `tests/oracles/`.
"""
NOT_FITTING = """## What does not fit

Read from what each method needs and what each kind of data and its encoders give.
"""


def page(record: list[Row]) -> str:
    """Markdown: the overview, a table for each kind of data, oracles, and what does not fit."""
    parts = registry.parts("pretext")
    names = [name for name, part in parts.items() if "untrained" not in part.traits]
    modalities = list(registry.parts("modality"))
    lines = [HEAD, f"| method | {' | '.join(modalities)} |", "|---" * (1 + len(modalities)) + "|"]
    for name in names:
        cells = [_cell(record, name, modality) for modality in modalities]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    for modality in modalities:
        lines += _measured([row for row in record if row["modality"] == modality], modality)
    tested = oracles()
    lines += ["", HELD, "| method | paper | held against |", "|---|---|---|"]
    lines += [f"| {n} | {parts[n].paper or '–'} | {'; '.join(tested[n]) or '–'} |" for n in names]
    lines += ["", NOT_FITTING]
    for name in names:
        reasons = {m: why_not(parts[name], m) for m in modalities}
        said = [f"{m} ({reason})" for m, reason in reasons.items() if reason]
        lines += [f"- **{name}**: not for {', '.join(said)}."] if said else []
    return "\n".join(lines) + "\n"


def _cell(record: list[Row], name: str, modality: str) -> str:
    if why_not(registry.get("pretext", name), modality):
        return "–"
    rows = [r for r in record if (r["method"], r["modality"]) == (name, modality)]
    if not rows:
        return ""
    row = max(rows, key=lambda r: (_sure(r), _gain(r)[0]))
    return _said(row) if _gain(row)[0] > 0 else f"*not better: {_said(row)}*"


def _measured(rows: list[Row], modality: str) -> list[str]:
    """The section of one kind of data; empty where nothing was measured."""
    if not rows:
        return []
    lines = ["", f"## Measured on {modality}", ""]
    lines += ["| method | data | labels | pretrained on | seeds | untrained → trained | gain |"]
    lines += ["|---|---|---|---|---|---|---|"]
    for row in rows:
        before, after = np.mean(row["before"]), np.mean(row["after"])
        metric = "" if row.get("metric", "accuracy") == "accuracy" else f" {row['metric']}"
        lines.append(
            f"| {row['method']} | {row['data']} | {row['labels']} | {row['samples']:,} samples | "
            f"{len(row['after'])} | {before:.3f} → {after:.3f}{metric} | {_said(row)} |"
        )
    notes = [f"- {row['method']} on {row['data']}: {row['note']}" for row in rows if "note" in row]
    return lines + (["", "What else was tried:", "", *notes] if notes else [])


def change(row: Row) -> str:
    """The scores before and after, and the gain."""
    before, after = np.mean(row["before"]), np.mean(row["after"])
    return f"{before:.3f} → {after:.3f}, {_said(row)} ({len(row['after'])} seeds)"


def _said(row: Row) -> str:
    gain, error = _gain(row)
    text = f"{gain:+.1f} ± {error:.1f}"
    return f"**{text}**" if _sure(row) else text


def _sure(row: Row) -> bool:
    """Is Student's 95 % interval of the gain above 0?"""
    gain, error = _gain(row)
    return bool(gain > error * stats.t.ppf(0.975, len(row["after"]) - 1))


def _gain(row: Row) -> tuple[float, float]:
    """In points: the mean over seeds and its standard error."""
    gains = 100 * (np.array(row["after"]) - np.array(row["before"]))
    return float(gains.mean()), float(gains.std(ddof=1) / math.sqrt(len(gains)))


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
