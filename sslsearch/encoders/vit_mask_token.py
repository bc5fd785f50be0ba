"""A vision transformer that puts a learned token in the places of hidden patches.

Xie et al. 2022, SimMIM: A Simple Framework for Masked Image Modeling, arXiv:2111.09886 (section
3.2: the token stands for the embedding of a patch, positions are added to both).

Shapes: B = samples, N = tokens, D = width.
"""

from __future__ import annotations

from typing import Annotated

import torch
from torch import nn

from sslsearch.encoders.series import Pool
from sslsearch.encoders.vit import VisionTransformer
from sslsearch.registry import Count, Unit, register
from sslsearch.values import InputSpec


@register(
    "encoder",
    "vit_mask_token",
    modality="image",
    gives={"tokens", "grid", "mask_token"},
    paper="Xie et al. 2022, arXiv:2111.09886",
)
class MaskTokenViT(VisionTransformer):
    """`vit`, but for hidden patches: they stay, as a mask token, and cost as much as others."""

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
        super().__init__(spec, patch=patch, depth=depth, width=width, heads=heads, pool=pool)
        self.mask_token = nn.Parameter(torch.randn(width) * 0.02)

    def partly(
        self,
        h_BND: torch.Tensor,
        position_ND: torch.Tensor,
        valid_BN: torch.Tensor,
        hidden_BN: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        h_BND = torch.where(hidden_BN[..., None], self.mask_token.to(h_BND.dtype), h_BND)
        return self._blocks(h_BND + position_ND, valid_BN), valid_BN
