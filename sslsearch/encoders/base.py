"""The contract of an encoder."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import nn

from sslsearch.encoders.attention import waves
from sslsearch.values import Batch, Encoded


class Encoder(nn.Module, ABC):
    """Batch -> one vector per token and one per sample.

    A subclass is registered with `@register("encoder", modality=…)` and built as
    `Encoder(spec: InputSpec, *, knobs…)`. N tokens; C = maskable channels (1 where the channels of
    a token cannot be hidden apart); P = input numbers that one token covers in one channel.

    Attributes:
        width: D of the tokens.
        pooled_width: width of the pooled vector (what probes and users see).
        patch_width: P.
        channels: C.
        samples_apart: what a sample becomes depends on it alone, so a batch may be taken in pieces.
    """

    width: int
    pooled_width: int
    patch_width: int
    channels: int
    samples_apart: bool = True

    @abstractmethod
    def forward(self, batch: Batch, hidden_BCN: torch.Tensor | None = None) -> Encoded:
        """Encode; where hidden_BCN (bool) is True the encoder must not see the input.

        A token hidden in all its channels is replaced by a learned mask token or dropped (then its
        row is zero and its valid_BN False); a token hidden in some channels sees zeros there.
        Nothing that is not valid may influence any output.
        """

    @abstractmethod
    def token_valid(self, batch: Batch) -> torch.Tensor:
        """valid_BCN, bool: the tokens (per channel) that hold any real input and may be hidden."""

    @abstractmethod
    def patchify(self, batch: Batch) -> torch.Tensor:
        """patch_BCNP: the raw input under each token, what masked reconstruction must restore."""

    @property
    def restored_width(self) -> int:
        """X: how many numbers a decoder must give for one token, to restore it in all channels."""
        return self.channels * self.patch_width

    def restoration_error(
        self, restored_BNX: torch.Tensor, target_BCNP: torch.Tensor
    ) -> torch.Tensor:
        """error_BCNP: how far a decoder's numbers are from patchify's; squared error by default."""
        B, N, _ = restored_BNX.shape
        restored_BCNP = restored_BNX.reshape(B, N, -1, self.patch_width).transpose(1, 2)
        return (restored_BCNP.float() - target_BCNP).square()

    def patch_valid(self, batch: Batch) -> torch.Tensor:
        """valid_BCNP, bool: which numbers of patchify are real; whole tokens unless overridden."""
        valid_BCN = self.token_valid(batch)
        return valid_BCN[..., None].expand(*valid_BCN.shape, self.patch_width)

    def grid(self, batch: Batch) -> tuple[int, ...]:
        """How the N tokens are laid out: (N,), a row, unless overridden; (rows, columns) …"""
        return (self.token_valid(batch).shape[2],)

    def positions(self, batch: Batch, width: int) -> torch.Tensor:
        """position_ND: where the tokens lie in their grid, as waves, for those who restore them."""
        return waves(self.grid(batch), width, batch.valid.device)


def surely_all(valid: torch.Tensor) -> bool:
    """Is nothing missing, so that a short cut may be taken? A graph that is exported takes none: it
    must hold for any batch."""
    return not torch.compiler.is_exporting() and bool(valid.all())
