"""The loop: reports at rungs, exact resume, same seed same score, faults become statuses."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from sslsearch.data.prepare import Prepared
from sslsearch.data.samples import Samples
from sslsearch.pretext.simclr import SimCLR
from sslsearch.space import Space
from sslsearch.train.loop import Trial, loop
from sslsearch.values import Loss, Recipe, Report

CPU = torch.device("cpu")
RUNGS = [32, 96, 288]


@pytest.fixture
def recipe(space: Space) -> Recipe:
    return space.default()


@pytest.fixture
def samples(prepared: Prepared) -> Samples:
    return Samples.from_table(prepared.train)


def changed(recipe: Recipe, section: str, value: Any) -> Recipe:
    return Recipe({**recipe.body, section: value})


def timeless(report: Report) -> dict[str, Any]:
    return {k: v for k, v in vars(report).items() if k != "seconds"}


def test_reports_at_each_rung_counted_in_samples(recipe: Recipe, samples: Samples) -> None:
    reports = list(loop(recipe, samples, 0, RUNGS))
    batch = recipe["optim"]["batch_size"]
    assert [r.rung for r in reports] == [0, 1, 2]
    assert [r.samples_seen for r in reports] == [math.ceil(r / batch) * batch for r in RUNGS]
    assert all(r.status == "ok" and math.isfinite(r.score) for r in reports)
    assert all(r.low <= r.score <= r.high for r in reports)
    assert reports[0].scores.keys() >= {"accuracy", "r2", "log_loss", "knn", "rankme"}
    assert reports[-1].losses[-1][0] == reports[-1].samples_seen


def test_same_seed_same_score_and_another_seed_another(recipe: Recipe, samples: Samples) -> None:
    first, again, other = (list(loop(recipe, samples, seed, RUNGS[:1])) for seed in (0, 0, 1))
    assert timeless(first[0]) == timeless(again[0])
    assert first[0].losses != other[0].losses


def test_resume_at_a_rung_is_exact(recipe: Recipe, samples: Samples, tmp_path: Path) -> None:
    whole = [timeless(r) for r in loop(recipe, samples, 0, RUNGS)]
    path = tmp_path / "rung.safetensors"
    first = next(iter(loop(recipe, samples, 0, RUNGS, resume=path)))  # then the process "dies"
    rest = list(loop(recipe, samples, 0, RUNGS, resume=path))
    assert [timeless(r) for r in [first, *rest]] == whole


def test_a_momentum_encoder_resumes_exactly(
    recipe: Recipe, samples: Samples, tmp_path: Path
) -> None:
    byol = changed(recipe, "pretext", {"byol": {}})
    whole = list(loop(byol, samples, 0, RUNGS[:2]))
    path = tmp_path / "rung.safetensors"
    next(iter(loop(byol, samples, 0, RUNGS[:2], resume=path)))
    (last,) = loop(byol, samples, 0, RUNGS[:2], resume=path)
    assert last.score == whole[-1].score


def test_another_trials_checkpoint_is_refused(
    recipe: Recipe, samples: Samples, tmp_path: Path
) -> None:
    path = tmp_path / "rung.safetensors"
    next(iter(loop(recipe, samples, 0, RUNGS, resume=path)))
    with pytest.raises(ValueError, match="another trial"):
        next(iter(loop(recipe, samples, 1, RUNGS, resume=path)))


def test_a_diverging_loss_is_a_status(
    recipe: Recipe, samples: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = SimCLR.loss

    def broken(self: Any, *args: Any) -> Loss:
        loss = honest(self, *args)
        return dataclasses.replace(loss, total=loss.total * math.inf)

    monkeypatch.setattr(SimCLR, "loss", broken)
    (report,) = loop(changed(recipe, "pretext", {"simclr": {}}), samples, 0, RUNGS)
    assert report.status == "nan"
    assert math.isnan(report.score)


def test_memory_that_runs_out_is_a_status(
    recipe: Recipe, samples: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    def greedy(self: Any, *args: Any) -> Loss:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(SimCLR, "loss", greedy)
    (report,) = loop(changed(recipe, "pretext", {"simclr": {}}), samples, 0, RUNGS)
    assert report.status == "oom"


def test_a_collapsed_encoder_is_a_status(recipe: Recipe, samples: Samples) -> None:
    trial = Trial(recipe, samples, 0, CPU, RUNGS)
    with torch.no_grad():
        for parameter in trial.objective.encoder.parameters():
            parameter.zero_()
    trial.trains = False
    assert trial.advance().status == "collapsed"
    assert trial.over


def test_an_untrained_trial_sees_no_samples(recipe: Recipe, samples: Samples) -> None:
    reports = list(loop(changed(recipe, "pretext", {"none": {}}), samples, 0, RUNGS[:2]))
    assert [r.samples_seen for r in reports] == [0, 0]
    assert reports[0].score == reports[1].score


def test_an_epoch_shows_each_sample_once(recipe: Recipe, samples: Samples) -> None:
    trial = Trial(recipe, samples, 0, CPU, RUNGS)
    seen = []
    for step in range(trial.order.steps_per_epoch):
        trial.step = step
        seen.append(trial.order.share(step))
    drawn = torch.cat(seen)
    assert len(drawn.unique()) == len(drawn) == trial.order.steps_per_epoch * trial.batch_size


def test_a_batch_larger_than_the_pool_is_refused(recipe: Recipe, samples: Samples) -> None:
    large = changed(recipe, "optim", {**recipe["optim"], "batch_size": 10_000})
    with pytest.raises(ValueError, match=r"batch_size 10000 exceeds the pool of \d+ samples"):
        Trial(large, samples, 0, CPU, RUNGS)
