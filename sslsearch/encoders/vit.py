"""A vision transformer over patches; hidden patches are truly dropped.

Dosovitskiy et al. 2021, An Image is Worth 16x16 Words, arXiv:2010.11929; fixed positions in the
plane, no class token, and hidden tokens that leave the encoder as in He et al. 2022, Masked
Autoencoders Are Scalable Vision Learners, arXiv:2111.06377.

Shapes: B = samples, C = colour channels, N = tokens, D = width.
"""

from __future__ import annotations

from typing import Annotated

import torch
from torch import nn

from sslsearch.encoders.attention import Block, look_at, visible_only
from sslsearch.encoders.base import surely_all
from sslsearch.encoders.image import ImageEncoder
from sslsearch.encoders.series import Pool, pool, pooled_width
from sslsearch.registry import Count, Unit, register
from sslsearch.values import Batch, Encoded, InputSpec


@register(
    "encoder",
    "vit",
    modality="image",
    gives={"tokens", "grid"},
    paper="Dosovitskiy et al. 2021, arXiv:2010.11929",
)
class VisionTransformer(ImageEncoder):
    """A pre-norm transformer over patches of an image; hidden patches cost nothing."""

    def __init__(
        self,
        spec: InputSpec,
        *,
        patch: Annotated[Count, Unit("pixels of a side")] = 4,
        depth: Annotated[Count, Unit("blocks")] = 4,
        width: Annotated[Count, Unit("units")] = 128,
        heads: Annotated[Count, Unit("heads")] = 4,
        pool: Pool = "mean",
    ) -> None:
        super().__init__(spec, patch=patch)
        self.width, self.pooled_width = width, pooled_width(width, pool)
        self.pool: Pool = pool
        self.embed = nn.Linear(self.patch_width, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width)

    def forward(self, batch: Batch, hidden_BCN: torch.Tensor | None = None) -> Encoded:
        h_BND = self.embed(self._patches(self.see(batch)))
        position_ND = self.positions(batch, self.width)
        seen_BN = batch.valid.expand(-1, h_BND.shape[1])
        if hidden_BCN is None:
            tokens_BND = self._blocks(h_BND + position_ND, seen_BN)
        else:
            tokens_BND, seen_BN = self.partly(h_BND, position_ND, seen_BN, hidden_BCN[:, 0])
        tokens_BND = tokens_BND * seen_BN[..., None]
        pooled_BD = pool(tokens_BND.transpose(1, 2), seen_BN, self.pool)
        return Encoded(tokens_BND, pooled_BD, seen_BN)

    def partly(
        self,
        h_BND: torch.Tensor,
        position_ND: torch.Tensor,
        valid_BN: torch.Tensor,
        hidden_BN: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens where some are hidden, and which of them there are: hidden ones are dropped."""
        visible_BN = valid_BN & ~hidden_BN
        return visible_only(h_BND + position_ND, visible_BN, self._blocks), visible_BN

    def _blocks(self, h_BND: torch.Tensor, valid_BN: torch.Tensor) -> torch.Tensor:
        look_B11N = None if surely_all(valid_BN) else look_at(valid_BN)
        for block in self.blocks:
            h_BND = block(h_BND, look_B11N)
        normed_BND: torch.Tensor = self.norm(h_BND)
        return normed_BND
