"""Transform prediction: which transform has this series been through? The series' RotNet.

Saeed et al. 2019, Multi-task Self-Supervised Learning for Human Activity Detection,
arXiv:1907.11879 (the transforms; a yes-or-no head for each there); Gidaris et al. 2018,
Unsupervised Representation Learning by Predicting Image Rotations, arXiv:1803.07728 (one softmax
over all of them).

Shapes: B = this worker's samples, K = transforms.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional as F

from sslsearch.augment.compose import Compose
from sslsearch.distributed import (
    agree,
    draw,
    full_precision,
    gather,
    mean_over_workers,
    rank,
    world,
)
from sslsearch.encoders.base import Encoder
from sslsearch.pretext.base import Pretext
from sslsearch.pretext.heads import mlp
from sslsearch.registry import register
from sslsearch.values import Batch, Loss

TRANSFORMS: dict[str, dict[str, dict[str, Any]]] = {
    "as it is": {},
    "reversed": {"reverse": {"p": 1.0}},
    "negated": {"flip": {"p": 1.0}},
    "permuted": {"permutation": {"segments": 5}},
    "warped": {"time_warp": {"sigma": 0.4}},
    "scaled": {"magnitude_warp": {"sigma": 0.4}},
    "noised": {"jitter": {"sigma": 0.3}},
}


@register(
    "pretext",
    "transform_prediction",
    modality="timeseries",
    paper="Saeed et al. 2019, arXiv:1907.11879",
)
class TransformPrediction(Pretext):
    """Tell which of seven transforms, drawn for each sample, a series has been through.

    As it is, reversed, negated, cut and permuted, warped in time, scaled by a smooth gain, noised.
    """

    views = 1

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.transforms = [Compose(each) for each in TRANSFORMS.values()]
        self.tell = mlp(encoder.pooled_width, encoder.pooled_width, len(TRANSFORMS))

    def loss(self, encoder: Encoder, views: list[Batch], rng: torch.Generator) -> Loss:
        which_B = draw(
            lambda like: torch.randint(
                len(self.transforms), like.shape, generator=rng, device=like.device
            ),
            views[0].index.to(views[0].valid.device),
        )
        with full_precision(which_B.device):  # as augmentations are made outside of the loss
            seen = transformed(views[0], self.transforms, which_B, rng)
        logits_BK = self.tell(encoder(seen).pooled_BD)
        with full_precision(logits_BK.device):
            total = mean_over_workers(F.cross_entropy(logits_BK.float(), which_B))
        right = mean_over_workers((logits_BK.argmax(1) == which_B).float().mean())
        return Loss(total, {"cross_entropy": total.detach(), "accuracy": right})


def transformed(
    batch: Batch, transforms: list[Compose], which_B: torch.Tensor, rng: torch.Generator
) -> Batch:
    """Each sample through its own transform, drawn for the global batch by worker 0."""
    whole = Batch(gather(batch.x), gather(batch.valid), gather(batch.index))
    which_G = gather(which_B)
    x, valid = whole.x, whole.valid
    for k, transform in enumerate(transforms):
        made, own_G = transform(whole, rng), which_G == k
        x = torch.where(own_G.view(-1, *[1] * (x.ndim - 1)), made.x, x)
        valid = torch.where(own_G[:, None], made.valid, valid)
    x, valid = (agree(part).tensor_split(world())[rank()] for part in (x, valid))
    return batch.with_x(x, valid)
