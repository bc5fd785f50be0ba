"""Frozen features: what an encoder says of samples, in order."""

from __future__ import annotations

import torch

from sslsearch.data.samples import Samples
from sslsearch.encoders.base import Encoder
from sslsearch.train.memory import ran_out, release

CHUNK = 256  # samples encoded at once


@torch.no_grad()
def features(
    encoder: Encoder, samples: Samples, index: torch.Tensor, device: torch.device
) -> torch.Tensor:
    """Pooled features (len(index), pooled_width), float32 on the CPU; dropout and noise off."""
    was_training = encoder.training
    encoder.eval()
    chunks = [_encoded(encoder, samples, part, device) for part in torch.split(index, CHUNK)]
    encoder.train(was_training)
    return torch.cat(chunks) if chunks else torch.empty(0, encoder.pooled_width)


def _encoded(
    encoder: Encoder, samples: Samples, index: torch.Tensor, device: torch.device
) -> torch.Tensor:
    """What does not fit in memory is encoded in halves."""
    try:
        encoded: torch.Tensor = encoder(samples.batch(index, device)).pooled_BD.float().cpu()
        return encoded
    except Exception as fault:
        if not ran_out(fault) or len(index) < 2:
            raise
    release(device)
    return torch.cat([_encoded(encoder, samples, half, device) for half in index.tensor_split(2)])
