"""`sslsearch pretrain`: what it refuses, says and leaves. What Ray does: search/test_groups.py."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import sslsearch
from sslsearch.data.samples import Samples
from sslsearch.doors import enter
from sslsearch.pretrain import recipe_of
from sslsearch.probe.base import build
from sslsearch.search.groups import counts
from sslsearch.search.job import STATE, Job
from sslsearch.space import load
from sslsearch.train import remains
from sslsearch.train.build import build_encoder
from sslsearch.train.loop import Trial

RECIPE = """
name: tiny
data: {modality: timeseries, source: "npz:waves.npz", labels: 10 per class}
encoder: {conv1d: {depth: 2, width: 8, kernel: 3}}
pretext: {simclr: {temperature: 0.2}}
augment: {jitter: {sigma: 0.1}}
optim: {batch_size: 16, lr: 1e-3}
fidelity: {first: 160, last: 480, eta: 3}
compute: {workers_per_trial: 2}
track: {mlflow: none}
"""


@pytest.fixture
def recipe(waves: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("waves.npz").symlink_to(waves / "waves.npz")
    Path("r.yaml").write_text(RECIPE)
    return Path("r.yaml")


def job_of(recipe: Path, *sets: str) -> Job:
    space = load(recipe, sets)
    return Job(space, recipe_of(space, str(recipe)), Path("out").resolve())


def parameters(job: Job, train: Samples) -> int:
    encoder = build_encoder(job.recipe, train.spec)
    return sum(weight.numel() for weight in encoder.parameters())


def half_way(job: Job) -> Trial:
    """A trial of the job at its first rung, saved where the job looks for it."""
    samples = Samples.from_table(job.prepare().train)
    trial = Trial(job.recipe, samples, job.seed, torch.device("cpu"), job.space.fidelity.rungs())
    trial.advance()
    trial.save(job.out / STATE)
    return trial


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--set", "optim.lr=1e-4..1e-2 log"], "1 values are open: optim.lr"),
        (["--set", "optim.lr=-1"], "lr"),
        (["--set", "optim.batch_size=15"], "15 must be divisible by compute.workers_per_trial 2"),
        (["--set", "optim.batch_size=64"], "64 exceeds the pool of 60"),
        (["--samples", "100"], "first must be <= last"),
        (["--workers", "5..7"], "5..7, of which no number divides it; its samples can be shared"),
        (["--workers", "4..2"], "a range goes from low to high: write 2..4"),
        (["--workers", "none"], "a whole number >= 1, or a range as in 2..8"),
        (["--probes", "0"], "--probes 0: at least 1"),
        (["--save-minutes", "0"], "--save-minutes 0: must be > 0"),
        (["--set", "encoder.conv1d.wdith=256"], "did you mean 'width'?"),
        (["--set", "data.source=npz:no.npz"], "no.npz"),
    ],
)
def test_wrong_input_is_found_before_ray_starts(
    recipe: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert enter("pretrain", [str(recipe), *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not Path("runs").exists()


def test_the_probe_looks_at_the_rungs_and_then_evenly(recipe: Path) -> None:
    job = job_of(recipe, "fidelity.last=4320")
    assert replace(job, probes=1).marks(16) == [160, 480, 1440, 4320]
    assert replace(job, probes=6).marks(16) == [160, 480, 720, 1440, 2160, 2880, 3600, 4320]
    assert replace(job, probes=100).marks(2160) == [2160, 4320]  # two steps: two looks
    assert job.recipe["fidelity"]["last"] == 4320  # the horizon of the learning rate


def test_a_range_takes_what_divides_the_batch(recipe: Path) -> None:
    train = Samples.from_table(job_of(recipe).prepare().train)
    assert counts(train, 48, 2, 8) == [2, 3, 4, 6, 8]
    assert counts(train, 48, 5, 6) == [6]
    with pytest.raises(ValueError, match="shared by 1, 7, 49"):
        counts(train, 49, 2, 6)


@pytest.mark.parametrize("more", [[], ["--dry-run"]])
def test_a_range_is_no_number_of_a_searchs_slots(
    recipe: Path, more: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(recipe), "--set", "compute.workers_per_trial=2..8", "--out", "study"]
    assert enter("run", [*words, *more]) == 2
    assert "a search wants one number for all its slots" in capsys.readouterr().err
    assert not Path("study").exists()


def test_what_is_trained_is_said(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wide = job_of(recipe, "encoder.conv1d.width=16", "fidelity.last=9600")
    prepared = wide.prepare()
    train = Samples.from_table(prepared.train)
    replace(wide, own=job_of(recipe).recipe)._introduce(prepared, train, wide.marks(16))
    said = capsys.readouterr().out
    size, own = (parameters(job, train) for job in (wide, job_of(recipe)))
    assert f"encoder conv1d: {size:,} parameters (in the file: {own:,})" in said
    assert "9,600 samples: 600 steps of 16, 160 epochs of 60 samples in memory" in said
    assert size > own


def test_another_recipe_in_the_folder(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    half_way(job_of(recipe))
    words = [str(recipe), "--out", "out", "--samples", "960"]
    assert enter("pretrain", words) == 2
    assert "choose another --out" in capsys.readouterr().err


def test_the_end_of_a_training(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From what the workers leave to best/, and the same command once more."""
    job = job_of(recipe)
    trial = half_way(job)
    last = trial.advance()
    prepared = job.prepare()
    encoder, probe = trial.objective.encoder, build(trial.recipe["probe"])
    test = Samples.from_table(prepared.test)
    remains.leave(job.out, encoder, probe, trial.samples, test, torch.device("cpu"))
    job.write_best(prepared, last)

    trained = sslsearch.load("out/best")
    waves = np.load("waves.npz")
    right_N = np.array(trained.predict(waves["X_test"])) == waves["y_test"].astype(str)
    assert trained.scores["run_test"] == pytest.approx(right_N.mean(), abs=1e-9)
    assert trained.scores["run_score"] == pytest.approx(last.score)
    assert sorted(p.name for p in job.out.iterdir()) == ["best", STATE]
    assert f"accuracy {right_N.mean():.3f}, opened once" in capsys.readouterr().out

    assert enter("pretrain", [str(recipe), "--out", "out"]) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert enter("pretrain", [str(recipe), "--out", "out", "--samples", "960"]) == 2
