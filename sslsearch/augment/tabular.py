"""Corruptions of table rows: cells taken from other rows, hidden, emptied, blurred or mixed.

They take and give whole batches, because a cell moves with its validity: where another row has
nothing, nothing is what is taken. The other rows are those of the batch. A batch is drawn from the
pool at random, so a cell of a random other row is a draw from the pool's empirical marginal of its
column; what differs from drawing from the whole pool is only that rows of a batch share donors.

Shapes: B = samples, F = columns (numbers first, then categories), K = numbers.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from sslsearch.augment.draw import chosen, uniform
from sslsearch.registry import (
    Identity,
    NonNegative,
    Probability,
    Ratio,
    Unit,
    register,
)
from sslsearch.values import Batch

SCARF = "Bahri et al. 2022 (SCARF), arXiv:2106.15147"
VIME = "Yoon et al. 2020 (VIME), NeurIPS"
SAINT = "Somepalli et al. 2021 (SAINT), arXiv:2106.01342"
OF_BATCH = {"of_batch"}


def split(cells_BF: torch.Tensor, batch: Batch) -> dict[str, torch.Tensor]:
    """A table over all columns, cut into that of numbers and that of categories."""
    numbers = batch.x["number"].shape[1]
    return {"number": cells_BF[:, :numbers], "code": cells_BF[:, numbers:]}


def take(batch: Batch, row_BF: torch.Tensor) -> Batch:
    """The batch whose cell (i, f) is that of row row_BF[i, f]: its value and its validity."""
    rows = split(row_BF, batch)
    x = {name: values.gather(0, rows[name]) for name, values in batch.x.items()}
    return batch.with_x(x, batch.valid.gather(0, row_BF))


def put(batch: Batch, other: Batch, where_BF: torch.Tensor) -> Batch:
    """The batch, and the other's cells where it says so; a row is never left with nothing."""
    valid_BF = torch.where(where_BF, other.valid, batch.valid)
    where_BF = where_BF & valid_BF.any(1, keepdim=True)
    part = split(where_BF, batch)
    x = {name: torch.where(part[name], other.x[name], value) for name, value in batch.x.items()}
    return batch.with_x(x, torch.where(where_BF, other.valid, batch.valid))


def donors(shape: torch.Size, rng: torch.Generator) -> torch.Tensor:
    """row int64: for each place another row, uniformly; the row itself where there is but one."""
    rows = shape[0]
    if rows == 1:
        return torch.zeros(shape, dtype=torch.int64, device=rng.device)
    step = torch.randint(1, rows, shape, generator=rng, device=rng.device)
    own = torch.arange(rows, device=rng.device).view(-1, *[1] * (len(shape) - 1))
    return (own + step) % rows


def swap(batch: Batch, where_BF: torch.Tensor, rng: torch.Generator) -> Batch:
    """Where it says so, cells of the same column of random other rows."""
    return put(batch, take(batch, donors(where_BF.shape, rng)), where_BF)


@register("augment", modality="tabular", traits=OF_BATCH, paper=SCARF)
def marginal_resample(
    batch: Batch,
    rng: torch.Generator,
    *,
    ratio: Annotated[Ratio, Unit("share of the columns"), Identity(0.0)] = 0.6,
) -> Batch:
    """Draw a fixed share of a row's cells, others in each row, anew from their columns' marginals.

    The marginals are those of the batch, missing cells included (see the head of this file).
    """
    B, F = batch.valid.shape
    return swap(batch, chosen((B, F), ratio, rng), rng)


@register("augment", modality="tabular", traits=OF_BATCH, paper=VIME)
def swap_noise(
    batch: Batch,
    rng: torch.Generator,
    *,
    p: Annotated[Probability, Unit("probability per cell"), Identity(0.0)] = 0.15,
) -> Batch:
    """Swap each cell with probability p for the one of a random other row."""
    where_BF = uniform(tuple(batch.valid.shape), 0.0, 1.0, rng) < p
    return swap(batch, where_BF, rng)


@register("augment", modality="tabular", traits=OF_BATCH, paper=SAINT)
def table_cutmix(
    batch: Batch,
    rng: torch.Generator,
    *,
    p: Annotated[Probability, Unit("probability per cell"), Identity(0.0)] = 0.3,
) -> Batch:
    """Take cells with probability p from one other row, the same for all cells of a row."""
    where_BF = uniform(tuple(batch.valid.shape), 0.0, 1.0, rng) < p
    row_B1 = donors(torch.Size((len(batch), 1)), rng)
    return put(batch, take(batch, row_B1.expand_as(where_BF)), where_BF)


@register("augment", modality="tabular", traits=OF_BATCH)
def cell_mask(
    batch: Batch,
    rng: torch.Generator,
    *,
    ratio: Annotated[Ratio, Unit("share of the columns"), Identity(0.0)] = 0.3,
) -> Batch:
    """Set a fixed share of a row's cells to nothing special: 0 (a scaled number's middle), `other`.

    They still count as seen: an encoder cannot tell that they were masked. Missing cells stay so.
    """
    B, F = batch.valid.shape
    part = split(chosen((B, F), ratio, rng), batch)
    x = {name: value.masked_fill(part[name], 0) for name, value in batch.x.items()}
    return batch.with_x(x)


@register("augment", modality="tabular", traits=OF_BATCH)
def feature_dropout(
    batch: Batch,
    rng: torch.Generator,
    *,
    p: Annotated[Probability, Unit("probability per cell"), Identity(0.0)] = 0.2,
) -> Batch:
    """Take cells away with probability p: they are missing, as encoders see; never all of a row."""
    noise_BF = uniform(tuple(batch.valid.shape), 0.0, 1.0, rng).masked_fill(~batch.valid, -1.0)
    kept_BF = (noise_BF >= p) | (noise_BF == noise_BF.amax(1, keepdim=True))
    return batch.with_x(batch.x, batch.valid & kept_BF)


@register("augment", modality="tabular", traits=OF_BATCH)
def quantile_noise(
    batch: Batch,
    rng: torch.Generator,
    *,
    sigma: Annotated[
        NonNegative, Unit("standard deviations of the scaled number"), Identity(0.0)
    ] = 0.1,
) -> Batch:
    """Add white Gaussian noise to numbers, in quantile space where that is their scale."""
    number_BK = batch.x["number"]
    noise_BK = torch.randn(number_BK.shape, generator=rng, device=number_BK.device)
    return batch.with_x({**batch.x, "number": torch.add(number_BK, noise_BK, alpha=sigma)})


@register(
    "augment", modality="tabular", traits=OF_BATCH, paper="Zhang et al. 2018, arXiv:1710.09412"
)
def table_mixup(
    batch: Batch,
    rng: torch.Generator,
    *,
    most: Annotated[
        float, Field(ge=0, le=0.5), Unit("share of the other row, at most"), Identity(0.0)
    ] = 0.2,
) -> Batch:
    """Move a row towards a random other one by a share uniform in 0..most.

    A number goes that share of the way; a category is the other row's with that probability. A
    cell that either row has not stays as it is.
    """
    B, F = batch.valid.shape
    share_B1 = uniform((B, 1), 0.0, most, rng)
    other = take(batch, donors(torch.Size((B, 1)), rng).expand(B, F))
    both = split(batch.valid & other.valid, batch)
    number_BK, code_BS = batch.x["number"], batch.x["code"]
    moved_BK = torch.lerp(number_BK, other.x["number"], share_B1.expand_as(number_BK))
    jumps_BS = uniform(tuple(code_BS.shape), 0.0, 1.0, rng) < share_B1
    return batch.with_x(
        {
            "number": torch.where(both["number"], moved_BK, number_BK),
            "code": torch.where(both["code"] & jumps_BS, other.x["code"], code_BS),
        }
    )
