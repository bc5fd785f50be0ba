"""Two workers equal one worker with the same global batch: loss, gradients, running statistics.

Two gloo processes on loopback, started once, go through all cases under real DDP. Views are the
same in both worlds. Randomness inside a pretext (masks, crops) is drawn for the whole global batch
by worker 0 and shared out (`distributed.draw`), so it too is the same if worker 0's generator is;
worker 1 is given a generator of its own to show that only worker 0's counts. Series are ragged, so
the workers hold unequal numbers of tokens.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from sslsearch import distributed, registry
from sslsearch.pretext.build import build
from sslsearch.values import Batch, InputSpec, Loss

WORLD, SHARE, LENGTH = 2, 3, 24
CONV: dict[str, Any] = {"conv1d": {"depth": 2, "width": 8, "stride": 2}}
PATCHES: dict[str, Any] = {"transformer": {"patch": 2, "depth": 1, "width": 8, "heads": 2}}
CELLS: dict[str, Any] = {"table_mlp": {"depth": 2, "width": 8}}
SERIES = InputSpec("timeseries", {"channels": 2, "length": LENGTH})
TABLE = InputSpec("tabular", {"numbers": 3, "levels": [4, 2]})
CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "simclr": (CONV, {"simclr": {}}),
    "byol": (CONV, {"byol": {}}),
    "vicreg": (CONV, {"vicreg": {}}),
    "mae": (CONV, {"mae": {}}),
    "mae_patches": (PATCHES, {"mae": {"masking": {"span": {"ratio": 0.5}}}}),
    "cpc": (CONV, {"cpc": {"windows": 4, "context": 8}}),
    "ts2vec": (CONV, {"ts2vec": {}}),
    "moco": (CONV, {"moco": {"queue": 8, "momentum": 0.5}}),  # 6 keys a step: it goes round
    "moco_v3": (CONV, {"moco_v3": {}}),
    "simsiam": (CONV, {"simsiam": {}}),
    "barlow_twins": (CONV, {"barlow_twins": {"projector": 0.5}}),
    "dino": (CONV, {"dino": {"prototypes": 12, "bottleneck": 4, "student_views": 3}}),
    "ijepa": (PATCHES, {"ijepa": {"predictor_depth": 1, "predictor_width": 16}}),
    "simmim": (CONV, {"simmim": {}}),
    "autoregressive": (PATCHES, {"autoregressive": {}}),
    "transform_prediction": (CONV, {"transform_prediction": {}}),
    "tnc": (CONV, {"tnc": {"windows": 3}}),
    "ts_tcc": (CONV, {"ts_tcc": {"ahead": 2, "depth": 1, "hidden": 8, "temperature": 1.0}}),
    "mae_cells": (CELLS, {"mae": {"masking": {"random": {"ratio": 0.5}}}}),
    "scarf": (CELLS, {"scarf": {}}),
    "vime": (CELLS, {"vime": {}}),
    "subtab": (CELLS, {"subtab": {"subsets": 2}}),
    "latent_noise": (CELLS, {"latent_noise": {}}),
    "mix_of": (CONV, {"mix_of": {"simclr": {"weight": 1.0}, "mae": {"weight": 2.0}}}),
}
Seen = dict[str, torch.Tensor]


class Objective(nn.Module):
    """Encoder and pretext as one module, as DDP wants them."""

    def __init__(self, encoder: dict[str, Any], pretext: dict[str, Any]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.spec = TABLE if encoder is CELLS else SERIES
        self.encoder = registry.bind("encoder", encoder)(self.spec)
        self.pretext = build(self.encoder, pretext)

    def forward(self, views: list[Batch], rng: torch.Generator) -> Loss:
        return self.pretext.loss(self.encoder, views, rng)


def share_of_views(count: int) -> list[Batch]:
    """This worker's rows of the global batch; all of it where there is but one worker."""
    rng = torch.Generator().manual_seed(3)
    x = torch.randn(count, WORLD * SHARE, 2, LENGTH, generator=rng)
    length = torch.tensor([24, 24, 20, 14, 11, 8])
    valid, index = torch.arange(LENGTH) < length[:, None], torch.arange(WORLD * SHARE)
    size = WORLD * SHARE // distributed.world()
    own = slice(distributed.rank() * size, (distributed.rank() + 1) * size)
    return [Batch(x[v, own], valid[own], index[own]) for v in range(count)]


def share_of_rows(count: int) -> list[Batch]:
    """As `share_of_views`, of a table with gaps."""
    rng, size = torch.Generator().manual_seed(3), WORLD * SHARE // distributed.world()
    number = torch.randn(count, WORLD * SHARE, 3, generator=rng)
    code = torch.randint(0, 2, (count, WORLD * SHARE, 2), generator=rng)
    valid, index = torch.rand(WORLD * SHARE, 5, generator=rng) < 0.8, torch.arange(WORLD * SHARE)
    own = slice(distributed.rank() * size, (distributed.rank() + 1) * size)
    cells = [{"number": number[v, own], "code": code[v, own]} for v in range(count)]
    return [Batch(x, valid[own], index[own]) for x in cells]


def run(case: str) -> Seen:
    """Two steps of a case; what came of it."""
    objective = Objective(*CASES[case])
    module: nn.Module = objective
    if distributed.world() > 1:
        module = DistributedDataParallel(objective, find_unused_parameters=True)
    rng = torch.Generator().manual_seed(11 + 1000 * distributed.rank())
    weights = [p for p in objective.parameters() if p.requires_grad]
    optimiser = torch.optim.SGD(weights, lr=0.01)
    seen: Seen = {}
    for step in range(2):
        optimiser.zero_grad()
        share = share_of_rows if objective.spec is TABLE else share_of_views
        loss = module(share(objective.pretext.views), rng)
        loss.total.backward()
        seen[f"{step} loss"] = loss.total.detach()
        for name, weight in objective.named_parameters():
            if weight.grad is not None:
                seen[f"{step} grad {name}"] = weight.grad.clone()
        optimiser.step()
        objective.pretext.after_step(objective.encoder, 0.5)
    return seen | {f"state {name}": value for name, value in objective.state_dict().items()}


def batch_norm() -> Seen:
    """Our BatchNorm over unequal shares (4 and 2 rows), against the gradient of a fixed loss."""
    rng = torch.Generator().manual_seed(5)
    x = 3 + 2 * torch.randn(6, 5, generator=rng)
    target = torch.randn(6, 5, generator=rng)
    if distributed.world() > 1:
        own = slice(0, 4) if distributed.rank() == 0 else slice(4, 6)
        x, target = x[own], target[own]
    x.requires_grad_()
    norm = distributed.BatchNorm(5)
    out = norm(x)
    loss = distributed.all_reduce_sum((out * target).square().sum())
    # Backward sums what all workers return, and here all return the one global loss.
    (loss / distributed.world()).backward()
    assert x.grad is not None
    assert norm.weight.grad is not None
    pad = torch.zeros(6, 5)
    start = 4 * distributed.rank()
    pad[start : start + len(x)] = x.grad
    return {
        "loss": loss.detach(),
        "input grad": distributed.all_reduce_sum(pad),
        "weight grad": distributed.all_reduce_sum(norm.weight.grad),
        "mean": norm.running_mean,
        "var": norm.running_var,
    }


def helpers() -> Seen:
    """gather, means and draws, each in its plainest use."""
    rank = distributed.rank()
    rng = torch.Generator().manual_seed(rank)
    mine = torch.full((2, 1), float(rank + 1), requires_grad=True)
    gathered = distributed.gather(mine)
    weight = torch.arange(4.0)[:, None]
    (gathered * weight).sum().backward()
    assert mine.grad is not None
    return {
        "gather": gathered.detach().flatten(),
        "gather grad": mine.grad.flatten(),
        "bools": distributed.gather(torch.tensor([rank == 0])),
        "mean": distributed.mean_over_workers(torch.tensor(float(rank))),
        "global_mean": distributed.global_mean(torch.tensor(6.0 * rank), torch.tensor(1 + rank)),
        "draw": distributed.draw(lambda like: torch.rand(like.shape, generator=rng), torch.ones(2)),
        "agree": distributed.agree(torch.tensor([rank + 7])),
    }


def worker(rank: int, folder: str) -> None:
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/meet", rank=rank, world_size=WORLD)
    seen = {case: run(case) for case in CASES} | {"norm": batch_norm(), "helpers": helpers()}
    torch.save(seen, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Seen]]:
    folder: Path = tmp_path_factory.mktemp("two_workers")
    mp.spawn(worker, (str(folder),), nprocs=WORLD)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(WORLD)]


@pytest.mark.parametrize("case", sorted(CASES))
def test_two_workers_equal_one(case: str, two: list[dict[str, Seen]]) -> None:
    one = run(case)
    assert any("grad encoder" in name and value.any() for name, value in one.items())
    for seen in two:
        for name, value in one.items():
            theirs = seen[case].get(name, torch.zeros_like(value))
            torch.testing.assert_close(
                theirs, value, atol=2e-5, rtol=1e-4, msg=lambda m, n=name: f"{n}: {m}"
            )


def test_batch_norm_equals_one_worker_and_torchs(two: list[dict[str, Seen]]) -> None:
    one = batch_norm()
    for seen in two:
        for name, value in one.items():
            torch.testing.assert_close(seen["norm"][name], value, atol=1e-5, rtol=1e-5)
    rng = torch.Generator().manual_seed(5)
    norm = nn.BatchNorm1d(5)
    norm(3 + 2 * torch.randn(6, 5, generator=rng))
    torch.testing.assert_close(norm.running_var, two[0]["norm"]["var"])


def test_helpers(two: list[dict[str, Seen]]) -> None:
    first, second = (seen["helpers"] for seen in two)
    for seen in (first, second):
        assert seen["gather"].tolist() == [1, 1, 2, 2]
        assert seen["bools"].tolist() == [True, False]
        assert float(seen["mean"]) == 0.5
        assert float(seen["global_mean"]) == 2.0  # (0 + 6) / (1 + 2)
        assert seen["agree"].tolist() == [7]
    assert first["gather grad"].tolist() == [0, 2]  # both workers' losses reach the owner
    assert second["gather grad"].tolist() == [4, 6]
    drawn = torch.rand(4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(torch.cat([first["draw"], second["draw"]]), drawn)


def test_alone_everything_is_the_identity() -> None:
    x = torch.arange(3.0)
    assert distributed.world() == 1
    assert distributed.rank() == 0
    assert distributed.gather(x) is x
    assert distributed.all_reduce_sum(x) is x
    assert distributed.agree(x) is x
    assert float(distributed.global_mean(torch.tensor(0.0), torch.tensor(0))) == 0.0
