"""Asynchronous successive halving within pretext families.

Li et al. 2020, A System for Massively Parallel Hyperparameter Tuning (ASHA), arXiv:1810.05934.
Pretext tasks learn at different paces: over published tables the ranks at a quarter of the
training correlate with the final ranks at 0.30 across methods. So trials race only against their
own family, and every family keeps its best one to the next rung.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from sslsearch.search import mailbag

CONTINUE: str = TrialScheduler.CONTINUE
STOP: str = TrialScheduler.STOP


def passes(score: float, others: Iterable[float], eta: int) -> bool:
    """Is `score` in the top 1/eta of those seen at this rung, itself included?

    The first to arrive passes, and so does whoever is the best so far.
    """
    seen = sorted([score, *others], reverse=True)
    places = max(1, math.floor(len(seen) / eta))
    return score >= seen[places - 1]


class FamilyHalving(FIFOScheduler):  # type: ignore[misc]
    """Tune scheduler: stop a trial at a rung where it is not in its family's top 1/eta.

    Args:
        eta: one in eta goes on.
        past: (family, rung, score) of trials that ran before this process.
        halve: False = never stop early (`scheduler: none`).
    """

    def __init__(
        self, eta: int, past: Iterable[tuple[str, int, float]] = (), halve: bool = True
    ) -> None:
        super().__init__()
        self.eta, self.halve = eta, halve
        self.seen: dict[tuple[str, int], dict[str, float]] = defaultdict(dict)
        for number, (family, rung, score) in enumerate(past):
            self.seen[family, rung][f"past-{number}"] = score

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        if not self.halve or trial.config["kind"] != "trial":
            return CONTINUE
        report = mailbag.unpack(result)
        rung = self.seen[trial.config["family"], report.rung]
        others = [score for name, score in rung.items() if name != trial.trial_id]
        rung[trial.trial_id] = report.score
        if passes(report.score, others, self.eta):
            return CONTINUE
        return STOP
