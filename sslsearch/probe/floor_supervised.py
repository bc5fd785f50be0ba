"""The floor that labels alone reach: the space's usual encoder trained from scratch on them.

Shapes: B = samples of a batch, N = labelled samples, K = classes.
"""

from __future__ import annotations

import math
from typing import Annotated, Any

import torch
from torch import nn
from torch.nn import functional as F

from sslsearch import registry
from sslsearch.encoders.base import Encoder
from sslsearch.probe.floors import FloorFeatures, Samples, device, everything, pooled
from sslsearch.registry import Count, NonNegative, Positive, Unit, register

SMALLEST, LARGEST = 8, 64  # samples of a batch


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

    AdamW, its learning rate warmed up over a tenth of the steps and then lowered along a cosine:
    nothing is chosen on held-out labels. The cost is bounded by `steps`; the batches are as large
    as `epochs` passes then need, within 8 and 64 samples.
    """
    learnt = train.labelled[train.fitting]
    size = _batch_size(len(learnt), steps, epochs)
    with torch.random.fork_rng():  # initialisers and dropout draw from the global generators
        torch.manual_seed(seed)
        model = registry.bind("encoder", encoder)(train.spec).to(device())
        classes = torch.unique(train.labels_N[learnt])
        head = nn.Linear(model.pooled_width, len(classes)).to(device())
        order = _order(learnt, size, steps, torch.Generator().manual_seed(seed))
        _fit(model, head, train, order, classes, lr, weight_decay)
    return FloorFeatures(
        pooled(model, train, train.labelled),
        pooled(model, test, everything(test)),
        sees_labels=True,
    )


def _batch_size(labelled: int, steps: int, epochs: int) -> int:
    return min(labelled, max(SMALLEST, min(math.ceil(labelled * epochs / steps), LARGEST)))


def _order(
    labelled_N: torch.Tensor, size: int, steps: int, rng: torch.Generator
) -> list[torch.Tensor]:
    """Batches of one size over shuffled passes; a batch may span two, as none may be a remainder
    of one sample, which batch normalisation cannot take."""
    passes = math.ceil(size * steps / len(labelled_N))
    shuffled = [labelled_N[torch.randperm(len(labelled_N), generator=rng)] for _ in range(passes)]
    return list(torch.split(torch.cat(shuffled), size))[:steps]


def _fit(
    encoder: Encoder,
    head: nn.Linear,
    train: Samples,
    order: list[torch.Tensor],
    classes: torch.Tensor,
    lr: float,
    weight_decay: float,
) -> None:
    weights = [*encoder.parameters(), *head.parameters()]
    optimiser = torch.optim.AdamW(weights, lr=lr, weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=lr, total_steps=len(order), pct_start=0.1, cycle_momentum=False
    )
    encoder.train()
    for index_B in order:
        batch = train.batch(index_B, head.weight.device)
        target_B = torch.searchsorted(classes, train.labels_N[index_B].to(classes.device))
        loss = F.cross_entropy(head(encoder(batch).pooled_BD), target_B.to(head.weight.device))
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        schedule.step()
