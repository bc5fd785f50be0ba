"""The floor that pretraining must beat first: the same encoder with random weights.

Saxe et al. 2011, On Random Weights and Unsupervised Feature Learning (ICML).
"""

from __future__ import annotations

from typing import Any

import torch

from sslsearch import registry
from sslsearch.probe.base import Probe
from sslsearch.probe.floors import FloorFeatures, Samples, device, everything, pooled
from sslsearch.registry import register


@register("floor", traits=["random"], paper="Saxe et al. 2011, ICML")
def untrained(
    train: Samples,
    test: Samples,
    seed: int,
    encoder: dict[str, Any],
    probe: Probe | None = None,
) -> FloorFeatures:
    """What the probe reads (pooled features) of the space's usual encoder as it was initialised."""
    with torch.random.fork_rng(devices=[]):  # initialisers draw from the global generator
        torch.manual_seed(seed)
        model = registry.bind("encoder", encoder)(train.spec).to(device())
    return FloorFeatures(
        pooled(model, train, train.labelled, probe), pooled(model, test, everything(test), probe)
    )
