"""The contract of a modality: what a sample is, from a source to the tensors of a batch.

Three forms of the same samples, one row each:

raw      an Arrow table as read: content of any length, in columns that the modality names, beside
         the optional columns `label`, `group`, `split` and `id` (as the source holds them).
tensors  an Arrow table of equal shapes: each column is a fixed_size_list (nested once per axis)
         of float32, uint8 or int64, so that it maps to a tensor without a copy.
Batch    some rows of the tensors, on the device of the encoder.

A subclass is registered with `@register("modality", name, gives=…)`. Its knobs are its rules: the
ways in which raw content becomes tensors (how to normalise, what to do with missing values).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import torch

from sslsearch.values import Batch, InputSpec


class Modality(ABC):
    """What a sample is.

    Attributes:
        default_encoder: the encoder where a space names none.
        floors: the reference rows that a study of this modality runs.
        columns: the roles that columns of a source may play beside label, group, split and id:
            word in `data.columns` -> its type (str, or str | list[str]) and what it says.
        drawn_as: how pictures show what `sketch` gives: `lines` over steps, or coloured `cells`.
    """

    default_encoder: str
    floors: tuple[str, ...]
    columns: ClassVar[Mapping[str, tuple[Any, str]]] = {}
    drawn_as: ClassVar[str] = "lines"

    @abstractmethod
    def read(
        self, source: str, columns: Mapping[str, Any], root: Path, *, unlabelled: bool = False
    ) -> pa.Table:
        """`scheme:place` -> raw samples; relative places start at `root`.

        `columns` maps roles (label, group, split, id and those of the modality) to the source's
        own column names. With `unlabelled`, columns for label, group and split may be absent.
        """

    @abstractmethod
    def usable(self, raw: pa.Table) -> np.ndarray:
        """One bool per row: False where there is nothing to learn from (empty, all missing)."""

    @abstractmethod
    def fit(self, train: pa.Table, others: Sequence[pa.Table] = ()) -> dict[str, Any]:
        """The state of the preprocessing, JSON-able, with the rules in it under `rules`.

        Statistics come from `train` alone; `others` (the test split) may only set sizes.
        """

    @abstractmethod
    def preprocess(self, raw: pa.Table, state: Mapping[str, Any]) -> pa.Table:
        """Raw samples -> tensors, row by row: what a row becomes depends on it and `state` only."""

    @abstractmethod
    def describe(self, raw: pa.Table, state: Mapping[str, Any]) -> list[str]:
        """One sentence for each thing that `preprocess` changes in these samples."""

    @abstractmethod
    def spec(self, state: Mapping[str, Any]) -> InputSpec:
        """What an encoder must know of the tensors."""

    @abstractmethod
    def collate(self, columns: Mapping[str, torch.Tensor], index_B: torch.Tensor) -> Batch:
        """The rows `index_B` of the tensor columns as a batch of its own memory."""

    def plain(self, batch: Batch, spec: InputSpec) -> torch.Tensor:
        """(B, D): the samples themselves as features, what the floor `raw` judges; 0 = not there.

        Unless overridden, x as it stands.
        """
        plain_BD: torch.Tensor = batch.x.flatten(1)
        return plain_BD

    def sketch(self, batch: Batch, spec: InputSpec) -> np.ndarray:
        """What pictures draw of the samples: (B, lines, steps), or (B, rows, columns) of cells.

        nan is a gap. Unless overridden, x as it stands.
        """
        return np.asarray(batch.x)

    @abstractmethod
    def synthetic(self, n: int, seed: int) -> pa.Table:
        """n raw, labelled samples whose classes can be learnt in seconds."""

    def of_table(
        self, table: pa.Table, columns: Mapping[str, Any], where: str, *, unlabelled: bool = False
    ) -> pa.Table:
        """Some rows of a Parquet file, one row per sample -> raw samples, as `read` makes them.

        Only for pools that do not fit in memory: what a row becomes depends on it alone.
        """
        raise ValueError(f"{where}: samples of this modality cannot be read in parts")

    def from_arrays(self, arrays: Any, state: Mapping[str, Any]) -> pa.Table:
        """Samples as they are held in memory -> raw samples, where a modality knows such a form."""
        raise ValueError(
            f"{state['modality']} samples are handed in as an Arrow table, not as "
            f"{type(arrays).__name__}"
        )
