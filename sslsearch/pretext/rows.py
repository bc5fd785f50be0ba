"""What pretexts of table rows share: corruption over the global batch, and restoring whole rows.

Shapes: B = this worker's samples, F = columns, X = all numbers that restore a row.
"""

from __future__ import annotations

import torch

from sslsearch.augment.tabular import donors, put, take
from sslsearch.distributed import draw, full_precision, gather, global_mean
from sslsearch.encoders.base import Encoder
from sslsearch.values import Batch


def corrupted(batch: Batch, rng: torch.Generator, p: float) -> tuple[Batch, torch.Tensor]:
    """Each cell with probability p from a random other row of the global batch, and what changed.

    A cell that happens to get its own value again has not changed (the authors of VIME count so).
    """

    def coins(like_BF: torch.Tensor) -> torch.Tensor:
        return torch.rand(like_BF.shape, generator=rng, device=like_BF.device) < p

    where_BF = draw(coins, batch.valid)
    row_BF = draw(lambda like_BF: donors(like_BF.shape, rng), batch.valid)
    everyone = batch.with_x(
        {name: gather(values) for name, values in batch.x.items()}, gather(batch.valid)
    )
    after = put(batch, take(everyone, row_BF), where_BF)
    moved_BF = torch.cat([after.x[name] != batch.x[name] for name in ("number", "code")], 1)
    both_BF = batch.valid & after.valid
    return after, (moved_BF & both_BF) | (batch.valid != after.valid)


def row_restoration(encoder: Encoder, row_BX: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Mean error of one vector that restores all columns of a row, over the cells that are there.

    Squared error of numbers, cross entropy of categories, as the encoder says.
    """
    with full_precision(row_BX.device):
        every_BFX = row_BX.float()[:, None].expand(-1, batch.valid.shape[1], -1)
        error_BCNP = encoder.restoration_error(every_BFX, encoder.patchify(batch).float())
        there_BCNP = encoder.patch_valid(batch)
        return global_mean((error_BCNP * there_BCNP).sum(), there_BCNP.sum())
