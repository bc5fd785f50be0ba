"""What all encoders of tables share: one token per column, what of it may be seen, how to restore.

Shapes: B = samples, F = columns (numbers first, then categories), K = numbers, S = categories,
L = levels of the category that has most, X = all numbers that restore a row. C = P = 1 in the
names of the contract: a column is one token of one number. hidden: True = the encoder must not
see it. valid: False = missing.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional as F

from sslsearch.encoders.base import Encoder
from sslsearch.values import Batch, InputSpec


@dataclass(frozen=True)
class Cells:
    """A row as an encoder may see it: 0 wherever a cell is hidden or missing."""

    number_BK: torch.Tensor
    code_BS: torch.Tensor
    seen_BF: torch.Tensor  # neither hidden nor missing
    hidden_BF: torch.Tensor


class TableEncoder(Encoder):
    """An encoder whose token n is column n of a row.

    Attributes:
        numbers: K.
        columns: F.
        levels: of each category how many codes there are; code 0 = other.
    """

    channels = 1
    patch_width = 1
    columns: int

    def __init__(self, spec: InputSpec) -> None:
        super().__init__()
        self.numbers: int = spec.sizes["numbers"]
        self.levels: tuple[int, ...] = tuple(spec.sizes["levels"])
        self.columns = self.numbers + len(self.levels)

    def token_valid(self, batch: Batch) -> torch.Tensor:
        return batch.valid[:, None]

    def patchify(self, batch: Batch) -> torch.Tensor:
        """A number as it stands (scaled), a category as its code."""
        cells_BF = torch.cat([batch.x["number"], batch.x["code"].float()], 1)
        cells_BF = torch.where(batch.valid, cells_BF, torch.zeros_like(cells_BF))
        return cells_BF[:, None, :, None]

    def see(self, batch: Batch, hidden_BCN: torch.Tensor | None) -> Cells:
        """The batch as this encoder may see it; hidden_BCN as in `forward`, with C = 1."""
        hidden_BF = torch.zeros_like(batch.valid) if hidden_BCN is None else hidden_BCN[:, 0]
        hidden_BF = hidden_BF & batch.valid
        seen_BF = batch.valid & ~hidden_BF
        number_BK, code_BS = batch.x["number"], batch.x["code"]
        return Cells(
            # where(), not a product: what is not valid may well be NaN
            torch.where(seen_BF[:, : self.numbers], number_BK, torch.zeros_like(number_BK)),
            torch.where(seen_BF[:, self.numbers :], code_BS, torch.zeros_like(code_BS)),
            seen_BF,
            hidden_BF,
        )

    @property
    def restored_width(self) -> int:
        """Each column has numbers of its own among the X: one, or a logit for each level."""
        return self.numbers + sum(self.levels)

    def restoration_error(
        self, restored_BNX: torch.Tensor, target_BCNP: torch.Tensor
    ) -> torch.Tensor:
        """Squared error of numbers, cross entropy of categories (in nats), column by column."""
        target_BF = target_BCNP[:, 0, :, 0]
        own_BFX = restored_BNX.float()
        at_K = torch.arange(self.numbers, device=own_BFX.device)
        error_BK = (own_BFX[:, at_K, at_K] - target_BF[:, : self.numbers]).square()
        error_BF = torch.cat([error_BK, *self._cross_entropies(own_BFX, target_BF)], 1)
        return error_BF[:, None, :, None]

    def _cross_entropies(
        self, own_BFX: torch.Tensor, target_BF: torch.Tensor
    ) -> list[torch.Tensor]:
        errors, start = [], self.numbers
        for column, levels in enumerate(self.levels, start=self.numbers):
            logits_BL = own_BFX[:, column, start : start + levels]
            code_B = target_BF[:, column].long()
            errors.append(F.cross_entropy(logits_BL, code_B, reduction="none")[:, None])
            start += levels
        return errors

    def flat(self, cells: Cells) -> torch.Tensor:
        """The whole row as one vector: numbers, categories one by one, what is seen and hidden.

        The category `other` has no place of its own: it is seen, and none of those known.
        """
        codes = zip(cells.code_BS.unbind(1), self.levels, strict=True)
        hot = [F.one_hot(code_B, n)[:, 1:] for code_B, n in codes]
        parts = [cells.number_BK, *hot, cells.seen_BF, cells.hidden_BF]
        return torch.cat([part.float() for part in parts], 1)

    @property
    def flat_width(self) -> int:
        """How many numbers `flat` makes of a row."""
        one_hot: int = sum(self.levels) - len(self.levels)
        return self.numbers + one_hot + 2 * self.columns

    def everywhere(self, h_BD: torch.Tensor, valid_BN: torch.Tensor) -> torch.Tensor:
        """tokens_BND of an encoder that has one vector for all columns: it stands under each."""
        return h_BD[:, None] * valid_BN[..., None]
