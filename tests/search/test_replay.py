"""The replay table holds what its data card promises, and searches run on it."""

import json
import math
import sys
from pathlib import Path

import pandas as pd
import pytest
from ray.tune.schedulers import FIFOScheduler

from sslsearch.search.scheduler import FamilyHalving

REPLAY = Path(__file__).parents[1] / "benchmarks" / "replay"
sys.path.insert(0, str(REPLAY))

import simulator as replay  # noqa: E402 - it lies beside the table, outside the package

pytestmark = pytest.mark.skipif(
    not replay.TABLE.exists(), reason="the replay table has not been recorded here"
)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return pd.read_parquet(replay.TABLE)


@pytest.fixture(scope="module")
def world(table: pd.DataFrame) -> replay.World:
    return replay.World(table, replay.replay_space(), "OSULeaf", "10", 0)


def test_the_table_has_what_its_card_says(table: pd.DataFrame) -> None:
    space = replay.replay_space()
    card = (REPLAY / "README.md").read_text()
    assert all(f"`{column}`" in card for column in table.columns)
    assert set(table.dataset.cat.categories) == {"OSULeaf", "SwedishLeaf", "CricketX"}
    good = table[table.status == "ok"]
    assert sorted(good.rung.unique()) == list(range(len(space.fidelity.rungs())))
    assert sorted(good.samples_seen.unique()) == space.fidelity.rungs()
    assert set(good.labels.dropna()) == {"2", "5", "10", "all"}
    assert good.groupby("labels", observed=True).draw.nunique()[["2", "5", "10"]].eq(3).all()
    assert good.test_accuracy.between(0, 1).all()
    assert (good.loo_r2 <= 1).all()
    assert replay.TABLE.stat().st_size < 5_000_000


def test_recorded_recipes_are_recipes_of_the_space(table: pd.DataFrame) -> None:
    space = replay.replay_space()
    asked = {question.name for question in space.questions()}
    for text in table.answers.cat.categories[::10]:
        assert json.loads(text).keys() <= asked


def test_a_recorded_recipe_answers_as_recorded(world: replay.World) -> None:
    for curve, answers in list(zip(world.curves, world.answers, strict=True))[::7]:
        assert world.curve(answers) is curve


def test_a_new_recipe_answers_twice_alike_and_within_reason(world: replay.World) -> None:
    searcher = replay.RandomSearch(world.space, 0)
    scores = [curve.scores[-1] for curve in world.curves if curve.whole]
    room = max(scores) - min(scores)
    for _ in range(10):
        answers = searcher.suggest("")
        curve = world.curve(answers)
        assert curve == world.curve(answers)
        assert min(scores) - room < curve.scores[-1] < max(scores) + room


def test_random_search_costs_what_it_trains(world: replay.World) -> None:
    searcher = replay.RandomSearch(world.space, 0)
    finished = replay.play(searcher, FIFOScheduler(), world, slots=3, trials=7)
    whole = sum(1 for one in finished if math.isfinite(one.score))
    assert whole == 7
    assert finished[-1].cost == 7 * world.rungs[-1]


def test_the_packages_search_runs_and_stops_trials(world: replay.World, tmp_path: Path) -> None:
    space = replay.replay_space(trials=15)
    searcher = replay.conductor(space, tmp_path, slots=2)
    scheduler = FamilyHalving(space.fidelity.eta, len(world.rungs))
    finished = replay.play(searcher, scheduler, world, slots=2, trials=99)
    rows = searcher.record.rows("trial")
    assert len(rows) == 15
    assert {row.status for row in rows} == {"ok", "stopped"}
    seen = sum(row.samples_seen for row in rows)
    assert finished[-1].cost <= seen < 15 * world.rungs[-1]
