"""Who stops trials early: four schedulers by name.

Pretext tasks learn at different paces: over published tables the ranks at a quarter of the
training correlate with the final ranks at 0.30 across methods. So over the first half of the rungs
trials race only against their own pretext family, and every family keeps its best one. From then on
all race together: to send the best of every family to the end costs more than it finds (on the
replay table, tests/benchmarks/search_efficiency.py, it nearly doubled what a search needs).

asha: asynchronous successive halving. Li et al. 2020, A System for Massively Parallel
    Hyperparameter Tuning, arXiv:1810.05934.
hyperband: the same in brackets, of which each spares its trials the first rungs of the one
    before: what a slow starter would lose to asha it keeps there. Li et al. 2018, Hyperband,
    arXiv:1603.06560; asynchronous as in arXiv:1810.05934.
one_epoch_top_k: every trial ends at the first rung; the finalists are the best of them. Egele et
    al. 2023, Is One Epoch All You Need For Multi-Fidelity Hyperparameter Optimization?,
    arXiv:2307.15422.
none: every trial runs to the last rung.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from sslsearch.search import mailbag
from sslsearch.search.pareto import Objectives, objectives, standing
from sslsearch.search.row import Row
from sslsearch.space import Goal, Space
from sslsearch.values import Report

CONTINUE: str = TrialScheduler.CONTINUE
STOP: str = TrialScheduler.STOP


def passes(reached: Objectives, others: Iterable[Objectives], eta: int) -> bool:
    """Is `reached` in the top 1/eta of what was seen at this rung, itself included?

    The first to arrive passes, and so does whoever is the best so far; of several objectives,
    whoever no other beats in all of them.
    """
    own, *rest = standing([reached, *others])
    places = max(1, math.floor((1 + len(rest)) / eta))
    first_layer = len(reached) > 1 and own[0] == 0
    return first_layer or own >= sorted([own, *rest], reverse=True)[places - 1]


class FamilyHalving(FIFOScheduler):  # type: ignore[misc]
    """Tune scheduler: stop a trial at a rung where it is not in the top 1/eta of its race.

    Args:
        eta: one in eta goes on.
        rungs: how many there are.
        past: (family, rung, what was reached) of trials that ran before this process.
        how: asha, hyperband, one_epoch_top_k or none.
        goal: its objectives; None: the score alone.
    """

    def __init__(
        self,
        eta: int,
        rungs: int,
        past: Iterable[tuple[str, int, Objectives]] = (),
        how: str = "asha",
        goal: Goal | None = None,
    ) -> None:
        super().__init__()
        self._kept: set[Any] = set()  # what slots reserve
        self.eta, self.how, self.goal = eta, how, goal
        self.together = max(1, rungs // 2)  # the rung from which on all families race as one
        self.shares = bracket_shares(rungs, eta) if how == "hyperband" else [1.0]
        self.seen: dict[tuple[str, int, int], dict[str, Objectives]] = defaultdict(dict)
        self.brackets: dict[str, dict[str, int]] = defaultdict(dict)  # family -> trial -> bracket
        for number, (family, rung, reached) in enumerate(past):
            self.seen[self._race(family, rung), 0, rung][f"past-{number}"] = reached

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """Have Tune keep the actor of every slot between trials; it would keep one of all."""
        request = trial.placement_group_factory
        if request not in self._kept:
            self._kept.add(request)
            tune_controller._tune_controller._actor_cache.increase_max(request)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        if self.how == "none" or trial.config["kind"] != "trial":
            return CONTINUE
        if self.how == "one_epoch_top_k":
            return STOP
        report, family = mailbag.unpack(result), trial.config["family"]
        bracket = self._bracket(family, trial.trial_id)
        rung = self.seen[self._race(family, report.rung), bracket, report.rung]
        others = [reached for name, reached in rung.items() if name != trial.trial_id]
        rung[trial.trial_id] = self._reached(report)
        if report.rung < bracket or passes(rung[trial.trial_id], others, self.eta):
            return CONTINUE
        return STOP

    def _reached(self, report: Report) -> Objectives:
        if self.goal is None:
            return (report.score,)
        return objectives(report, sum(report.seconds.values()), self.goal)

    def _race(self, family: str, rung: int) -> str:
        """Who a trial of this family races against at this rung."""
        return family if rung < self.together else ""

    def _bracket(self, family: str, trial: str) -> int:
        """The trial's bracket: the one that lags most behind its share of the family's trials."""
        known = self.brackets[family]
        if trial not in known:
            taken = Counter(known.values())
            due = [share * (len(known) + 1) - taken[b] for b, share in enumerate(self.shares)]
            known[trial] = due.index(max(due))
        return known[trial]


def bracket_shares(rungs: int, eta: int) -> list[float]:
    """The share of trials that begin in each bracket of Hyperband, the most halved one first.

    Bracket b spares the first b rungs; each bracket is to cost the same (arXiv:1603.06560).
    """
    sizes = [math.ceil(rungs / (s + 1) * eta**s) for s in reversed(range(rungs))]
    return [size / sum(sizes) for size in sizes]


def halving(space: Space, trials: Sequence[Row]) -> FamilyHalving:
    """The scheduler of a space, which knows what earlier runs of the study have reported."""
    goal, how = space.goal, space.search.scheduler
    past = [
        (row.recipe.family, report.rung, objectives(report, sum(report.seconds.values()), goal))
        for row in trials
        for report in row.reports
        if report.status == "ok"
    ]
    return FamilyHalving(space.fidelity.eta, len(space.fidelity.rungs()), past, how, goal)
