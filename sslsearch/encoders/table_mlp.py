"""Plain layers over a whole row, and their residual form.

Gorishniy et al. 2021, Revisiting Deep Learning Models for Tabular Data, arXiv:2106.11959 (sections
3.1 and 3.2). Numbers are scaled, categories one-hot, and each column has a flag that it is missing
and one that it is hidden. No dropout: training equals inference, and a trial resumes exactly.

Shapes: B = samples, N = columns, D = width.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated

import torch
from torch import nn
from torch.nn import functional as F

from sslsearch.encoders.table import TableEncoder
from sslsearch.registry import Count, Positive, Unit, register
from sslsearch.values import Batch, Encoded, InputSpec

PAPER = "Gorishniy et al. 2021, arXiv:2106.11959"


@register("encoder", "table_mlp", modality="tabular", gives={"tokens"}, paper=PAPER)
class TableMLP(TableEncoder):
    """Linear layers with ReLU over the whole row; its one vector stands under every column."""

    def __init__(
        self,
        spec: InputSpec,
        *,
        depth: Annotated[Count, Unit("layers")] = 3,
        width: Annotated[Count, Unit("units")] = 256,
    ) -> None:
        super().__init__(spec)
        self.width = self.pooled_width = width
        widths = [self.flat_width] + [width] * depth
        self.layers = nn.ModuleList(nn.Linear(before, after) for before, after in pairwise(widths))

    def forward(self, batch: Batch, hidden_BCN: torch.Tensor | None = None) -> Encoded:
        h_BD = self.flat(self.see(batch, hidden_BCN))
        for layer in self.layers:
            h_BD = F.relu(layer(h_BD))
        return Encoded(self.everywhere(h_BD, batch.valid), h_BD, batch.valid)


@register("encoder", "table_resnet", modality="tabular", gives={"tokens"}, paper=PAPER)
class TableResNet(TableEncoder):
    """Residual layers over the whole row; its one vector stands under every column.

    Layer normalisation stands where the authors have batch normalisation: its statistics never
    leak from sample to sample or worker to worker.
    """

    def __init__(
        self,
        spec: InputSpec,
        *,
        depth: Annotated[Count, Unit("blocks")] = 2,
        width: Annotated[Count, Unit("units")] = 192,
        hidden: Annotated[Positive, Unit("times the width, inside a block")] = 2.0,
    ) -> None:
        super().__init__(spec)
        self.width = self.pooled_width = width
        self.stem = nn.Linear(self.flat_width, width)
        inside = max(1, round(hidden * width))
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(width), nn.Linear(width, inside), nn.ReLU(), nn.Linear(inside, width)
            )
            for _ in range(depth)
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, batch: Batch, hidden_BCN: torch.Tensor | None = None) -> Encoded:
        h_BD = self.stem(self.flat(self.see(batch, hidden_BCN)))
        for block in self.blocks:
            h_BD = h_BD + block(h_BD)
        h_BD = F.relu(self.norm(h_BD))
        return Encoded(self.everywhere(h_BD, batch.valid), h_BD, batch.valid)
