"""A batch that memory cannot take at once: the encoder takes it in pieces, the loss stays whole.

Each piece's activations are dropped after its forward pass and computed again in the backward pass
(Chen et al. 2016, Training Deep Nets with Sublinear Memory Cost, arXiv:1604.06174), so that one
piece at a time is held. Heads, negatives and batch statistics see the whole batch: the gradient is
that of the whole batch for every pretext (Gao et al. 2021, Scaling Deep Contrastive Learning Batch
Size under Memory Limited Setup, arXiv:2101.06983, do it for contrastive losses). It costs a second
forward pass of the encoder.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from sslsearch.encoders.base import Encoder
from sslsearch.values import Batch, Encoded

# How torch says it where it raises a plain RuntimeError: on CPUs, and from CUDA's libraries.
SAID = ("DefaultCPUAllocator: ", "ALLOC_FAILED", "out of memory")


class DoesNotFit(MemoryError):
    """Said by all workers of a trial at once."""


def ran_out(fault: BaseException) -> bool:
    """Was it memory?"""
    if isinstance(fault, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(fault, RuntimeError) and any(said in str(fault) for said in SAID)


def release(device: torch.device) -> None:
    """Hand back what a failed attempt has left in the allocator's cache."""
    if device.type == "cuda":
        torch.cuda.empty_cache()


def divisible(encoder: nn.Module) -> bool:
    """Does a sample's encoding depend on that sample alone?"""
    norms = nn.modules.batchnorm._BatchNorm
    return getattr(encoder, "samples_apart", True) and not any(
        isinstance(module, norms) for module in encoder.modules()
    )


class InPieces:
    """Stands in for an encoder: a batch is taken in equal pieces, one after the other."""

    def __init__(self, encoder: Encoder, pieces: int) -> None:
        self.encoder, self.pieces = encoder, pieces

    def __call__(self, batch: Batch, hidden_BCN: torch.Tensor | None = None) -> Encoded:
        rows = torch.arange(len(batch)).tensor_split(self.pieces)
        parts = [self._piece(batch, hidden_BCN, slice(int(r[0]), int(r[-1]) + 1)) for r in rows]
        return Encoded(
            torch.cat([part.tokens_BND for part in parts]),
            torch.cat([part.pooled_BD for part in parts]),
            torch.cat([part.valid_BN for part in parts]),
        )

    def _piece(self, batch: Batch, hidden_BCN: torch.Tensor | None, rows: slice) -> Encoded:
        x = batch.x
        x = {name: value[rows] for name, value in x.items()} if isinstance(x, dict) else x[rows]
        piece = Batch(x, batch.valid[rows], batch.index[rows])
        hidden = None if hidden_BCN is None else hidden_BCN[rows]
        encoded: Encoded = checkpoint(self.encoder, piece, hidden, use_reentrant=False)
        return encoded

    def __getattr__(self, name: str) -> Any:
        return getattr(self.encoder, name)


def cure(batch_size: int, at_once: int, encoder: Encoder, fault: BaseException) -> str:
    """What to say where nothing helps; the encoder took `at_once` samples at last."""
    tried = f"taking {at_once} at a time" if divisible(encoder) else "whose norm needs all of them"
    reason = str(fault).splitlines() or [type(fault).__name__]
    return (
        f"a batch of {batch_size} samples does not fit in memory, even with the encoder {tried}: "
        f"lower optim.batch_size or raise compute.workers_per_trial ({reason[0]})"
    )
