"""The contract of a pretext task."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import nn

from sslsearch.encoders.base import Encoder
from sslsearch.values import Batch, Loss


class Pretext(nn.Module, ABC):
    """What an encoder is asked to solve without labels.

    A subclass is registered with `@register("pretext", needs=…, paper=…)` and built as
    `Pretext(encoder, *, knobs…)`: heads, momentum copies and queues are its own submodules; the
    encoder itself is handed to each call and never kept. It does not know its modality.

    Across workers it gathers what its mathematics needs through `sslsearch.distributed`, so that
    W workers equal one worker with the same global batch.

    Attributes:
        views: how many independently augmented views of each sample `loss` wants.
        clean: how many of them, the first ones, are the samples as they are.
        moved: how many of them, the last ones, are made without what changes values.
    """

    views: int = 2
    clean: int = 0
    moved: int = 0

    @abstractmethod
    def loss(self, encoder: Encoder, views: list[Batch], rng: torch.Generator) -> Loss:
        """The loss of one global batch, of which `views` is this worker's share."""

    def collapsed(self, pooled_MD: torch.Tensor) -> str:
        """Why what this loss compares tells no samples apart any more, or "" if it does.

        Asked at rungs with the pooled vectors of M samples, beside the encoder's own health.
        """
        return ""

    def after_step(self, encoder: Encoder, progress: float) -> None:
        """Called after each optimiser step; progress in 0..1 of the trial's full horizon."""
        return None
