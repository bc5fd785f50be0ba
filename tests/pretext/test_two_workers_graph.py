"""On graphs two workers equal one with the same global batch: loss and gradients.

Many graphs of unequal size, shared out by halves over two gloo processes under DDP. Left out are
tasks that draw for their own share (DGI's corruption, pairs without an edge, VGAE's noise, hidden
words).
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
from sslsearch.graph import Graph
from sslsearch.pretext.build import build
from sslsearch.values import Batch, InputSpec, Loss

WORLD, FEATURES, SIZES = 2, 4, (9, 4, 3, 6, 2, 5)
HALF: dict[str, Any] = {"masking": {"random": {"ratio": 0.5}}}
CASES: dict[str, dict[str, Any]] = {
    "simclr": {},
    "cca_ssg": {},
    "infograph": {"projection": 8},
    "graphmae": HALF,
    "attribute_prediction": HALF,
    "mae": {**HALF, "decoder_depth": 0},
}
Seen = dict[str, torch.Tensor]


class Objective(nn.Module):
    """Encoder and pretext as one module, as DDP wants them."""

    def __init__(self, case: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        spec = InputSpec("graph", {"features": FEATURES, "nodes": max(SIZES)})
        self.encoder = registry.bind("encoder", {"gcn": {"width": 8}})(spec)
        self.pretext = build(self.encoder, {case: CASES[case]})

    def forward(self, views: list[Batch], rng: torch.Generator) -> Loss:
        return self.pretext.loss(self.encoder, views, rng)


def ring(size: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    x_VF = torch.rand(size, FEATURES, generator=torch.Generator().manual_seed(seed)) + 0.1
    at = torch.arange(size)
    edge_2E = torch.stack([at, (at + 1) % size])
    return x_VF, torch.unique(torch.cat([edge_2E, edge_2E.flip(0)], 1), dim=1)


def share(view: int) -> Batch:
    """This worker's graphs of the global batch; all of them where there is but one worker."""
    count = len(SIZES) // distributed.world()
    own = range(distributed.rank() * count, (distributed.rank() + 1) * count)
    parts = [ring(SIZES[g], 10 * view + g) for g in own]
    sizes = torch.tensor([len(x_VF) for x_VF, _ in parts])
    first = sizes.cumsum(0) - sizes
    graph = Graph(
        x_VF=torch.cat([x_VF for x_VF, _ in parts]),
        edge_2E=torch.cat([e + f for (_, e), f in zip(parts, first, strict=True)], 1),
        graph_V=torch.repeat_interleave(torch.arange(count), sizes),
        count=count,
        valid_V=torch.ones(int(sizes.sum()), dtype=torch.bool),
    )
    return Batch(graph, torch.ones(count, 1, dtype=torch.bool), torch.tensor(list(own)))


def run(case: str) -> Seen:
    objective = Objective(case)
    module: nn.Module = objective
    if distributed.world() > 1:
        module = DistributedDataParallel(objective, find_unused_parameters=True)
    rng = torch.Generator().manual_seed(11 + 1000 * distributed.rank())
    loss = module([share(view) for view in range(objective.pretext.views)], rng)
    loss.total.backward()
    grads = {n: w.grad for n, w in objective.named_parameters() if w.grad is not None}
    return {"loss": loss.total.detach(), **grads}


def worker(rank: int, folder: str) -> None:
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/meet", rank=rank, world_size=WORLD)
    torch.save({case: run(case) for case in CASES}, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_workers_equal_one(tmp_path: Path) -> None:
    mp.spawn(worker, (str(tmp_path),), nprocs=WORLD)
    for rank in range(WORLD):
        two = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        for case in CASES:
            one = run(case)
            assert any(name.startswith("encoder") and g.any() for name, g in one.items())
            for name, value in one.items():
                theirs = two[case].get(name, torch.zeros_like(value))
                torch.testing.assert_close(
                    theirs,
                    value,
                    atol=2e-5,
                    rtol=1e-4,
                    msg=lambda m, n=name: f"{n} {m}",
                )
