"""Floors without any learning: no feature at all, and the series itself.

Shapes: B = samples of a batch, C = channels, T = time steps, N = samples, D = features.
"""

from __future__ import annotations

from typing import Any

import torch

from sslsearch.probe.floors import FloorFeatures, Samples, batches, everything
from sslsearch.registry import register


@register("floor")
def majority(train: Samples, test: Samples, seed: int, encoder: dict[str, Any]) -> FloorFeatures:
    """One constant feature: a probe can only answer the commonest label."""
    return FloorFeatures(torch.ones(len(train.labelled), 1), torch.ones(len(test), 1))


@register("floor", modality="timeseries")
def raw(train: Samples, test: Samples, seed: int, encoder: dict[str, Any]) -> FloorFeatures:
    """The series as the encoder gets it (normalised, 0 where not valid), step by step."""

    def flat(samples: Samples, index_N: torch.Tensor) -> torch.Tensor:
        return torch.cat(
            [
                torch.where(batch.valid[:, None], batch.x, torch.zeros_like(batch.x)).flatten(1)
                for batch in batches(samples, index_N, torch.device("cpu"))
            ]
        )

    return FloorFeatures(flat(train, train.labelled), flat(test, everything(test)))
