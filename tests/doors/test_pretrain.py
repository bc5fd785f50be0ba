"""`sslsearch pretrain`: what it refuses, what it leaves; a killed training goes on exactly."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import sslsearch
from sslsearch.data.samples import Samples
from sslsearch.doors import enter
from sslsearch.pretrain import RUNG, Job, recipe_of
from sslsearch.probe.base import build
from sslsearch.space import load
from sslsearch.train import remains
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


def half_way(job: Job) -> Trial:
    """A trial of the job at its first rung, saved where the job looks for it."""
    samples = Samples.from_table(job.prepare().train)
    trial = Trial(job.recipe, samples, job.seed, torch.device("cpu"), job.space.fidelity.rungs())
    trial.advance()
    trial.save(job.out / RUNG)
    return trial


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--set", "optim.lr=1e-4..1e-2 log"], "1 values are open: optim.lr"),
        (["--set", "optim.lr=-1"], "lr"),
        (["--set", "optim.batch_size=15"], "15 must be divisible by compute.workers_per_trial 2"),
        (["--set", "optim.batch_size=64"], "64 exceeds the pool of 60"),
        (["--samples", "100"], "first must be <= last"),
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


def test_samples_set_the_last_rung(recipe: Path) -> None:
    job = job_of(recipe, "fidelity.last=4320")
    assert job.space.fidelity.rungs() == [160, 480, 1440, 4320]


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
    assert sorted(p.name for p in job.out.iterdir()) == ["best", RUNG]
    assert f"accuracy {right_N.mean():.3f}, opened once" in capsys.readouterr().out

    assert enter("pretrain", [str(recipe), "--out", "out"]) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert enter("pretrain", [str(recipe), "--out", "out", "--samples", "960"]) == 2


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_and_gone_on_is_the_same_as_never_killed(recipe: Path) -> None:
    """Two gloo workers; SIGKILL after the first rung, then the same command."""
    command = [sys.executable, "-u", "-m", "sslsearch.pretrain", "r.yaml", "--samples", "4320"]
    home = str(Path(sslsearch.__file__).parents[1])
    env = {**os.environ, "PYTHONPATH": home, "OMP_NUM_THREADS": "1"}

    process = subprocess.Popen([*command, "--out", "a"], env=env, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("rung 1/4"):
            break
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not Path("a/best").exists(), "the kill came too late to test anything"

    again = subprocess.run(
        [*command, "--out", "a"], env=env, capture_output=True, text=True, check=True
    )
    assert "going on after rung" in again.stdout
    assert "rung 4/4" in again.stdout
    subprocess.run([*command, "--out", "b"], env=env, capture_output=True, check=True)

    weights, whole = (load_file(f"{out}/best/encoder.safetensors") for out in "ab")
    for name, tensor in whole.items():
        torch.testing.assert_close(weights[name], tensor, rtol=0, atol=1e-6)
    scores = [json.loads(Path(f"{out}/best/probe.json").read_text())["scores"] for out in "ab"]
    assert scores[0]["run_test"] == scores[1]["run_test"]
    assert scores[0]["run_score"] == pytest.approx(scores[1]["run_score"], abs=1e-6)
    assert sorted(p.name for p in Path("a").iterdir()) == ["best", "recipe.yaml", RUNG]
