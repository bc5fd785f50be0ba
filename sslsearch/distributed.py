"""What a pretext asks of the other workers: gathered samples and global statistics, with gradients.

Every helper is the identity with one worker. With W workers under DDP (which averages gradients
over workers), a loss built from these equals the loss of one worker with the same global batch,
and so does its gradient.

Why: backward of each collective is its true adjoint, a sum over workers. So if worker v returns
the loss L_v, its parameters receive the gradients of L_1 + … + L_W through its own share of the
batch, and the average over workers is the gradient of (L_1 + … + L_W) / W with respect to the
shared parameters. Every pretext returns the same global loss, L_v = L: the average is dL.

Shapes: B = this worker's samples, G = W·B = samples of the global batch, D = width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn import functional as F

_alone = ContextVar("alone", default=False)


def world() -> int:
    """How many workers train together; 1 where torch.distributed does not run."""
    there = dist.is_available() and dist.is_initialized() and not _alone.get()
    return dist.get_world_size() if there else 1


@contextmanager
def alone() -> Iterator[None]:
    """In it a worker computes as if there were no others: it may fail without holding them up."""
    token = _alone.set(True)
    try:
        yield
    finally:
        _alone.reset(token)


def most(number: int, device: torch.device) -> int:
    """The largest of the workers' numbers, on every worker."""
    largest = torch.tensor(number, device=device)
    if world() > 1:
        dist.all_reduce(largest, op=dist.ReduceOp.MAX)
    return int(largest)


def rank() -> int:
    """This worker's place among them, from 0."""
    return dist.get_rank() if world() > 1 else 0


def gather(z_BD: torch.Tensor) -> torch.Tensor:
    """The samples of all workers in order of rank; gradients flow back to their owners.

    All workers must hold equally many samples.
    """
    if world() == 1:
        return z_BD
    assert _equal_shares(z_BD), "gather() needs equally many samples on every worker"
    gathered_GD: torch.Tensor = _Gather.apply(z_BD)
    return gathered_GD


def all_reduce_sum(x: torch.Tensor) -> torch.Tensor:
    """The sum over workers of tensors of one shape, differentiable."""
    if world() == 1:
        return x
    total: torch.Tensor = _Sum.apply(x)
    return total


def mean_over_workers(x: torch.Tensor) -> torch.Tensor:
    """The mean over workers: turns means over equal shares into the mean of the global batch."""
    return all_reduce_sum(x) / world()


def global_mean(total: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
    """Sum of totals over sum of counts (of all workers); 0 with its graph where nothing counts."""
    return all_reduce_sum(total) / all_reduce_sum(count.to(total.dtype)).clamp(min=1)


def first_of(share: int) -> int:
    """Where this worker's `share` of samples begins in what `gather` returns."""
    return rank() * share


def draw(make: Callable[[torch.Tensor], torch.Tensor], like_B: torch.Tensor) -> torch.Tensor:
    """Randomness for the global batch, of which each worker keeps its share.

    `make` turns a tensor with one row per sample into draws with one row per sample; worker 0's
    count, so that the draws do not depend on how many workers share the batch.
    """
    if world() == 1:
        return make(like_B)
    drawn_G = agree(make(gather(like_B)))
    return drawn_G.tensor_split(world())[rank()]


def agree(x: torch.Tensor) -> torch.Tensor:
    """Worker 0's tensor, on every worker (no gradient)."""
    if world() == 1:
        return x
    wire = _on_wire(x.detach().clone())
    dist.broadcast(wire, src=0)
    return wire.to(x.dtype)


class BatchNorm(nn.BatchNorm1d):
    """BatchNorm1d for (B, D) whose statistics are those of all workers' samples together.

    torch's SyncBatchNorm refuses CPU tensors. A global batch of one sample has no spread, so it
    is normalised by the running statistics instead of failing.
    """

    def forward(self, x_BD: torch.Tensor) -> torch.Tensor:
        workers = world()
        if not self.training or (workers == 1 and len(x_BD) > 1):
            return super().forward(x_BD)
        if workers * len(x_BD) == 1:
            return F.batch_norm(
                x_BD, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        with full_precision(x_BD.device):
            return self._all_workers(x_BD.float())

    def _all_workers(self, x_BD: torch.Tensor) -> torch.Tensor:
        count = all_reduce_sum(x_BD.new_tensor(float(len(x_BD))))
        mean_D = all_reduce_sum(x_BD.sum(0)) / count
        var_D = all_reduce_sum((x_BD - mean_D).square().sum(0)) / count
        with torch.no_grad():
            assert self.running_mean is not None
            assert self.running_var is not None
            assert self.num_batches_tracked is not None
            assert self.momentum is not None
            unbiased_D = var_D * count / (count - 1).clamp(min=1)
            self.running_mean.lerp_(mean_D, self.momentum)
            self.running_var.lerp_(unbiased_D, self.momentum)
            self.num_batches_tracked.add_(1)
        normed_BD = (x_BD - mean_D) * torch.rsqrt(var_D + self.eps)
        return normed_BD * self.weight + self.bias if self.affine else normed_BD


def full_precision(device: torch.device) -> torch.autocast:
    """A context in which mixed precision is off: similarities and variances want float32."""
    return torch.autocast(device.type, enabled=False)


def _on_wire(x: torch.Tensor) -> torch.Tensor:
    """Not every backend carries bools."""
    return (x.to(torch.uint8) if x.dtype is torch.bool else x).contiguous()


def _equal_shares(z_BD: torch.Tensor) -> bool:
    mine = torch.tensor([len(z_BD), -len(z_BD)], device=z_BD.device)
    dist.all_reduce(mine, op=dist.ReduceOp.MAX)
    return int(mine[0]) == -int(mine[1])


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z_BD: torch.Tensor) -> torch.Tensor:
        ctx.share = len(z_BD)
        wire = _on_wire(z_BD)
        parts = [torch.empty_like(wire) for _ in range(world())]
        dist.all_gather(parts, wire)
        return torch.cat(parts).to(z_BD.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> torch.Tensor:
        grad_GD = grads[0].clone().contiguous()
        dist.all_reduce(grad_GD)
        start = first_of(ctx.share)
        return grad_GD[start : start + ctx.share]


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        total = x.clone().contiguous()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> torch.Tensor:
        total = grads[0].clone().contiguous()
        dist.all_reduce(total)
        return total
