"""A trial saved after any step, and left there, comes to the very weights of one left alone."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from sslsearch import registry
from sslsearch.data import large_pool, prepare
from sslsearch.data.mapped import Mapped
from sslsearch.data.prepare import Prepared
from sslsearch.data.samples import Samples
from sslsearch.train.curve import Curve
from sslsearch.train.loop import Trial
from sslsearch.values import Recipe, Report

CPU = torch.device("cpu")
RUNGS = [32, 160]  # of 8 samples a step: 4 and 20 steps, of which 9 are an epoch
PRETEXTS: dict[str, dict[str, Any]] = {
    "moco": {"moco": {"queue": 24, "momentum": 0.9}},  # momentum, and a queue that goes round
    "byol": {"byol": {}},
    "mae": {"mae": {"masking": {"span": {"ratio": 0.5, "length": 3}}}},
}
DATA = {"modality": "timeseries", "source": "synthetic:110", "labels": "8 per class"}


class Killed(Exception):
    """Stands for SIGKILL: nothing is done on the way out."""


def recipe_of(pretext: str) -> Recipe:
    return Recipe(
        {
            "data": DATA,
            "encoder": {"conv1d": {"depth": 2, "width": 8, "kernel": 3}},
            "pretext": PRETEXTS[pretext],
            "augment": {"jitter": {"sigma": 0.1}, "crop_resize": {"keep": 0.6}},
            "optim": {
                "batch_size": 8,
                "lr": 0.01,
                "weight_decay": 1e-3,
                "warmup": 0.1,
                "lr_scaling": "sqrt",
            },
            "probe": {"name": "linear", "knobs": {}, "watch": [], "judge_by": "r2"},
            "fidelity": {"first": 32, "last": 160, "eta": 5},
        }
    )


def trial_of(recipe: Recipe, samples: Samples) -> Trial:
    return Trial(recipe, samples, 3, CPU, RUNGS)


def finished(trial: Trial, between: Callable[[], None] = lambda: None) -> Trial:
    while len(trial.reports) < len(RUNGS):
        trial.advance(between)
    return trial


def killed_after(trial: Trial, saved: int, steps: int, path: Path) -> None:
    """Save after step `saved`, train on for a while, and be gone."""

    def between() -> None:
        if trial.step == saved and dist_rank() == 0:
            trial.save(path)
        if trial.step == steps:
            raise Killed

    with pytest.raises(Killed):
        finished(trial, between)


def dist_rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def timeless(report: Report) -> dict[str, Any]:
    return {key: value for key, value in vars(report).items() if key != "seconds"}


def same(a: Trial, b: Trial) -> None:
    """To the bit: weights, copies, queues, moments of the optimiser, reports with their losses."""
    ours, theirs = a.objective.state_dict(), b.objective.state_dict()
    for name, tensor in theirs.items():
        assert torch.equal(ours[name], tensor), name
    left, right = (t.optimiser.state_dict()["state"] for t in (a, b))
    for key, state in right.items():
        assert all(torch.equal(left[key][name], value) for name, value in state.items())
    assert [timeless(r) for r in a.reports] == [timeless(r) for r in b.reports]


@pytest.fixture(scope="module")
def samples() -> Samples:
    made: Prepared = prepare(DATA, Path.cwd())
    return Samples.from_table(made.train)


@pytest.mark.parametrize("pretext", PRETEXTS)
def test_resumed_after_any_step(pretext: str, samples: Samples, tmp_path: Path) -> None:
    recipe = recipe_of(pretext)
    whole = finished(trial_of(recipe, samples))
    for saved in (1, 3, 4, 6, 11, 19, 20):  # within a rung, at its end, in the second epoch
        path = tmp_path / f"{saved}.safetensors"
        killed_after(trial_of(recipe, samples), saved, min(saved + 2, 20), path)
        again = trial_of(recipe, samples)
        again.restore(path)
        assert again.step == saved
        same(finished(again), whole)


def test_from_files_as_from_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pool that memory does not hold: killed and resumed, it is as the pool in memory whole."""
    monkeypatch.setattr(large_pool, "BATCH_BYTES", 16 << 10)
    modality = registry.get("modality", "timeseries").bind({})()
    pq.write_table(modality.synthetic(60, 0), tmp_path / "own.parquet")
    pq.write_table(modality.synthetic(300, 1).select(["series"]), tmp_path / "pool.parquet")
    data = {**DATA, "source": "parquet:own.parquet", "pool": "parquet:pool.parquet"}
    recipe = Recipe({**recipe_of("moco").body, "data": data})
    inside, mapped = (
        prepare(data, tmp_path, tmp_path / "out", memory=memory).train for memory in (None, 1)
    )
    assert isinstance(mapped, Mapped)
    whole = finished(trial_of(recipe, Samples.from_table(inside)))
    path = tmp_path / "state.safetensors"
    killed_after(trial_of(recipe, Samples.from_table(mapped)), 7, 9, path)
    again = trial_of(recipe, Samples.from_table(mapped))
    again.restore(path)
    same(finished(again), whole)


def test_a_save_that_is_cut_short_leaves_the_one_before(
    samples: Samples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, trial = tmp_path / "state.safetensors", trial_of(recipe_of("mae"), samples)
    trial.save(path)
    before = path.read_bytes()

    def cut(tensors: Any, part: Path, metadata: Any) -> None:
        part.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sslsearch.train.checkpoint.save_file", cut)
    with pytest.raises(OSError, match="No space"):
        trial.save(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_loss_that_is_not_finite_is_no_state_to_keep() -> None:
    curve = Curve(0)
    curve.add(torch.tensor(1.0))
    assert curve.sound()
    curve.add(torch.tensor(float("nan")))
    assert not curve.sound()
    assert not curve.look(16)


def worker(rank: int, folder: str) -> None:
    """One of two: the whole training, and one that is killed after its 6th step and resumed."""
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/meet", rank=rank, world_size=2)
    samples = Samples.from_table(prepare(DATA, Path.cwd()).train)
    for pretext in ("moco", "mae"):
        recipe, path = recipe_of(pretext), Path(folder) / f"{pretext}.safetensors"
        whole = finished(trial_of(recipe, samples))
        killed_after(trial_of(recipe, samples), 6, 7, path)
        dist.barrier()
        again = trial_of(recipe, samples)
        again.restore(path)
        same_weights = finished(again).objective.state_dict()
        for name, tensor in whole.objective.state_dict().items():
            assert torch.equal(same_weights[name], tensor), (pretext, name)
        if rank == 0:  # who judges
            same(again, whole)
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_workers_resume_between_rungs(tmp_path: Path) -> None:
    mp.spawn(worker, (str(tmp_path),), nprocs=2)
