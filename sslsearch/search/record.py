"""The durable record of a study: every trial, its recipe and its reports, in `study.db` (Optuna).

Optuna keeps one study for each searched space (`search-<digest>`) and one for the confirmations.
When the space is changed, trials that still fit are carried over, so that the sampler knows them.
"""

from __future__ import annotations

import json
import logging
import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import optuna
import sqlalchemy
from optuna.trial import FrozenTrial, TrialState

from sslsearch.search.sampler import DistributionAsk, OptunaAsk, make_sampler
from sslsearch.space import Space
from sslsearch.values import Recipe, Report

Kind = Literal["trial", "finalist"]
CONFIRM = "confirm"
INFEASIBLE = "infeasible"  # the constraint by which the sampler learns of nan, oom, collapse …


@dataclass(frozen=True)
class Row:
    """One trial as the record has it.

    Attributes:
        name: unique and stable over restarts (`t0007`; `f-1a2b3c-s101` for a finalist's run).
        origin: where its recipe came from (default, literature, sampler, confirm).
        status: running, or how it ended.
        reports: one for each rung reached.
    """

    name: str
    kind: Kind
    origin: str
    recipe: Recipe
    seed: int
    status: str = "running"
    reports: tuple[Report, ...] = ()

    @property
    def score(self) -> float:
        return self.reports[-1].score if self.reports else math.nan

    @property
    def seconds(self) -> float:
        return sum(sum(report.seconds.values()) for report in self.reports)

    @property
    def samples_seen(self) -> int:
        return self.reports[-1].samples_seen if self.reports else 0

    @property
    def judged(self) -> bool:
        return any(report.status == "ok" for report in self.reports)


class Record:
    """Reads and writes `study.db`. Only the driver holds one."""

    def __init__(self, folder: Path, space: Space) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        logging.getLogger("alembic").setLevel(logging.WARNING)
        self.space = space
        self.storage = open_storage(folder / "study.db")
        known = optuna.study.get_all_study_names(self.storage)
        self.name = f"search-{space.digest}"
        finished = sum(1 for _ in self._all_trials(known))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = make_sampler(space.search.sampler, space.search.seed + finished)
        self.search = self._open(self.name, sampler)
        self.confirm = self._open(CONFIRM, optuna.samplers.RandomSampler(seed=0))
        self._optuna: dict[str, tuple[optuna.Study, optuna.Trial]] = {}
        self._rows: dict[str, Row] = {}
        self.carried_over = ""  # in words, where an earlier form of the space left trials
        for study_name in [n for n in known if n not in (self.name, CONFIRM)]:
            self._carry_over(optuna.load_study(study_name=study_name, storage=self.storage))
        for study in (self.search, self.confirm):
            self._read(study)

    def _open(self, name: str, sampler: optuna.samplers.BaseSampler) -> optuna.Study:
        return optuna.create_study(
            study_name=name,
            storage=self.storage,
            sampler=sampler,
            direction="maximize",
            load_if_exists=True,
        )

    def _all_trials(self, names: list[str]) -> Iterator[FrozenTrial]:
        for name in names:
            study = optuna.load_study(study_name=name, storage=self.storage)
            yield from study.get_trials(deepcopy=False)

    def _read(self, study: optuna.Study) -> None:
        for frozen in study.get_trials(deepcopy=False):
            if "row" not in frozen.user_attrs:
                continue  # enqueued and not yet handed out, or asked for in the moment of a crash
            row = _row(frozen)
            self._rows[row.name] = row
            if frozen.state is TrialState.RUNNING:
                # pylint: the only way to go on telling a trial of an earlier process
                trial = optuna.Trial(study, frozen._trial_id)
                self._optuna[row.name] = (study, trial)

    def _carry_over(self, study: optuna.Study) -> None:
        """Trials of an earlier form of the space: told to the sampler where they still fit."""
        fitting = finished = 0
        here = {t.user_attrs.get("name") for t in self.search.get_trials(deepcopy=False)}
        for frozen in study.get_trials(deepcopy=False):
            if "row" not in frozen.user_attrs or frozen.state is TrialState.RUNNING:
                continue
            row = _row(frozen)
            self._rows[row.name] = row
            answers = self.space.project(row.recipe, strict=True)
            finished += 1
            fitting += answers is not None
            if answers is None or row.name in here:
                continue
            ask = DistributionAsk(answers)
            self.space.draw(ask)
            self.search.add_trial(
                optuna.trial.create_trial(
                    state=frozen.state,
                    value=frozen.value,
                    params=ask.params,
                    distributions=ask.distributions,
                    intermediate_values=frozen.intermediate_values,
                    user_attrs=frozen.user_attrs,
                    system_attrs=frozen.system_attrs,
                )
            )
        self.carried_over = (
            f"{fitting} of {finished} earlier trials fit it and inform the sampler; "
            "all stay on the leaderboard"
        )

    def rows(self, kind: Kind | None = None) -> list[Row]:
        """All trials in the order of their names; those of one kind if asked."""
        return [r for _, r in sorted(self._rows.items()) if kind is None or r.kind == kind]

    def row(self, name: str) -> Row:
        return self._rows[name]

    def unfinished(self) -> list[Row]:
        """Trials that were running when an earlier process ended."""
        return [row for row in self.rows() if row.status == "running"]

    def enqueue(self, recipe: Recipe, origin: str) -> None:
        """Have the sampler hand out this recipe next, if it lies in the space and is new."""
        answers = self.space.project(recipe)
        if answers is not None:
            self.search.enqueue_trial(answers, user_attrs={"origin": origin}, skip_if_exists=True)

    def ask(self) -> Row:
        """The next trial of the search: drawn, named and written down before it runs."""
        trial = self.search.ask()
        recipe = self.space.draw(OptunaAsk(trial))
        taken = [int(row.name[1:]) for row in self.rows("trial")]
        name = f"t{max(taken, default=-1) + 1:04d}"
        origin = trial.user_attrs.get("origin", "sampler")
        return self._begin(
            self.search, trial, Row(name, "trial", origin, recipe, self.space.search.seed)
        )

    def add_finalist(self, recipe: Recipe, seed: int) -> Row:
        """A confirmation run of `recipe`; the one that exists already if there is one."""
        name = f"f-{recipe.hash[:6]}-s{seed}"
        if name in self._rows:
            return self._rows[name]
        row = Row(name, "finalist", "confirm", recipe, seed)
        return self._begin(self.confirm, self.confirm.ask(), row)

    def _begin(self, study: optuna.Study, trial: optuna.Trial, row: Row) -> Row:
        trial.set_user_attr("name", row.name)
        trial.set_user_attr("row", _head(row))
        self._optuna[row.name] = (study, trial)
        self._rows[row.name] = row
        return row

    def report(self, name: str, report: Report) -> bool:
        """Write a rung's report down; False if it is known already (a trial that was resumed)."""
        row = self._rows[name]
        if any(known.rung == report.rung for known in row.reports) or row.status != "running":
            return False
        self._rows[name] = row = replace(row, reports=(*row.reports, report))
        _, trial = self._optuna[name]
        trial.set_user_attr(f"report-{report.rung}", json.dumps(vars(report)))
        if math.isfinite(report.score) and row.kind == "trial":
            trial.report(report.score, report.rung)
        return True

    def finish(self, name: str, status: str) -> Row:
        """Close a trial. Only full-length trials are COMPLETE; the rest teach by their rungs."""
        row = self._rows[name] = replace(self._rows[name], status=status)
        study, trial = self._optuna.pop(name)
        trial.set_user_attr("status", status)
        if status == "ok":
            study.tell(trial, row.score)
        else:
            if status != "stopped":
                trial.set_constraint(INFEASIBLE, 1.0)
            study.tell(trial, state=TrialState.PRUNED)
        return row

    def remember(self, key: str, value: Any) -> None:
        """Keep a plain value with the study (time spent, counts)."""
        self.confirm.set_user_attr(key, value)

    def recall(self, key: str, default: Any = None) -> Any:
        return self.confirm.user_attrs.get(key, default)


def open_storage(path: Path) -> optuna.storages.RDBStorage:
    """SQLite with a write-ahead log: a killed process loses nothing, and a write costs little.

    Only the driver's process opens it, so the log is as safe on a network file system.
    """
    storage = optuna.storages.RDBStorage(f"sqlite:///{path}")

    @sqlalchemy.event.listens_for(storage.engine, "connect")
    def tune(connection: Any, _: Any) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")

    return storage


def _head(row: Row) -> str:
    head = {"kind": row.kind, "origin": row.origin, "seed": row.seed, "recipe": row.recipe.body}
    return json.dumps(head)


def _row(frozen: FrozenTrial) -> Row:
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
