"""What all encoders of series share: steps grouped into tokens, what may be seen, and pooling.

Shapes: B = samples, C = channels, T = time steps, P = steps of one token, N = ceil(T / P) tokens,
D = token width. hidden: True = the encoder must not see it. valid: True = real input.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn
from torch.nn import functional as F

from sslsearch.encoders.base import Encoder
from sslsearch.values import Batch, InputSpec

Pool = Literal["mean", "max", "mean_max"]


@dataclass(frozen=True)
class Seen:
    """A series as an encoder may see it: zeros wherever the input is hidden or not valid."""

    x_BCNP: torch.Tensor
    valid_BN: torch.Tensor
    hidden_BN: torch.Tensor  # hidden in all channels: nothing of this token may be seen


class SeriesEncoder(Encoder):
    """An encoder whose token n covers the steps n·P … (n+1)·P - 1 of a series."""

    def __init__(self, spec: InputSpec, *, patch: int) -> None:
        super().__init__()
        self.channels = spec.sizes["channels"]
        self.patch_width = patch

    def token_valid(self, batch: Batch) -> torch.Tensor:
        return self.patch_valid(batch).any(-1)

    def patch_valid(self, batch: Batch) -> torch.Tensor:
        valid_BNP = _group(batch.valid, self.patch_width)
        return valid_BNP[:, None].expand(-1, self.channels, -1, -1)

    def patchify(self, batch: Batch) -> torch.Tensor:
        # where(), not a product: what is not valid may well be NaN
        x_BCT = torch.where(batch.valid[:, None], batch.x, torch.zeros_like(batch.x))
        return _group(x_BCT, self.patch_width)

    def see(self, batch: Batch, hidden_BCN: torch.Tensor | None) -> Seen:
        x_BCNP, valid_BN = self.patchify(batch), _group(batch.valid, self.patch_width).any(-1)
        if hidden_BCN is None:
            return Seen(x_BCNP, valid_BN, torch.zeros_like(valid_BN))
        x_BCNP = x_BCNP.masked_fill(hidden_BCN[..., None], 0.0)
        return Seen(x_BCNP, valid_BN, hidden_BCN.all(1) & valid_BN)


def _group(steps: torch.Tensor, patch: int) -> torch.Tensor:
    """(…, T) -> (…, N, P), filled up at the right with zeros (False: not valid)."""
    count = (steps.shape[-1] + patch - 1) // patch  # not -(-T // P): ONNX rounds towards zero
    steps = F.pad(steps, (0, count * patch - steps.shape[-1]))
    return steps.reshape(*steps.shape[:-1], count, patch)


def pool(tokens_BDN: torch.Tensor, valid_BN: torch.Tensor, how: Pool) -> torch.Tensor:
    """One vector per series over its valid tokens; zeros for a series that has none."""
    valid_B1N = valid_BN[:, None]
    pooled = []
    if how != "max":
        count_B1 = valid_B1N.sum(-1).clamp(min=1)
        pooled.append((tokens_BDN * valid_B1N).sum(-1) / count_B1)
    if how != "mean":
        # the index and not the value carries the gradient: max() is far quicker than amax() here
        top_BD = tokens_BDN.masked_fill(~valid_B1N, float("-inf")).max(-1).values
        pooled.append(torch.where(valid_B1N.any(-1), top_BD, torch.zeros_like(top_BD)))
    return torch.cat(pooled, 1)


def same(conv: nn.Module, h_BDN: torch.Tensor) -> torch.Tensor:
    """The convolution with zeros around, so that there are as many tokens after as before."""
    assert isinstance(conv, nn.Conv1d)
    reach = conv.dilation[0] * (conv.kernel_size[0] - 1)
    if reach % 2:  # an even kernel looks one token further ahead
        h_BDN = F.pad(h_BDN, (0, 1))
    return F.conv1d(h_BDN, conv.weight, conv.bias, padding=reach // 2, dilation=conv.dilation)


def pooled_width(width: int, how: Pool) -> int:
    return 2 * width if how == "mean_max" else width
