"""Residual convolutions over time with kernels 8, 5 and 3, the strong baseline of UCR.

Wang et al. 2017, Time Series Classification from Scratch with Deep Neural Networks: A Strong
Baseline, arXiv:1611.06455. Group normalisation (one group, over the valid tokens of one series;
Wu & He 2018, arXiv:1803.08494) stands where the authors have batch normalisation: its statistics
never leak from sample to sample or worker to worker, and training equals inference.

Shapes: B = samples, C = channels, N = tokens, P = steps of a token, D = width.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated

import torch
from torch import nn
from torch.nn import functional as F

from sslsearch.encoders.series import Pool, SeriesEncoder, pool, pooled_width, same
from sslsearch.registry import Count, Unit, register
from sslsearch.values import Batch, Encoded, InputSpec

KERNELS = (8, 5, 3)


@register(
    "encoder",
    "resnet1d",
    modality="timeseries",
    gives={"tokens", "mask_token"},
    paper="Wang et al. 2017, arXiv:1611.06455",
)
class ResNet1d(SeriesEncoder):
    """Residual blocks of three convolutions; the first is `width` wide, all others twice that."""

    def __init__(
        self,
        spec: InputSpec,
        *,
        depth: Annotated[Count, Unit("blocks")] = 3,
        width: Annotated[Count, Unit("units of the first block")] = 64,
        stride: Annotated[Count, Unit("steps per token")] = 1,
        pool: Pool = "mean",
    ) -> None:
        super().__init__(spec, patch=stride)
        widths = [width, width] + [2 * width] * (depth - 1)
        self.width, self.pooled_width = widths[-1], pooled_width(widths[-1], pool)
        self.pool: Pool = pool
        self.stem = nn.Conv1d(self.channels, width, stride, stride)
        self.mask_token = nn.Parameter(torch.zeros(width))
        self.blocks = nn.ModuleList(_Block(before, after) for before, after in pairwise(widths))

    def forward(self, batch: Batch, hidden_BCN: torch.Tensor | None = None) -> Encoded:
        seen = self.see(batch, hidden_BCN)
        h_BDN = self.stem(seen.x_BCNP.flatten(2))
        h_BDN = torch.where(seen.hidden_BN[:, None], self.mask_token[:, None], h_BDN)
        valid_B1N = seen.valid_BN[:, None].to(h_BDN.dtype)
        h_BDN = h_BDN * valid_B1N
        for block in self.blocks:
            h_BDN = block(h_BDN, valid_B1N)
        pooled_BD = pool(h_BDN, seen.valid_BN, self.pool)
        return Encoded(h_BDN.transpose(1, 2), pooled_BD, seen.valid_BN)


class _Block(nn.Module):
    """Three convolutions, each normalised, around which the input goes by."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        sizes = zip((before, after, after), KERNELS, strict=True)
        self.convs = nn.ModuleList(
            nn.Conv1d(width, after, kernel, bias=False) for width, kernel in sizes
        )
        self.norms = nn.ModuleList(_ValidNorm(after) for _ in KERNELS)
        self.bypass = nn.Conv1d(before, after, 1) if before != after else nn.Identity()

    def forward(self, x_BDN: torch.Tensor, valid_B1N: torch.Tensor) -> torch.Tensor:
        h_BDN = x_BDN  # of all blocks but the first it is rectified already: relu changes nothing
        for conv, norm in zip(self.convs, self.norms, strict=True):
            h_BDN = norm(same(conv, F.relu(h_BDN)), valid_B1N)
        return F.relu(h_BDN + self.bypass(x_BDN)) * valid_B1N


class _ValidNorm(nn.Module):
    """Zero mean and unit variance over all units and valid tokens of a series, then an affine."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x_BDN: torch.Tensor, valid_B1N: torch.Tensor) -> torch.Tensor:
        x_BDN = x_BDN.float()  # a variance wants float32 under mixed precision too
        count_B11 = (valid_B1N.sum(2, keepdim=True) * x_BDN.shape[1]).clamp(min=1)
        mean_B11 = (x_BDN * valid_B1N).sum((1, 2), keepdim=True) / count_B11
        centred_BDN = (x_BDN - mean_B11) * valid_B1N
        variance_B11 = centred_BDN.square().sum((1, 2), keepdim=True) / count_B11
        scale_BD1 = torch.rsqrt(variance_B11 + 1e-5) * self.weight[:, None]
        return torch.addcmul(self.bias[:, None] * valid_B1N, centred_BDN, scale_BD1)
