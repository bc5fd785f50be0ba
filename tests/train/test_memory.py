"""What does not fit is taken in pieces: the same gradient, less held, a clear word at the end."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn

from sslsearch import distributed, registry
from sslsearch.data.prepare import Prepared, prepare
from sslsearch.data.samples import Samples
from sslsearch.encoders.conv1d import Conv1d
from sslsearch.pretext.build import build
from sslsearch.space import Space, parse
from sslsearch.train.build import Objective
from sslsearch.train.embed import features
from sslsearch.train.loop import Trial, loop
from sslsearch.train.memory import divisible, ran_out
from sslsearch.values import Batch, Encoded, InputSpec, Recipe

CPU = torch.device("cpu")
RUNGS = [32, 96]
ENCODERS: dict[str, dict[str, Any]] = {
    "conv1d": {"depth": 2, "width": 8, "stride": 2},
    "resnet1d": {"depth": 1, "width": 8, "stride": 2},
    "transformer": {"patch": 4, "depth": 1, "width": 8, "heads": 2},
}
PRETEXTS: dict[str, dict[str, Any]] = {
    **{name: {name: {}} for name in registry.parts("pretext", "timeseries") if name != "none"},
    "barlow_twins": {"barlow_twins": {"projector": 0.5}},
    "moco": {"moco": {"queue": 64}},
    "dino": {"dino": {"prototypes": 32, "bottleneck": 8}},
    "ijepa": {"ijepa": {"predictor_depth": 1, "predictor_width": 16}},
    "mix": {"mix_of": {"simclr": {"weight": 0.7}, "mae": {"weight": 0.3}}},
}


@pytest.fixture
def recipe(space: Space) -> Recipe:
    return space.default()


@pytest.fixture
def samples(prepared: Prepared) -> Samples:
    return Samples.from_table(prepared.train)


def short_of_memory(
    monkeypatch: pytest.MonkeyPatch, most: int, fault: Exception, training: bool = True
) -> list[int]:
    """Encoders that train take `most` samples and no more; returns the sizes that were taken."""
    honest, taken = Conv1d.forward, []

    def greedy(self: Conv1d, batch: Batch, hidden_BCN: torch.Tensor | None = None) -> Encoded:
        if self.training is training and len(batch) > most:
            raise fault
        taken.append(len(batch))
        return honest(self, batch, hidden_BCN)

    monkeypatch.setattr(Conv1d, "forward", greedy)
    return taken


def objective(encoder: str, pretext: str, length: int = 37) -> Objective:
    torch.manual_seed(0)
    spec = InputSpec("timeseries", {"channels": 2, "length": length})
    made = registry.bind("encoder", {encoder: ENCODERS[encoder]})(spec)
    return Objective(made, build(made, PRETEXTS[pretext]))


def views(count: int, B: int = 7, T: int = 37) -> list[Batch]:
    rng = torch.Generator().manual_seed(1)
    valid_BT = torch.arange(T) < torch.randint(T // 2, T + 1, (B, 1), generator=rng)
    x = [torch.randn(B, 2, T, generator=rng) for _ in range(count)]
    return [Batch(each, valid_BT, torch.arange(B)) for each in x]


def gradient(model: Objective, pieces: int) -> tuple[float, dict[str, torch.Tensor]]:
    model.pieces = pieces
    model.zero_grad()
    loss = model(views(model.pretext.views), torch.Generator().manual_seed(2)).total
    loss.backward()
    named = model.named_parameters()
    return loss.item(), {name: p.grad.clone() for name, p in named if p.grad is not None}


@pytest.mark.parametrize("encoder", sorted(ENCODERS))
@pytest.mark.parametrize("pretext", sorted(PRETEXTS))
def test_the_gradient_is_that_of_the_whole_batch(encoder: str, pretext: str) -> None:
    model = objective(encoder, pretext)
    whole, expected = gradient(model, 1)
    rounding = 1e-4 * max(float(grad.abs().max()) for grad in expected.values())
    for pieces in (3, 7):
        loss, found = gradient(model, pieces)
        assert loss == pytest.approx(whole, rel=1e-5, abs=1e-6)
        assert found.keys() == expected.keys()
        for name in expected:
            torch.testing.assert_close(found[name], expected[name], rtol=1e-3, atol=rounding)


def test_every_encoder_is_tried_here() -> None:
    series = registry.parts("encoder", modality="timeseries")
    assert set(ENCODERS) == set(series)


def test_less_is_held_between_forward_and_backward() -> None:
    def held(pieces: int) -> int:
        sizes: dict[int, int] = {}

        def pack(saved: torch.Tensor) -> torch.Tensor:
            sizes[saved.data_ptr()] = saved.numel() * saved.element_size()
            return saved

        model = objective("conv1d", "simclr", length=400)
        model.pieces = pieces
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda saved: saved):
            model(views(2, B=8, T=400), torch.Generator())
        return sum(sizes.values())

    assert held(4) < held(1) / 3


@pytest.mark.parametrize(
    "fault",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
    ],
    ids=["cuda", "python", "cpu"],
)
def test_a_trial_that_does_not_fit_goes_on_in_pieces(
    recipe: Recipe, samples: Samples, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    whole = list(loop(recipe, samples, 0, RUNGS))
    taken = short_of_memory(monkeypatch, 3, fault)
    pieces = list(loop(recipe, samples, 0, RUNGS))
    assert recipe["optim"]["batch_size"] == 16
    assert set(taken[:8]) == {2}  # 16, 8 and 4 did not fit
    for one, other in zip(pieces, whole, strict=True):
        assert one.status == "ok"
        assert (one.settings["batch_size"], one.settings["micro_batch"]) == (16, 2)
        assert "micro_batch" not in other.settings
        assert one.score == pytest.approx(other.score, abs=1e-3)
        assert one.losses[-1][1] == pytest.approx(other.losses[-1][1], rel=1e-4)


def test_memory_that_runs_out_in_the_middle_of_a_rung_costs_one_step(
    recipe: Recipe, samples: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    (whole,) = loop(recipe, samples, 0, RUNGS[:1])
    trial = Trial(recipe, samples, 0, CPU, RUNGS[:1])
    trial._step()
    short_of_memory(monkeypatch, 4, MemoryError())
    report = trial.advance()
    assert report.settings["micro_batch"] == 4
    assert report.samples_seen == whole.samples_seen
    assert report.losses[-1][1] == pytest.approx(whole.losses[-1][1], rel=1e-4)


def test_a_resumed_trial_keeps_its_pieces(
    recipe: Recipe, samples: Samples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "rung.safetensors"
    with monkeypatch.context() as patch:
        short_of_memory(patch, 4, MemoryError())
        next(iter(loop(recipe, samples, 0, RUNGS, resume=path)))
    (last,) = loop(recipe, samples, 0, RUNGS, resume=path)
    assert last.settings["micro_batch"] == 4


def test_what_never_fits_is_said_with_a_cure(
    recipe: Recipe, samples: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    short_of_memory(monkeypatch, 0, torch.OutOfMemoryError("CUDA out of memory\nand so on"))
    (report,) = loop(recipe, samples, 0, RUNGS)
    assert report.status == "oom"
    assert math.isnan(report.score)
    assert report.message == (
        "a batch of 16 samples does not fit in memory, even with the encoder taking 1 at a time: "
        "lower optim.batch_size or raise compute.workers_per_trial (CUDA out of memory)"
    )


def test_an_encoder_with_batch_statistics_is_not_divided(
    recipe: Recipe, samples: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = Trial(recipe, samples, 0, CPU, RUNGS)
    assert divisible(trial.objective.encoder)
    trial.objective.encoder.norm = distributed.BatchNorm(4)
    assert not divisible(trial.objective.encoder)
    taken = short_of_memory(monkeypatch, 4, MemoryError())
    report = trial.advance()
    assert (report.status, taken) == ("oom", [])
    assert "whose norm needs all of them" in report.message


def test_features_are_taken_in_halves_too(
    recipe: Recipe, samples: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = Trial(recipe, samples, 0, CPU, RUNGS).objective.encoder
    whole = features(encoder, samples, torch.arange(20), CPU)
    taken = short_of_memory(monkeypatch, 5, MemoryError(), training=False)
    torch.testing.assert_close(features(encoder, samples, torch.arange(20), CPU), whole)
    assert taken == [5, 5, 5, 5]
    assert encoder.training


def test_what_is_memory_and_what_is_not(recipe: Recipe, samples: Samples) -> None:
    with pytest.raises(RuntimeError) as real:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert ran_out(real.value)
    assert not ran_out(RuntimeError("shapes do not match"))
    trial = Trial(recipe, samples, 0, CPU, RUNGS)
    trial.objective.encoder.stem = nn.Linear(3, 3)
    with pytest.raises(RuntimeError):
        trial.advance()


def test_trying_out_leaves_no_trace(
    recipe: Recipe, samples: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = Trial(recipe, samples, 0, CPU, RUNGS)
    before = {k: v.clone() for k, v in trial.objective.state_dict().items()}
    assert any("running_mean" in name for name in before)
    short_of_memory(monkeypatch, 4, MemoryError())
    trial._try_out()
    assert trial.micro_batch == 4
    assert all(p.grad is None for p in trial.objective.parameters())
    for name, value in trial.objective.state_dict().items():
        assert torch.equal(value, before[name]), name


def _worker(rank: int, recipe: dict[str, Any], most: int, out: Path) -> None:
    """One of two workers, of which the second takes only `most` of its 8 samples at once."""
    torch.set_num_threads(1)
    store = dist.FileStore(str(out / "store"), 2)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=2)
    data = {"modality": "timeseries", "source": "synthetic:60", "labels": "4 per class"}
    trial = Trial(
        Recipe(recipe), Samples.from_table(prepare(data, Path()).train), 0, CPU, RUNGS[:1]
    )
    trial._untried = True  # as with CUDA
    if rank == 1:
        short_of_memory(pytest.MonkeyPatch(), most, MemoryError("worker 1 is full"))
    weights = dict(trial.objective.named_parameters())
    torch.save({"report": vars(trial.advance()), "weights": weights}, out / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
@pytest.mark.parametrize(("most", "status", "taken"), [(2, "ok", 4), (0, "oom", 2)])
def test_two_workers_agree_beforehand(
    recipe: Recipe, tmp_path: Path, most: int, status: str, taken: int
) -> None:
    mp.spawn(_worker, (recipe.body, most, tmp_path), nprocs=2)
    first, second = (torch.load(tmp_path / f"{r}.pt", weights_only=False) for r in (0, 1))
    for one in (first, second):
        assert one["report"]["status"] == status
        assert one["report"]["settings"]["micro_batch"] == taken  # by both workers together
        assert one["report"]["samples_seen"] == (32 if status == "ok" else 0)
    for name, value in first["weights"].items():
        assert torch.equal(value, second["weights"][name]), name


@pytest.mark.gpu
def test_a_gpu_that_is_too_small_trains_in_pieces() -> None:
    text = """
    name: big
    data: {modality: timeseries, source: "synthetic:600", labels: 8 per class}
    encoder: {conv1d: {depth: 8, width: 256}}
    pretext: {simclr: {}}
    optim: {batch_size: 256}
    """
    space, device = parse(text), torch.device("cuda")
    samples = Samples.from_table(prepare(space.data.model_dump(), Path()).train).to(device)
    recipe = space.default()
    rungs = [2 * recipe["optim"]["batch_size"]]
    torch.cuda.reset_peak_memory_stats()
    (whole,) = loop(recipe, samples, 0, rungs, device)
    peak = torch.cuda.max_memory_allocated()
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(device).total_memory
    torch.cuda.set_per_process_memory_fraction(0.5 * peak / total)
    try:
        torch.cuda.reset_peak_memory_stats()
        (pieces,) = loop(recipe, samples, 0, rungs, device)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert whole.status == pieces.status == "ok"
    assert pieces.settings["micro_batch"] < recipe["optim"]["batch_size"]
    assert torch.cuda.max_memory_allocated() <= 0.5 * peak
    assert pieces.losses[-1][1] == pytest.approx(whole.losses[-1][1], rel=1e-2)
