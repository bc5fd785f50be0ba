"""What a study has cost, by pretext, status and stage, and what early stopping saved and risked."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from sslsearch.search.record import WAIT, Row

FEWEST_PAIRS = 4  # trials that must have reached both rungs before ranks are compared


def cost(rows: Sequence[Row], device: str, devices: float) -> dict[str, Any]:
    """Device-hours of all trials and finalists' runs, as plain values.

    Args:
        device: GPU or CPU: what is counted.
        devices: how many of them one run holds.

    `overhead_fraction` is the share of waiting: start-up, messages, Tune and the log.
    """
    hours = devices / 3600

    def grouped(key: Callable[[Row], str]) -> dict[str, float]:
        groups: dict[str, float] = defaultdict(float)
        for row in rows:
            groups[key(row)] += sum(row.stages.values()) * hours
        return dict(groups)

    stages: dict[str, float] = defaultdict(float)
    for row in rows:
        for stage, seconds in row.stages.items():
            stages[stage] += seconds * hours
    total = sum(stages.values())
    return {
        "device": device,
        "device_hours": total,
        "by_stage": dict(stages),
        "by_pretext": grouped(lambda row: row.recipe.family),
        "by_status": grouped(lambda row: row.status),
        "by_kind": grouped(lambda row: row.kind),
        "overhead_fraction": stages.get(WAIT, 0.0) / total if total else math.nan,
    }


def saved(rows: Sequence[Row], last: int, devices: float) -> dict[str, float]:
    """What early stopping saved: each stopped trial at its own pace up to `last` samples."""
    stopped = [row for row in rows if row.status == "stopped" and row.samples_seen]
    rest = sum(row.seconds * max(0.0, last / row.samples_seen - 1) for row in stopped)
    spent = sum(row.seconds for row in rows)
    return {
        "trials": len(stopped),
        "device_hours": rest * devices / 3600,
        "share": rest / (rest + spent) if rest + spent else math.nan,
    }


def rung_agreement(rows: Sequence[Row], rungs: Sequence[int]) -> list[dict[str, float]]:
    """Do early ranks foretell late ones? Spearman's rho of each rung with the last, over the
    trials that reached both, and its 95 % interval (Fisher's z with Bonett and Wright's error).

    Those trials passed the rungs between, which narrows their spread: over all trials rho would
    be higher.
    """
    made = []
    final = len(rungs) - 1
    both = [row for row in rows if len(row.reports) > final and row.status == "ok"]
    for rung in range(final):
        pairs = [(row.reports[rung].score, row.reports[final].score) for row in both]
        pairs = [pair for pair in pairs if all(map(math.isfinite, pair))]
        if len(pairs) < FEWEST_PAIRS:
            continue
        early, late = np.array(pairs).T
        if np.ptp(early) == 0 or np.ptp(late) == 0:
            continue
        rho = float(spearmanr(early, late).statistic)
        error = math.sqrt((1 + rho**2 / 2) / (len(pairs) - 3))
        z = math.atanh(max(-0.999999, min(0.999999, rho)))
        low, high = math.tanh(z - 1.96 * error), math.tanh(z + 1.96 * error)
        made.append(
            {"samples": rungs[rung], "rho": rho, "low": low, "high": high, "trials": len(pairs)}
        )
    return made
