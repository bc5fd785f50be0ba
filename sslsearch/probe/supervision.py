"""An encoder and a linear head, trained on labels: what `finetune` and `supervised` share.

Shapes: B = samples of a batch, N = labelled samples, K = classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from sslsearch.encoders.base import Encoder

SMALLEST, LARGEST = 8, 64  # samples of a batch


@dataclass(frozen=True)
class Schedule:
    """How labels are trained on: AdamW, its rate warmed up and then lowered along a cosine.

    Attributes:
        steps: optimiser steps, in all.
        epochs: passes over the labelled samples that the batches are sized for, within 8 and 64.
    """

    steps: int
    epochs: int
    lr: float
    weight_decay: float


def train_on_labels(
    encoder: Encoder,
    head: nn.Module,
    samples: Any,
    rows_N: torch.Tensor,
    classes_K: torch.Tensor,
    schedule: Schedule,
    seed: int,
) -> None:
    """Lower the cross-entropy of head(pooled) on the rows; both are changed, nothing is chosen.

    classes_K: sorted labels; column k of the head is of classes_K[k].
    """
    weights = [*encoder.parameters(), *head.parameters()]
    device = weights[0].device
    optimiser = torch.optim.AdamW(weights, lr=schedule.lr, weight_decay=schedule.weight_decay)
    rate = torch.optim.lr_scheduler.OneCycleLR(
        optimiser,
        max_lr=schedule.lr,
        total_steps=schedule.steps,
        pct_start=0.1,
        cycle_momentum=False,
    )
    encoder.train()
    for index_B in _order(rows_N, schedule, torch.Generator().manual_seed(seed)):
        batch = samples.batch(index_B, device)
        target_B = torch.searchsorted(classes_K, samples.labels_N[index_B].to(classes_K.device))
        loss = F.cross_entropy(head(encoder(batch).pooled_BD), target_B.to(device))
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        rate.step()
    encoder.eval()


def _order(rows_N: torch.Tensor, schedule: Schedule, rng: torch.Generator) -> list[torch.Tensor]:
    """Batches of one size over shuffled passes; a batch may span two, as none may be a remainder
    of one sample, which batch normalisation cannot take."""
    n, steps = len(rows_N), schedule.steps
    size = min(n, max(SMALLEST, min(math.ceil(n * schedule.epochs / steps), LARGEST)))
    passes = math.ceil(size * steps / n)
    shuffled = [rows_N[torch.randperm(n, generator=rng)] for _ in range(passes)]
    return list(torch.split(torch.cat(shuffled), size))[:steps]
