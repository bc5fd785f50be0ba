"""Dilated residual convolutions over time, one vector per step (or per `stride` steps).

Yue et al. 2022, TS2Vec: Towards Universal Representation of Time Series, arXiv:2106.10466
(section 3.2). One convolution per block where the authors use two of the same dilation, and no
widening last block: half the time of a step at the same receptive field.

Shapes: B = samples, C = channels, N = tokens, P = steps of a token, D = width.
"""

from __future__ import annotations

from typing import Annotated

import torch
from torch import nn
from torch.nn import functional as F

from sslsearch.encoders.series import Pool, SeriesEncoder, pool, pooled_width, same
from sslsearch.registry import Count, Unit, register
from sslsearch.values import Batch, Encoded, InputSpec


@register(
    "encoder",
    "conv1d",
    modality="timeseries",
    gives={"tokens", "mask_token"},
    paper="Yue et al. 2022, arXiv:2106.10466",
)
class Conv1d(SeriesEncoder):
    """Dilated residual convolutions (TS2Vec): block i sees 2^i tokens to either side."""

    def __init__(
        self,
        spec: InputSpec,
        *,
        depth: Annotated[Count, Unit("blocks")] = 10,
        width: Annotated[Count, Unit("units")] = 64,
        kernel: Annotated[Count, Unit("tokens")] = 3,
        stride: Annotated[Count, Unit("steps per token")] = 1,
        pool: Pool = "max",
    ) -> None:
        super().__init__(spec, patch=stride)
        self.width, self.pooled_width = width, pooled_width(width, pool)
        self.pool: Pool = pool
        self.stem = nn.Conv1d(self.channels, width, stride, stride)
        self.mask_token = nn.Parameter(torch.zeros(width))  # the authors' zeros, free to move
        self.blocks = nn.ModuleList(
            nn.Conv1d(width, width, kernel, dilation=2**i) for i in range(depth)
        )

    def forward(self, batch: Batch, hidden_BCN: torch.Tensor | None = None) -> Encoded:
        seen = self.see(batch, hidden_BCN)
        h_BDN = self.stem(seen.x_BCNP.flatten(2))
        h_BDN = torch.where(seen.hidden_BN[:, None], self.mask_token[:, None], h_BDN)
        valid_B1N = seen.valid_BN[:, None].to(h_BDN.dtype)
        h_BDN = h_BDN * valid_B1N
        for conv in self.blocks:
            # tokens that are not valid stay zero, as if the series ended there
            h_BDN = torch.addcmul(h_BDN, same(conv, F.gelu(h_BDN)), valid_B1N)
        pooled_BD = pool(h_BDN, seen.valid_BN, self.pool)
        return Encoded(h_BDN.transpose(1, 2), pooled_BD, seen.valid_BN)
