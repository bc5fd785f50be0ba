"""One trial as the record has it, and how it is written into Optuna's attributes."""

from __future__ import annotations

import json
import math
import warnings
from collections import defaultdict
from dataclasses import dataclass
from typing import Literal

import optuna
from optuna.trial import FrozenTrial

from sslsearch.values import Recipe, Report

Kind = Literal["trial", "finalist"]
WAIT = "wait"  # the stage in which a slot neither trains nor judges


@dataclass(frozen=True)
class Row:
    """One trial as the record has it.

    Attributes:
        name: unique and stable over restarts (`t0007`; `f-1a2b3c-s101` for a finalist's run).
        origin: where its recipe came from (default, literature, sampler, confirm).
        status: running, or how it ended.
        reports: one for each rung reached.
        fits: False for a trial of an earlier form of the space that has no place in this one.
    """

    name: str
    kind: Kind
    origin: str
    recipe: Recipe
    seed: int
    status: str = "running"
    reports: tuple[Report, ...] = ()
    fits: bool = True

    @property
    def score(self) -> float:
        return self.reports[-1].score if self.reports else math.nan

    @property
    def stages(self) -> dict[str, float]:
        """Seconds by stage; `wait` is what none of the others explains."""
        stages: dict[str, float] = defaultdict(float)
        for report in self.reports:
            for stage, seconds in report.seconds.items():
                stages[stage] += seconds
        return dict(stages)

    @property
    def seconds(self) -> float:
        """How long it trained and was judged; without waiting."""
        return sum(seconds for stage, seconds in self.stages.items() if stage != WAIT)

    @property
    def samples_seen(self) -> int:
        return self.reports[-1].samples_seen if self.reports else 0

    @property
    def judged(self) -> bool:
        return any(report.status == "ok" for report in self.reports)


def name_objectives(study: optuna.Study, names: list[str]) -> None:
    """What optuna-dashboard writes at its axes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names(names)


def head(row: Row) -> str:
    head = {"kind": row.kind, "origin": row.origin, "seed": row.seed, "recipe": row.recipe.body}
    return json.dumps(head)


def row_of(frozen: FrozenTrial) -> Row:
    attrs = frozen.user_attrs
    head = json.loads(attrs["row"])
    reports = [Report.from_dict(json.loads(v)) for k, v in attrs.items() if k.startswith("report-")]
    return Row(
        name=attrs["name"],
        kind=head["kind"],
        origin=head["origin"],
        recipe=Recipe(head["recipe"]),
        seed=head["seed"],
        status=attrs.get("status", "error") if frozen.state.is_finished() else "running",
        reports=tuple(sorted(reports, key=lambda report: report.rung)),
    )
