"""FT-Transformer: each column is a token, and attention lets columns explain one another.

Gorishniy et al. 2021, Revisiting Deep Learning Models for Tabular Data, arXiv:2106.11959 (section
3.3). The blocks are the house's (GELU, four times as wide; the authors have ReGLU, 4/3 as wide) and
without dropout. A hidden column becomes a learned mask token with its column's bias; a missing one
is looked at by nobody.

Shapes: B = samples, N = columns, K = numbers, S = categories, D = width.
"""

from __future__ import annotations

from itertools import accumulate
from typing import Annotated, Literal

import torch
from torch import nn
from torch.nn import functional as F

from sslsearch.encoders.attention import Block, look_at
from sslsearch.encoders.table import Cells, TableEncoder
from sslsearch.registry import Count, Unit, register
from sslsearch.values import Batch, Encoded, InputSpec


@register(
    "encoder",
    "ft_transformer",
    modality="tabular",
    gives={"tokens"},
    paper="Gorishniy et al. 2021, arXiv:2106.11959",
)
class FTTransformer(TableEncoder):
    """A pre-norm transformer over the columns of a row and a class token."""

    def __init__(
        self,
        spec: InputSpec,
        *,
        depth: Annotated[Count, Unit("blocks")] = 3,
        width: Annotated[Count, Unit("units")] = 192,
        heads: Annotated[Count, Unit("heads")] = 8,
        pool: Literal["cls", "mean"] = "cls",
    ) -> None:
        super().__init__(spec)
        self.width = self.pooled_width = width
        self.pool = pool
        bound = width**-0.5  # as the authors initialise
        self.weight_KD = nn.Parameter(torch.empty(self.numbers, width).uniform_(-bound, bound))
        self.level_XD = nn.Parameter(torch.empty(sum(self.levels), width).uniform_(-bound, bound))
        self.bias_ND = nn.Parameter(torch.empty(self.columns, width).uniform_(-bound, bound))
        self.mask_token = nn.Parameter(torch.empty(width).uniform_(-bound, bound))
        self.cls_token = nn.Parameter(torch.empty(width).uniform_(-bound, bound))
        starts = list(accumulate(self.levels, initial=0))[:-1]
        self.register_buffer("start_S", torch.tensor(starts, dtype=torch.int64), persistent=False)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width)

    def forward(self, batch: Batch, hidden_BCN: torch.Tensor | None = None) -> Encoded:
        cells = self.see(batch, hidden_BCN)
        h_BND = self._tokenise(cells)
        h_BND = torch.where(cells.hidden_BF[..., None], self.mask_token, h_BND) + self.bias_ND
        h_BND = torch.cat([self.cls_token.expand(h_BND.shape[0], 1, -1), h_BND], 1)
        look_B11N = look_at(F.pad(batch.valid, (1, 0), value=True))
        for block in self.blocks:
            h_BND = block(h_BND, look_B11N)
        h_BND = self.norm(h_BND)
        tokens_BND = h_BND[:, 1:] * batch.valid[..., None]
        if self.pool == "cls":
            return Encoded(tokens_BND, h_BND[:, 0], batch.valid)
        count_B1 = batch.valid.sum(1, keepdim=True).clamp(min=1)
        return Encoded(tokens_BND, tokens_BND.sum(1) / count_B1, batch.valid)

    def _tokenise(self, cells: Cells) -> torch.Tensor:
        """A number times its column's vector; the vector of a level, none for `other`."""
        number_BKD = cells.number_BK[..., None] * self.weight_KD
        if not self.levels:
            return number_BKD
        assert isinstance(self.start_S, torch.Tensor)
        level_BSD = F.embedding(cells.code_BS + self.start_S, self.level_XD)
        return torch.cat([number_BKD, level_BSD * (cells.code_BS > 0)[..., None]], 1)
