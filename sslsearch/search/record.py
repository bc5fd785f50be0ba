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
from typing import Any

import optuna
import sqlalchemy
from optuna.trial import FrozenTrial, TrialState

from sslsearch.probe.metrics import as_score
from sslsearch.search import pareto
from sslsearch.search.row import WAIT as WAIT
from sslsearch.search.row import Kind, head, name_objectives, row_of
from sslsearch.search.row import Row as Row
from sslsearch.search.sampler import (
    FORGETS_AT,
    DistributionAsk,
    OptunaAsk,
    make_sampler,
    remembered,
)
from sslsearch.space import Space
from sslsearch.values import Recipe, Report

CONFIRM = "confirm"
INFEASIBLE = "infeasible"  # the constraint by which the sampler learns of nan, oom, collapse …


@dataclass
class Open:
    """A trial that is under way: in memory, and what is kept of it."""

    trial: optuna.Trial
    kept: int  # its id in the storage
    attrs: set[str]  # of Optuna's own, those that the storage has


class Record:
    """Reads and writes `study.db`, or the storage given. Only the driver holds one.

    The sampler reads a copy in memory, and of many trials the best and the newest: a trial costs
    the storage one write for its begin, two for each rung and two for its end, and the sampler as
    much reading, however many there are.
    """

    def __init__(
        self, folder: Path, space: Space, storage: optuna.storages.BaseStorage | None = None
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        logging.getLogger("alembic").setLevel(logging.WARNING)
        self.space = space
        self.storage = storage or open_storage(folder / "study.db")
        known = optuna.study.get_all_study_names(self.storage)
        self.name = f"search-{space.digest}"
        finished = sum(1 for _ in self._all_trials(known))
        self._kept = {name: self._study(name, self.storage) for name in (self.name, CONFIRM)}
        score = as_score(space.probe.judge_by)
        name_objectives(self._kept[self.name], [score, *(name for name, _ in space.goal.others)])
        name_objectives(self._kept[CONFIRM], [score])
        self._memory = optuna.storages.InMemoryStorage()
        self.search = self._study(self.name, self._memory, self._sampler(finished))
        self.confirm = self._study(CONFIRM, self._memory, optuna.samplers.RandomSampler(seed=0))
        self._open: dict[str, Open] = {}
        self._rows: dict[str, Row] = {}
        self.carried_over = ""  # in words, where an earlier form of the space left trials
        for study_name in [n for n in known if n not in (self.name, CONFIRM)]:
            self._carry_over(optuna.load_study(study_name=study_name, storage=self.storage))
        for study in (self.search, self.confirm):
            self._read(study)
        self._rows = dict(sorted(self._rows.items()))
        taken = [int(row.name[1:]) for row in self.rows("trial")]
        self.trials = len(taken)  # there are, of this and earlier forms of the space
        self._next_number = max(taken, default=-1) + 1

    def _study(
        self,
        name: str,
        storage: optuna.storages.BaseStorage,
        sampler: optuna.samplers.BaseSampler | None = None,
    ) -> optuna.Study:
        return optuna.create_study(
            study_name=name,
            storage=storage,
            sampler=sampler,
            directions=["maximize"] if name == CONFIRM else self.space.goal.directions,
            load_if_exists=True,
        )

    def _sampler(self, drawn: int) -> optuna.samplers.BaseSampler:
        """A sampler that repeats none of the draws made before, of which there are `drawn`."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return make_sampler(self.space.search.sampler, self.space.search.seed + drawn)

    def _all_trials(self, names: list[str]) -> Iterator[FrozenTrial]:
        for name in names:
            study = optuna.load_study(study_name=name, storage=self.storage)
            yield from study.get_trials(deepcopy=False)

    def _read(self, study: optuna.Study) -> None:
        for frozen in self._kept[study.study_name].get_trials(deepcopy=False):
            if "row" not in frozen.user_attrs:
                continue  # of an earlier version: enqueued, or asked for in the moment of a crash
            row = row_of(frozen)
            self._rows[row.name] = row
            trial = _add(study, frozen)
            if frozen.state is TrialState.RUNNING:
                self._open[row.name] = Open(trial, frozen._trial_id, set(frozen.system_attrs))

    def _carry_over(self, study: optuna.Study) -> None:
        """Trials of an earlier form of the space: told to the sampler where they still fit."""
        fitting = finished = 0
        search = self._kept[self.name]
        here = {t.user_attrs.get("name") for t in search.get_trials(deepcopy=False)}
        for frozen in study.get_trials(deepcopy=False):
            if "row" not in frozen.user_attrs or frozen.state is TrialState.RUNNING:
                continue
            row = row_of(frozen)
            answers = self.space.project(row.recipe, strict=True)
            self._rows[row.name] = replace(row, fits=answers is not None)
            finished += 1
            fitting += answers is not None
            if answers is None or row.name in here:
                continue
            ask = DistributionAsk(answers)
            self.space.draw(ask)
            search.add_trial(
                optuna.trial.create_trial(
                    state=frozen.state,
                    values=frozen.values,
                    params=ask.params,
                    distributions=ask.distributions,
                    intermediate_values=frozen.intermediate_values,
                    user_attrs=frozen.user_attrs,
                    system_attrs=frozen.system_attrs,
                )
            )
        self.carried_over = (
            f"{fitting} of {finished} earlier trials fit it and inform the sampler; "
            "the others stay on the leaderboard, marked `outside`"
        )

    def rows(self, kind: Kind | None = None) -> list[Row]:
        """All trials as they were drawn, or those of one kind."""
        return [row for row in self._rows.values() if kind is None or row.kind == kind]

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
        if len(self.search.get_trials(deepcopy=False)) > FORGETS_AT:
            self._thin()
        trial = self.search.ask()
        recipe = self.space.draw(OptunaAsk(trial))
        name = f"t{self._next_number:04d}"
        self.trials, self._next_number = self.trials + 1, self._next_number + 1
        origin = trial.user_attrs.get("origin", "sampler")
        return self._begin(
            self.search, trial, Row(name, "trial", origin, recipe, self.space.search.seed)
        )

    def _thin(self) -> None:
        """Start the sampler's copy afresh with the trials worth remembering."""
        told = {told.trial.number: told for told in self._open.values()}
        before = self.search.get_trials(deepcopy=False)
        self._memory.delete_study(self.search._study_id)
        self.search = self._study(self.name, self._memory, self._sampler(self.trials))
        for frozen in remembered(before):
            trial = _add(self.search, frozen)
            if frozen.state is TrialState.RUNNING:
                told[frozen.number].trial = trial

    def add_finalist(self, recipe: Recipe, seed: int) -> Row:
        """A confirmation run of `recipe`; the one that exists already if there is one."""
        name = f"f-{recipe.hash[:6]}-s{seed}"
        if name in self._rows:
            return self._rows[name]
        row = Row(name, "finalist", "confirm", recipe, seed)
        return self._begin(self.confirm, self.confirm.ask(), row)

    def _begin(self, study: optuna.Study, trial: optuna.Trial, row: Row) -> Row:
        copy = self._memory.get_trial(trial._trial_id)
        copy.user_attrs |= {"name": row.name, "row": head(row)}
        kept = self.storage.create_new_trial(self._kept[study.study_name]._study_id, copy)
        self._open[row.name] = Open(trial, kept, set(copy.system_attrs))
        self._rows[row.name] = row
        return row

    def report(self, name: str, report: Report) -> bool:
        """Write a rung's report down; False if it is known already (a trial that was resumed)."""
        row = self._rows[name]
        if any(known.rung == report.rung for known in row.reports) or row.status != "running":
            return False
        self._rows[name] = row = replace(row, reports=(*row.reports, report))
        told, rung = self._open[name], report.rung
        self.storage.set_trial_user_attr(told.kept, f"report-{rung}", json.dumps(vars(report)))
        one = not self.space.goal.others  # Optuna has no rungs of several objectives
        if one and math.isfinite(report.score) and row.kind == "trial":
            told.trial.report(report.score, rung)
            self.storage.set_trial_intermediate_value(told.kept, rung, report.score)
        return True

    def finish(self, name: str, status: str) -> Row:
        """Close a trial. Only full-length trials are COMPLETE; the rest teach by their rungs."""
        row = self._rows[name] = replace(self._rows[name], status=status)
        told = self._open.pop(name)
        study = self.search if row.kind == "trial" else self.confirm
        reached = self._reached(row) if status == "ok" else None
        if reached is not None:
            study.tell(told.trial, reached)
        else:
            if status != "stopped":
                told.trial.set_constraint(INFEASIBLE, 1.0)
            study.tell(told.trial, state=TrialState.PRUNED)
        copy = self._memory.get_trial(told.trial._trial_id)
        self.storage.set_trial_user_attr(told.kept, "status", status)
        for key in copy.system_attrs.keys() - told.attrs:
            self.storage.set_trial_system_attr(told.kept, key, copy.system_attrs[key])
        self.storage.set_trial_state_values(told.kept, copy.state, copy.values)
        return row

    def _reached(self, row: Row) -> list[float] | None:
        """What the sampler is told, in each objective's own units; None where one is not known."""
        if row.kind == "finalist":
            return [row.score]
        others = pareto.others(row.reports[-1], row.seconds, self.space.goal)
        reached = [row.score, *others.values()]
        return reached if all(map(math.isfinite, reached)) else None

    def remember(self, key: str, value: Any) -> None:
        """Keep a plain value with the study (time spent, counts)."""
        self._kept[CONFIRM].set_user_attr(key, value)

    def recall(self, key: str, default: Any = None) -> Any:
        return self._kept[CONFIRM].user_attrs.get(key, default)


def _add(study: optuna.Study, frozen: FrozenTrial) -> optuna.Trial:
    """A trial known from elsewhere, in this study; the only way to go on telling one that runs."""
    study.add_trial(frozen)
    return optuna.Trial(study, study.get_trials(deepcopy=False)[-1]._trial_id)


def open_storage(path: Path) -> optuna.storages.RDBStorage:
    """SQLite with a write-ahead log: a killed process loses nothing, and a write costs little.

    Only the driver's process opens it, so the log is as safe on a network file system.
    """
    storage = optuna.storages.RDBStorage(f"sqlite:///{path}")

    @sqlalchemy.event.listens_for(storage.engine, "connect")
    def tune(connection: Any, _: Any) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")

    storage.engine.dispose()  # of the connection that the constructor made, untuned
    return storage


def read_rows(folder: Path) -> list[Row]:
    """All trials and finalists' runs of another study, which is not touched.

    Raises:
        ValueError: the folder is no study.
    """
    path = folder / "study.db"
    if not path.exists():
        raise ValueError(f"{folder} is not a study: it has no study.db")
    storage = open_storage(path)
    rows = []
    for name in optuna.study.get_all_study_names(storage):
        trials = optuna.load_study(study_name=name, storage=storage).get_trials(deepcopy=False)
        rows += [row_of(frozen) for frozen in trials if "row" in frozen.user_attrs]
    storage.remove_session()
    return list({row.name: row for row in rows}.values())
