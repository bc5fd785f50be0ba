"""What all encoders of images share: square patches as tokens, what may be seen, positions.

Token n is the patch in row n // W' and column n % W' of the grid (H' x W' patches). The channels of
a patch cannot be hidden apart: one "channel" of P = C · patch² numbers.

Shapes: B = samples, C = colour channels, H, W = pixels, N = H'·W' tokens, P = numbers of a token,
D = token width. hidden: True = the encoder must not see it.
"""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
from torch import nn
from torch.nn import functional as F

from sslsearch.encoders.base import Encoder, surely_all
from sslsearch.encoders.series import Pool, pool
from sslsearch.values import Batch, Encoded, InputSpec


class ImageEncoder(Encoder):
    """An encoder whose tokens are patches of `patch` x `patch` pixels.

    Images come in as values in 0..1; `see` normalises them by the statistics of the spec.
    """

    mean_C11: torch.Tensor
    std_C11: torch.Tensor

    def __init__(self, spec: InputSpec, *, patch: int) -> None:
        super().__init__()
        self.colours, self.patch, self.channels = spec.sizes["channels"], patch, 1
        self.patch_width = self.colours * patch * patch
        mean = spec.statistics.get("mean", [0.0] * self.colours)
        std = spec.statistics.get("std", [1.0] * self.colours)
        self.register_buffer("mean_C11", torch.tensor(mean)[:, None, None], persistent=False)
        self.register_buffer("std_C11", torch.tensor(std)[:, None, None], persistent=False)

    def token_valid(self, batch: Batch) -> torch.Tensor:
        return batch.valid[:, None].expand(-1, 1, math.prod(self.grid(batch)))

    def patchify(self, batch: Batch) -> torch.Tensor:
        return self._patches(self.see(batch))[:, None]

    def patch_valid(self, batch: Batch) -> torch.Tensor:
        inside = self._padded(torch.ones_like(batch.x[:1], dtype=torch.uint8))
        return self._patches(inside)[:, None].bool() & batch.valid[:, None, :, None]

    def grid(self, batch: Batch) -> tuple[int, ...]:
        """Of these images, which may be parts of those of the spec."""
        return -(-batch.x.shape[-2] // self.patch), -(-batch.x.shape[-1] // self.patch)

    def see(self, batch: Batch, hidden_BCN: torch.Tensor | None = None) -> torch.Tensor:
        """x_BCHW, normalised, in whole patches; hidden patches are as `hide` makes them."""
        x_BCHW = (batch.x - self.mean_C11) / self.std_C11
        if not surely_all(batch.valid):  # where(), not a product: what is not valid may be NaN
            x_BCHW = torch.where(batch.valid[..., None, None], x_BCHW, torch.zeros_like(x_BCHW))
        x_BCHW = self._padded(x_BCHW)
        return x_BCHW if hidden_BCN is None else self.hide(x_BCHW, hidden_BCN[:, 0])

    def hide(self, x_BCHW: torch.Tensor, hidden_BN: torch.Tensor) -> torch.Tensor:
        raise AssertionError(f"{type(self).__name__} hides tokens in its own way")

    def _padded(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        """Zeros at the right and below, up to whole patches."""
        below, right = (-size % self.patch for size in x_BCHW.shape[-2:])
        return F.pad(x_BCHW, (0, right, 0, below)) if below or right else x_BCHW

    def _patches(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        """(B, N, C · patch²)"""
        p = self.patch
        B, C, H, W = x_BCHW.shape
        x_BCRpcp = x_BCHW.reshape(B, C, H // p, p, W // p, p)
        return x_BCRpcp.permute(0, 2, 4, 1, 3, 5).reshape(B, -1, self.patch_width)


class MapEncoder(ImageEncoder):
    """An encoder that makes a map of features: its D numbers at each place are a token.

    A hidden patch is replaced by a learned one before the network sees it, as convolutions cannot
    drop tokens (Xie et al. 2022, SimMIM, arXiv:2111.09886).
    """

    pool: Pool

    def __init__(self, spec: InputSpec, *, patch: int) -> None:
        super().__init__(spec, patch=patch)
        self.mask_patch = nn.Parameter(torch.zeros(self.colours, patch, patch))

    def hide(self, x_BCHW: torch.Tensor, hidden_BN: torch.Tensor) -> torch.Tensor:
        rows, columns = (size // self.patch for size in x_BCHW.shape[-2:])
        hidden_B1RC = hidden_BN.view(-1, 1, rows, columns)
        hidden_B1HW = hidden_B1RC.repeat_interleave(self.patch, 2).repeat_interleave(self.patch, 3)
        return torch.where(hidden_B1HW, self.mask_patch.repeat(1, rows, columns), x_BCHW)

    @abstractmethod
    def map(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        """Features (B, D, H', W') of normalised images in whole patches."""

    def forward(self, batch: Batch, hidden_BCN: torch.Tensor | None = None) -> Encoded:
        map_BDHW = self.map(self.see(batch, hidden_BCN))
        tokens_BDN = map_BDHW.flatten(2) * batch.valid[:, None]
        valid_BN = batch.valid.expand(-1, tokens_BDN.shape[2])
        pooled_BD = pool(tokens_BDN, valid_BN, self.pool)
        return Encoded(tokens_BDN.transpose(1, 2), pooled_BD, valid_BN)
