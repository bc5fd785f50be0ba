"""Frozen features: what an encoder says of samples, in order."""

from __future__ import annotations

import torch

from sslsearch.data.samples import Samples
from sslsearch.encoders.base import Encoder

CHUNK = 256  # samples encoded at once


@torch.no_grad()
def features(
    encoder: Encoder, samples: Samples, index: torch.Tensor, device: torch.device
) -> torch.Tensor:
    """Pooled features (len(index), pooled_width), float32 on the CPU; dropout and noise off."""
    was_training = encoder.training
    encoder.eval()
    chunks = [
        encoder(samples.batch(part, device)).pooled_BD.float().cpu()
        for part in torch.split(index, CHUNK)
    ]
    encoder.train(was_training)
    return torch.cat(chunks) if chunks else torch.empty(0, encoder.pooled_width)
