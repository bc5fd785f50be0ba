"""No pretext task: the encoder stays as it was drawn, the floor that every other must beat."""

from __future__ import annotations

import torch

from sslsearch.encoders.base import Encoder
from sslsearch.pretext.base import Pretext
from sslsearch.registry import register
from sslsearch.values import Batch, Loss


@register("pretext", "none", traits={"untrained"})
class Untrained(Pretext):
    """Learn nothing: a floor. Untrained encoders are good, and often left off the leaderboard."""

    views = 1

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()

    def loss(self, encoder: Encoder, views: list[Batch], rng: torch.Generator) -> Loss:
        """Zero, and with it the gradient of every parameter."""
        zeros = [parameter.sum() * 0.0 for parameter in encoder.parameters()]
        return Loss(torch.stack(zeros).sum())
