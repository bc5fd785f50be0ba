"""Floors without any learning: no feature at all, and the sample itself.

Shapes: N = samples, D = features.
"""

from __future__ import annotations

from typing import Any

import torch

from sslsearch.probe.base import Probe
from sslsearch.probe.floors import FloorFeatures, Samples, batches, everything, flat
from sslsearch.registry import register


@register("floor", needs=["pooled"])
def majority(train: Samples, test: Samples, seed: int, encoder: dict[str, Any]) -> FloorFeatures:
    """One constant feature: a probe can only answer the commonest label."""
    return FloorFeatures(torch.ones(len(train.labelled), 1), torch.ones(len(test), 1))


@register("floor")
def raw(
    train: Samples,
    test: Samples,
    seed: int,
    encoder: dict[str, Any],
    probe: Probe | None = None,
) -> FloorFeatures:
    """The samples as the encoder gets them, in the form that their modality (or probe) says."""

    def rows(samples: Samples, index_N: torch.Tensor) -> torch.Tensor:
        if probe is None:
            return flat(samples, index_N)
        seen = batches(samples, index_N, torch.device("cpu"))
        modality, spec = samples.modality, samples.spec
        return torch.cat([probe.plain(probe.look(batch), modality, spec) for batch in seen])

    return FloorFeatures(rows(train, train.labelled), rows(test, everything(test)))
