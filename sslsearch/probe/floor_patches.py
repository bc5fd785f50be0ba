"""The strongest cheap baseline of images: random patches as filters, nothing learnt.

Coates & Ng 2011, The Importance of Encoding Versus Training with Sparse Coding and Vector
Quantization (ICML): normalised, whitened patches of the training images as a dictionary, soft
threshold, sums over quadrants.

Shapes: N = samples, C = colours, H, W = pixels, K = filters, P = numbers of a patch, M = patches.
"""

from __future__ import annotations

from typing import Annotated, Any

import torch
from torch.nn import functional as F

from sslsearch.probe.floors import FloorFeatures, Samples, batches, everything
from sslsearch.registry import Count, NonNegative, Unit, register

SAMPLED = 20_000  # patches whose covariance is whitened
FLAT, WHITE = 10 / 255**2, 0.1  # what is added to variances, of values in 0..1 and whitened ones


@register(
    "floor",
    modality="image",
    traits=["random"],
    needs=["pooled"],
    paper="Coates & Ng 2011, ICML",
)
def random_patches(
    train: Samples,
    test: Samples,
    seed: int,
    encoder: dict[str, Any],
    *,
    filters: Annotated[Count, Unit("patches")] = 512,
    size: Annotated[Count, Unit("pixels of a side")] = 6,
    threshold: Annotated[NonNegative, Unit("of the response")] = 0.25,
) -> FloorFeatures:
    """How strongly each of 512 random patches answers in each quarter of the image.

    Patches come from training images, labelled or not; on images of less than four patches to a
    side they are a quarter of it and a pixel.
    """
    rng = torch.Generator().manual_seed(seed)
    height, width = train.spec.sizes["height"], train.spec.sizes["width"]
    if min(height, width) < 4 * size:
        size = min(height, width) // 4 + 1
    whiten = _Whitening(_sampled(train, size, rng))
    chosen = whiten(_sampled(train, size, rng)[:filters])
    filter_KP = F.normalize(chosen, dim=1)

    def features(samples: Samples, index_N: torch.Tensor) -> torch.Tensor:
        parts = batches(samples, index_N, torch.device("cpu"))
        return torch.cat([_pooled(b.x, filter_KP, whiten, size, threshold) for b in parts])

    return FloorFeatures(features(train, train.labelled), features(test, everything(test)))


def _sampled(samples: Samples, size: int, rng: torch.Generator) -> torch.Tensor:
    """patch_MP from random places of random images."""
    index = torch.randint(len(samples), (min(len(samples), 1000),), generator=rng)
    x = torch.cat([b.x for b in batches(samples, index, torch.device("cpu"))])
    patch_MP = F.unfold(x, size).transpose(1, 2).flatten(0, 1)
    return patch_MP[torch.randperm(len(patch_MP), generator=rng)[:SAMPLED]]


def _standard(patch_MP: torch.Tensor) -> torch.Tensor:
    variance, mean = torch.var_mean(patch_MP, -1, keepdim=True)
    return (patch_MP - mean) * torch.rsqrt(variance + FLAT)


class _Whitening:
    """ZCA: patches whose numbers are uncorrelated over the sample."""

    def __init__(self, patch_MP: torch.Tensor) -> None:
        standard = _standard(patch_MP).double()
        self.mean_P = standard.mean(0).float()
        value_P, vector_PP = torch.linalg.eigh(torch.cov(standard.T).reshape(len(self.mean_P), -1))
        white = vector_PP * torch.rsqrt(value_P.clamp(min=0) + WHITE) @ vector_PP.T
        self.matrix_PP = white.float()

    def __call__(self, patch_MP: torch.Tensor) -> torch.Tensor:
        white_MP: torch.Tensor = (_standard(patch_MP) - self.mean_P) @ self.matrix_PP
        return white_MP


def _pooled(
    x_BCHW: torch.Tensor,
    filter_KP: torch.Tensor,
    whiten: _Whitening,
    size: int,
    threshold: float,
) -> torch.Tensor:
    """(B, 8 K): sums over four quarters of what lies above the threshold, on either side."""
    rows, columns = (length - size + 1 for length in x_BCHW.shape[-2:])
    patch_BMP = F.unfold(x_BCHW, size).transpose(1, 2)
    answer_BKM = (whiten(patch_BMP) @ filter_KP.T).transpose(1, 2)
    both = torch.cat([F.relu(answer_BKM - threshold), F.relu(-answer_BKM - threshold)], 1)
    quarters = F.adaptive_avg_pool2d(both.reshape(*both.shape[:2], rows, columns), 2)
    return quarters.flatten(1)
