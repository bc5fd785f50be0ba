"""Recipe -> encoder, pretext and augmentation, the same weights for the same seed everywhere."""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

from sslsearch import registry
from sslsearch.augment.compose import Compose
from sslsearch.encoders.base import Encoder
from sslsearch.pretext.base import Pretext
from sslsearch.pretext.build import build as build_pretext
from sslsearch.train.memory import InPieces
from sslsearch.values import Batch, InputSpec, Loss, Recipe


def build_encoder(recipe: Recipe, spec: InputSpec, seed: int = 0) -> Encoder:
    """The recipe's encoder with random weights drawn from `seed`, on the CPU."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder: Encoder = registry.bind("encoder", recipe["encoder"])(spec)
    return encoder


class Objective(nn.Module):
    """Encoder and pretext as one module, so that DDP sees every parameter of a step.

    Attributes:
        pieces: in how many parts the encoder takes a batch; more than 1 where memory is short.
    """

    def __init__(self, encoder: Encoder, pretext: Pretext) -> None:
        super().__init__()
        self.encoder = encoder
        self.pretext = pretext
        self.pieces = 1

    def forward(self, views: list[Batch], rng: torch.Generator) -> Loss:
        if self.pieces == 1:
            return self.pretext.loss(self.encoder, views, rng)
        in_pieces = cast(Encoder, InPieces(self.encoder, self.pieces))
        return self.pretext.loss(in_pieces, views, rng)


def build(recipe: Recipe, spec: InputSpec, seed: int) -> tuple[Objective, Compose]:
    """Everything that a recipe trains, and the composition that makes its views."""
    encoder = build_encoder(recipe, spec, seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed + 1)
        pretext = build_pretext(encoder, recipe["pretext"])
    return Objective(encoder, pretext), Compose(recipe["augment"])
