"""Denoised scores: a lucky outlier does not win, and little evidence changes little."""

import random
import time
from dataclasses import replace

import pytest

from sslsearch.search import confirm
from sslsearch.search.denoise import denoised
from sslsearch.search.row import Row
from sslsearch.space import Space
from sslsearch.space.answers import Answers
from sslsearch.values import Recipe, Report

LAST = 2


def row(number: int, recipe: Recipe, scores: list[float], status: str = "ok") -> Row:
    reports = tuple(Report(i, 32 * 3**i, "ok", score) for i, score in enumerate(scores))
    return Row(f"t{number:04d}", "trial", "sampler", recipe, 0, status, reports)


def simclr(space: Space, temperature: float, lr: float) -> Recipe:
    answers = {
        "pretext.kind": "simclr",
        "pretext.simclr.temperature": temperature,
        "augment.jitter.on": True,
        "augment.jitter.sigma": 0.1,
        "augment.crop_resize.on": False,
        "optim.batch_size": 16,
        "optim.lr": lr,
    }
    return space.draw(Answers(answers, {}))


@pytest.fixture
def lucky(space: Space) -> list[Row]:
    """Ten good trials at a low temperature, ten poor ones at a high one and t0020, the luckiest of
    all, among the poor."""
    good = [simclr(space, 0.06 + 0.004 * i, 2e-3 + 2e-4 * i) for i in range(10)]
    poor = [simclr(space, 0.70 + 0.025 * i, 2e-3 + 2e-4 * i) for i in range(10)]
    rows = [row(i, r, [0.40, 0.50, 0.60 + 0.002 * i]) for i, r in enumerate(good)]
    rows += [row(10 + i, r, [0.20, 0.25, 0.30 + 0.002 * i]) for i, r in enumerate(poor)]
    return [*rows, row(20, simclr(space, 0.8, 3e-3), [0.20, 0.26, 0.64])]


def test_a_lucky_outlier_among_poor_neighbours_does_not_win(space: Space, lucky: list[Row]) -> None:
    assert max(lucky, key=lambda one: one.score).name == "t0020"
    worth = denoised(lucky, space)
    assert max(worth, key=worth.__getitem__) not in {"t0020"}
    best = confirm.finalists(lucky, 3, worth=worth)
    assert all(recipe["pretext"]["simclr"]["temperature"] < 0.2 for recipe in best)
    assert confirm.finalists(lucky, 1) == [lucky[20].recipe]  # as it would be without


def test_worth_is_on_the_scale_of_the_last_rung_and_the_same_each_time(
    space: Space, lucky: list[Row]
) -> None:
    stopped = row(21, simclr(space, 0.07, 3e-3), [0.41], "stopped")
    worth = denoised([*lucky, stopped], space)
    assert worth == denoised([*lucky, stopped], space)
    assert worth["t0005"] == pytest.approx(0.61, abs=0.05)
    assert 0.5 < worth["t0021"] < 0.7  # extrapolated: 0.41 is what it saw


def test_few_rows_keep_their_scores(space: Space, lucky: list[Row]) -> None:
    assert denoised([], space) == {}
    assert denoised(lucky[:2], space) == {"t0000": 0.60, "t0001": 0.602}
    assert denoised(lucky[:3], space).keys() == {"t0000", "t0001", "t0002"}


def test_failed_trials_are_left_out(space: Space, lucky: list[Row]) -> None:
    failed = [replace(one, status="collapsed") for one in lucky[:5]]
    assert denoised([*failed, *lucky[5:]], space).keys() == {one.name for one in lucky[5:]}


def test_equal_scores_stay_equal_in_kind(space: Space) -> None:
    same = [row(i, simclr(space, 0.1 + 0.05 * i, 2e-3), [0.3, 0.3, 0.3]) for i in range(5)]
    assert denoised(same, space) == pytest.approx({one.name: 0.3 for one in same})


def test_two_thousand_rows_take_no_time(space: Space) -> None:
    rng = random.Random(0)
    rows = [
        row(i, space.random_recipe(rng), [rng.random() for _ in range(1 + i % (LAST + 1))])
        for i in range(2_000)
    ]
    began = time.thread_time()
    worth = denoised(rows, space)
    assert time.thread_time() - began < 3.0  # 1 s on an idle core
    assert worth
