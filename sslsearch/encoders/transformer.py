"""A transformer over patches of a series; hidden patches are truly dropped.

Nie et al. 2023, A Time Series is Worth 64 Words, arXiv:2211.14730 (patches as tokens); hidden
tokens leave the encoder as in He et al. 2022, Masked Autoencoders Are Scalable Vision Learners,
arXiv:2111.06377. All channels of a patch make one token (PatchTST runs each channel alone).

Shapes: B = samples, C = channels, N = tokens, P = steps of a patch, D = width.
"""

from __future__ import annotations

from typing import Annotated

import torch
from torch import nn

from sslsearch.encoders.attention import Block, look_at, sinusoids, visible_only
from sslsearch.encoders.series import Pool, SeriesEncoder, pool, pooled_width
from sslsearch.registry import Count, Unit, register
from sslsearch.values import Batch, Encoded, InputSpec


@register(
    "encoder",
    "transformer",
    modality="timeseries",
    gives={"tokens"},
    paper="Nie et al. 2023, arXiv:2211.14730",
)
class Transformer(SeriesEncoder):
    """A pre-norm transformer over patches (sinusoidal positions); hidden patches cost nothing."""

    def __init__(
        self,
        spec: InputSpec,
        *,
        patch: Annotated[Count, Unit("steps")] = 16,
        depth: Annotated[Count, Unit("blocks")] = 3,
        width: Annotated[Count, Unit("units")] = 128,
        heads: Annotated[Count, Unit("heads")] = 4,
        pool: Pool = "mean",
    ) -> None:
        super().__init__(spec, patch=patch)
        self.width, self.pooled_width = width, pooled_width(width, pool)
        self.pool: Pool = pool
        self.embed = nn.Linear(self.channels * patch, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width)

    def forward(self, batch: Batch, hidden_BCN: torch.Tensor | None = None) -> Encoded:
        seen = self.see(batch, hidden_BCN)
        x_BND = self.embed(seen.x_BCNP.transpose(1, 2).flatten(2))
        h_BND = x_BND + sinusoids(x_BND.shape[1], self.width, x_BND.device)
        visible_BN = seen.valid_BN & ~seen.hidden_BN
        if hidden_BCN is None:
            tokens_BND = self._blocks(h_BND, visible_BN)
        else:
            tokens_BND = visible_only(h_BND, visible_BN, self._blocks)
        tokens_BND = tokens_BND * visible_BN[..., None]
        pooled_BD = pool(tokens_BND.transpose(1, 2), visible_BN, self.pool)
        return Encoded(tokens_BND, pooled_BD, visible_BN)

    def _blocks(self, h_BND: torch.Tensor, valid_BN: torch.Tensor) -> torch.Tensor:
        look_B11N = look_at(valid_BN)
        for block in self.blocks:
            h_BND = block(h_BND, look_B11N)
        normed_BND: torch.Tensor = self.norm(h_BND)
        return normed_BND
