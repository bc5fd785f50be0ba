"""Frozen features: what an encoder says of samples, in order."""

from __future__ import annotations

from collections.abc import Callable

import torch

from sslsearch.data.samples import Samples
from sslsearch.encoders.base import Encoder
from sslsearch.probe.base import Probe
from sslsearch.train.memory import ran_out, release
from sslsearch.values import Batch, Encoded

CHUNK = 256  # samples encoded at once


@torch.no_grad()
def features(
    encoder: Encoder,
    samples: Samples,
    index: torch.Tensor,
    device: torch.device,
    probe: Probe | None = None,
) -> torch.Tensor:
    """Features (len(index), …) as the probe looks and reads, float32 on the CPU; dropout and noise
    off. Without a probe: pooled ones, (len(index), pooled_width)."""
    was_training = encoder.training
    encoder.eval()
    look, read = (_all, _pooled) if probe is None else (probe.look, probe.read)

    def encoded(part: torch.Tensor) -> torch.Tensor:
        return read(encoder(look(samples.batch(part, device)))).float().cpu()

    chunks = [_fitting(encoded, part, device) for part in torch.split(index, CHUNK)]
    encoder.train(was_training)
    return torch.cat(chunks) if chunks else torch.empty(0, encoder.pooled_width)


def _all(batch: Batch) -> Batch:
    return batch


def _pooled(encoded: Encoded) -> torch.Tensor:
    return encoded.pooled_BD


def _fitting(
    encoded: Callable[[torch.Tensor], torch.Tensor], index: torch.Tensor, device: torch.device
) -> torch.Tensor:
    """What does not fit in memory is encoded in halves."""
    try:
        return encoded(index)
    except Exception as fault:
        if not ran_out(fault) or len(index) < 2:
            raise
    release(device)
    return torch.cat([_fitting(encoded, half, device) for half in index.tensor_split(2)])
