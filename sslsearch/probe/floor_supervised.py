"""The floor that labels alone reach: the space's usual encoder trained from scratch on them."""

from __future__ import annotations

from typing import Annotated, Any

import torch
from torch import nn

from sslsearch import registry
from sslsearch.probe.floors import FloorFeatures, Samples, device, everything, pooled
from sslsearch.probe.supervision import Schedule, train_on_labels
from sslsearch.registry import Count, NonNegative, Positive, Unit, register


@register("floor", traits=["random"], needs=["labels", "pooled"])
def supervised(
    train: Samples,
    test: Samples,
    seed: int,
    encoder: dict[str, Any],
    *,
    steps: Annotated[Count, Unit("optimiser steps")] = 200,
    epochs: Annotated[Count, Unit("passes over the labelled samples")] = 25,
    lr: Positive = 1e-3,
    weight_decay: NonNegative = 1e-2,
) -> FloorFeatures:
    """Pooled features of an encoder trained with a linear head: cross-entropy, no augmentation.

    Nothing is chosen on held-out labels. The cost is bounded by `steps`; the batches are as large
    as `epochs` passes then need, within 8 and 64 samples.
    """
    learnt = train.labelled[train.fitting]
    with torch.random.fork_rng():  # initialisers and dropout draw from the global generators
        torch.manual_seed(seed)
        model = registry.bind("encoder", encoder)(train.spec).to(device())
        classes = torch.unique(train.labels_N[learnt])
        head = nn.Linear(model.pooled_width, len(classes)).to(device())
        schedule = Schedule(steps, epochs, lr, weight_decay)
        train_on_labels(model, head, train, learnt, classes, schedule, seed)
    return FloorFeatures(
        pooled(model, train, train.labelled),
        pooled(model, test, everything(test)),
        sees_labels=True,
    )
