"""Several objectives: layers, who passes a rung, who is a finalist, what the sampler is told."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import pytest

from sslsearch.search import pareto
from sslsearch.search.board import COLUMNS, Line, write_board
from sslsearch.search.confirm import finalists
from sslsearch.search.record import Record
from sslsearch.search.scheduler import passes
from sslsearch.space import Space, parse
from sslsearch.values import Report

SPACE = """
goal: [maximize probe/accuracy, minimize cost/params]
data: {modality: timeseries, source: aeon:OSULeaf}
encoder: {conv1d: {depth: 2..6, width: 8 | 16 | 32}}
pretext: {one_of: {simclr: {temperature: 0.05..1.0 log}, vicreg: {}}}
fidelity: {first: 100, last: 400, eta: 2}
"""


@pytest.fixture
def space() -> Space:
    return parse(SPACE)


def report(rung: int, score: float, params: float) -> Report:
    return Report(rung, 100 * 2**rung, "ok", score, {"accuracy": score, "cost/params": params})


def test_layers_are_what_no_other_beats_in_all_by_a_slow_loop() -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(0, 6, (40, 3)).astype(float)  # with ties
    left, expected = set(range(40)), np.full(40, -1)
    for layer in range(40):
        front = {
            i
            for i in left
            if not any(all(values[j] >= values[i]) and any(values[j] > values[i]) for j in left)
        }
        for i in front:
            expected[i] = layer
        left -= front
    np.testing.assert_array_equal(pareto.layers(values), expected)


def test_the_first_layer_is_optunas_front() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(size=(30, 2))
    study = optuna.create_study(directions=["maximize", "maximize"])
    for row in values:
        study.add_trial(optuna.trial.create_trial(values=list(row)))
    theirs = {trial.number for trial in study.best_trials}
    assert set(np.flatnonzero(pareto.layers(values) == 0)) == theirs


def test_a_trial_whose_cost_is_not_known_stands_last() -> None:
    assert list(pareto.layers([(1.0, math.nan), (0.0, 0.0)])) == [2, 0]
    assert list(pareto.layers(np.empty((0, 2)))) == []


def test_a_cheap_trial_passes_a_rung_beside_a_better_one() -> None:
    others = [(0.9, -100.0), (0.8, -90.0), (0.7, -80.0), (0.6, -70.0)]
    assert passes((0.1, -10.0), others, eta=2)  # the cheapest
    assert not passes((0.5, -75.0), others, eta=2)  # beaten in both by the last of them
    assert not passes((0.1,), [(value[0],) for value in others], eta=2)


def test_finalists_come_from_the_front(space: Space, tmp_path: Path) -> None:
    record = Record(tmp_path, space)
    told = {"best": (0.9, 100.0), "beaten": (0.8, 200.0), "cheap": (0.5, 10.0)}
    recipes = {}
    for name, (score, params) in told.items():
        row = record.ask()
        recipes[name] = row.recipe
        for rung in range(3):
            record.report(row.name, report(rung, score, params))
        record.finish(row.name, "ok")
    rows = record.rows("trial")
    assert finalists(rows, 2, space.goal) == [recipes["best"], recipes["cheap"]]
    assert finalists(rows, 2) == [recipes["best"], recipes["beaten"]]


def test_optuna_knows_every_objective_and_goes_on(space: Space, tmp_path: Path) -> None:
    record = Record(tmp_path, space)
    for number in range(12):
        row = record.ask()
        record.report(row.name, report(0, number / 20, 100.0 + number))
        if number % 3:
            record.finish(row.name, "stopped")
        else:
            record.report(row.name, report(1, number / 20, 100.0 + number))
            record.report(row.name, report(2, number / 20, 100.0 + number))
            record.finish(row.name, "ok")
    again = Record(tmp_path, space)
    assert repr(again.rows()) == repr(record.rows())  # nan, where there is no interval
    again.finish(again.ask().name, "nan")
    kept = optuna.load_study(study_name=again.name, storage=again.storage)
    assert [d.name for d in kept.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert len(kept.best_trials) == 4  # of the whole ones each costs more and is better
    assert kept.trials[3].values == [3 / 20, 103.0]


def test_the_board_has_the_objectives_and_the_front(space: Space, tmp_path: Path) -> None:
    lines = [
        Line("trial", "t0", "ok", 0.9, rung=3, others={"cost/params": 100.0}),
        Line("trial", "t1", "ok", 0.8, rung=3, others={"cost/params": 200.0}),
        Line("trial", "t2", "ok", 0.5, rung=3, others={"cost/params": 10.0}),
        Line("trial", "t3", "stopped", 0.95, rung=1, others={"cost/params": 1.0}),
        Line("floor", "raw", "ok", 0.9),
    ]
    write_board(tmp_path / "b.csv", lines, space.goal)
    frame = pd.read_csv(tmp_path / "b.csv")
    assert list(frame.columns) == [*COLUMNS, "cost/params", "front"]
    assert set(frame[frame.front == 1].id) == {"t0", "t2"}
