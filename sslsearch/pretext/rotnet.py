"""RotNet: tell by how many quarter turns an image was rotated.

Gidaris et al. 2018, Unsupervised Representation Learning by Predicting Image Rotations,
arXiv:1803.07728.

Shapes: B = this worker's samples, C = channels, H, W = pixels, R = 4 rotations.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from sslsearch.distributed import mean_over_workers
from sslsearch.encoders.base import Encoder
from sslsearch.pretext.base import Pretext
from sslsearch.registry import register
from sslsearch.values import Batch, Loss

TURNS = 4


@register("pretext", "rotnet", modality="image", paper="Gidaris et al. 2018, arXiv:1803.07728")
class RotNet(Pretext):
    """Recognise the rotation of an image: each is shown in all four, as the authors found best.

    Images must be square. It teaches nothing where images have no upside.
    """

    views = 1

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.classify = nn.Linear(encoder.pooled_width, TURNS)

    def loss(self, encoder: Encoder, views: list[Batch], rng: torch.Generator) -> Loss:
        logits = self.classify(encoder(all_turns(views[0])).pooled_BD)
        turn_RB = torch.arange(TURNS, device=logits.device).repeat_interleave(len(views[0]))
        total = mean_over_workers(F.cross_entropy(logits.float(), turn_RB))
        right = mean_over_workers((logits.argmax(1) == turn_RB).float().mean())
        return Loss(total, {"cross_entropy": total.detach(), "accuracy": right})


def all_turns(batch: Batch) -> Batch:
    """Every image as it is, then all by one quarter turn, by two, by three."""
    if batch.x.shape[-1] != batch.x.shape[-2]:
        height, width = batch.x.shape[-2:]
        raise ValueError(
            f"rotnet needs square images, but these are {height} x {width} pixels: say to which "
            f"side they shall be cut, as in data.size={min(height, width)}"
        )
    turned = [torch.rot90(batch.x, turns, (-2, -1)) for turns in range(TURNS)]
    return Batch(torch.cat(turned), batch.valid.repeat(TURNS, 1), batch.index.repeat(TURNS))
