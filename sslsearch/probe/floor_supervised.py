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


@register("floor", traits=["random"])
def supervised(
    train: Samples,
    test: Samples,
    seed: int,
    encoder: dict[str, Any],
    *,
    epochs: Annotated[Count, Unit("passes over the labelled samples")] = 100,
    max_steps: Annotated[Count, Unit("optimiser steps")] = 300,
    batch_size: Annotated[Count, Unit("samples")] = 16,
    lr: Positive = 1e-3,
    weight_decay: NonNegative = 1e-2,
) -> FloorFeatures:
    """Pooled features of an encoder trained with a linear head: cross-entropy, no augmentation.

    AdamW, its learning rate warmed up over a tenth of the steps and then lowered along a cosine,
    for `epochs` or `max_steps`, whichever is fewer: nothing is chosen on held-out labels.
    """
    with torch.random.fork_rng():  # initialisers and dropout draw from the global generators
        torch.manual_seed(seed)
        model = registry.bind("encoder", encoder)(train.spec).to(device())
        classes = torch.unique(train.labels_N[train.labelled])
        head = nn.Linear(model.pooled_width, len(classes)).to(device())
        size = min(batch_size, len(train.labelled))
        steps = min(epochs * math.ceil(len(train.labelled) / size), max_steps)
        rng = torch.Generator().manual_seed(seed)
        order = [index_B for _ in range(epochs) for index_B in _epoch(train, size, rng)][:steps]
        _fit(model, head, train, order, classes, lr, weight_decay)
    return FloorFeatures(
        pooled(model, train, train.labelled),
        pooled(model, test, everything(test)),
        sees_labels=True,
    )


def _epoch(train: Samples, size: int, rng: torch.Generator) -> list[torch.Tensor]:
    """The labelled samples shuffled into batches of one size: the last is filled from the first,
    since a batch of one would break batch normalisation."""
    shuffled = train.labelled[torch.randperm(len(train.labelled), generator=rng)]
    whole = torch.cat([shuffled, shuffled[: -len(shuffled) % size]])
    return list(torch.split(whole, size))


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
