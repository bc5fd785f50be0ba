"""Floors without any learning: no feature at all, and the sample itself.

Shapes: N = samples, D = features.
"""

from __future__ import annotations

from typing import Any

import torch

from sslsearch.probe.floors import FloorFeatures, Samples, everything, flat
from sslsearch.registry import register


@register("floor")
def majority(train: Samples, test: Samples, seed: int, encoder: dict[str, Any]) -> FloorFeatures:
    """One constant feature: a probe can only answer the commonest label."""
    return FloorFeatures(torch.ones(len(train.labelled), 1), torch.ones(len(test), 1))


@register("floor")
def raw(train: Samples, test: Samples, seed: int, encoder: dict[str, Any]) -> FloorFeatures:
    """The samples as the encoder gets them, in the form that their modality says."""
    return FloorFeatures(flat(train, train.labelled), flat(test, everything(test)))
