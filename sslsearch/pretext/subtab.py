"""SubTab: subsets of a row's columns are views of it; each restores the row, all agree.

Ucar et al. 2021, SubTab: Subsetting Features of Tabular Data for Self-Supervised Representation
Learning, arXiv:2110.04361, and the authors' code (github.com/AstraZeneca/SubTab:
utils/loss_functions.py, src/model.py). Their encoder takes a subset as a shorter row; here it takes
the row with the other columns hidden, so that it also encodes whole rows. At test time the authors
average over subsets; here the whole row is encoded.

Shapes: B = samples, F = columns, D = projection width, X = all numbers that restore a row.
"""

from __future__ import annotations

from itertools import combinations
from typing import Annotated

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional as F

from sslsearch.distributed import full_precision, mean_over_workers
from sslsearch.encoders.base import Encoder
from sslsearch.encoders.table import TableEncoder
from sslsearch.pretext.base import Pretext
from sslsearch.pretext.heads import spread
from sslsearch.pretext.rows import corrupted, row_restoration
from sslsearch.pretext.simclr import nt_xent
from sslsearch.registry import Count, Positive, Probability, Ratio, Unit, register
from sslsearch.values import Batch, Loss


@register("pretext", "subtab", modality="tabular", paper="Ucar et al. 2021, arXiv:2110.04361")
class SubTab(Pretext):
    """Overlapping subsets of the columns: reconstruction, contrast and distance over all pairs."""

    views = 1

    def __init__(
        self,
        encoder: TableEncoder,
        *,
        subsets: Annotated[int, Field(ge=2), Unit("subsets of the columns")] = 4,
        overlap: Annotated[
            Probability, Unit("share of a subset that its neighbour has too")
        ] = 0.75,
        p: Annotated[Ratio, Unit("probability that a cell is swapped")] = 0.15,
        temperature: Annotated[Positive, Unit("of cosine similarity")] = 0.1,
        projection: Annotated[Count, Unit("units")] = 128,
    ) -> None:
        super().__init__()
        if encoder.columns < 2:
            raise ValueError("subtab cuts the columns into subsets, but there is only one column")
        self.p, self.temperature = p, temperature
        self.register_buffer(
            "hidden_SF", ~windows(encoder.columns, subsets, overlap), persistent=False
        )
        width = encoder.pooled_width
        self.projector = _two_layers(width, projection)
        self.decoder = _two_layers(width, encoder.restored_width)

    def loss(self, encoder: Encoder, views: list[Batch], rng: torch.Generator) -> Loss:
        batch = views[0]
        noisy = corrupted(batch, rng, self.p)[0] if self.p else batch
        assert isinstance(self.hidden_SF, torch.Tensor)
        subsets = len(self.hidden_SF)  # all of them in one pass, one below the other
        hidden_BF = self.hidden_SF.repeat_interleave(len(batch), 0)
        rows = repeated(noisy, subsets)
        h_BD = encoder(rows, (hidden_BF & rows.valid)[:, None]).pooled_BD
        values = row_restoration(encoder, self.decoder(h_BD), repeated(batch, subsets))
        projected = self.projector(h_BD).chunk(subsets)
        pairs = list(combinations(projected, 2))
        contrast = torch.stack([nt_xent(a, b, self.temperature) for a, b in pairs]).mean()
        apart = torch.stack([distance(a, b) for a, b in pairs]).mean()
        parts = {"values": values, "contrast": contrast, "distance": apart}
        said = {name: part.detach() for name, part in parts.items()}
        return Loss(values + contrast + apart, said | {"spread": spread(projected[0])})


def repeated(batch: Batch, times: int) -> Batch:
    """The batch, `times` times one below the other."""
    x = {name: values.repeat(times, 1) for name, values in batch.x.items()}
    return Batch(x, batch.valid.repeat(times, 1), batch.index.repeat(times))


def windows(columns: int, subsets: int, overlap: float) -> torch.Tensor:
    """shown_SF, bool: neighbouring columns of each subset, as the authors' subset_generator cuts.

    A table of fewer columns than subsets has as many subsets as columns.
    """
    subsets = min(subsets, columns)
    each = columns // subsets
    more = int(overlap * each)
    shown_SF = torch.zeros(subsets, columns, dtype=torch.bool)
    for number in range(subsets):
        if number == 0:
            shown_SF[number, : each + more] = True
        else:
            shown_SF[number, number * each - more : (number + 1) * each] = True
    shown_SF[-1, subsets * each :] = True  # what the division leaves over
    return shown_SF


def distance(a_BD: torch.Tensor, b_BD: torch.Tensor) -> torch.Tensor:
    """Mean squared difference of the unit-length projections."""
    with full_precision(a_BD.device):
        a_BD, b_BD = (F.normalize(z.float(), dim=1) for z in (a_BD, b_BD))
        return mean_over_workers(F.mse_loss(a_BD, b_BD))


def _two_layers(width: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, width), nn.LeakyReLU(), nn.Linear(width, out))
