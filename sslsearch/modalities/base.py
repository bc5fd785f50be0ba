"""The contract of a modality: what a sample is, from a source to the tensors of a batch.

Three forms of the same samples, one row each:

raw      an Arrow table as read: content of any length, in columns that the modality names, beside
         the optional columns `label`, `group`, `split` and `id` (as the source holds them).
tensors  an Arrow table whose columns map to tensors without a copy: a fixed_size_list (nested once
         per axis) of float32, uint8 or int64; a large_list of such for ragged rows; a dictionary
         for what all rows share (`data/samples.py` says what each becomes).
Batch    some rows of the tensors, on the device of the encoder.

A subclass is registered with `@register("modality", name, gives=…)`. Its knobs are its rules: the
ways in which raw content becomes tensors (how to normalise, what to do with missing values).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import pyarrow as pa
import torch

from sslsearch import plots
from sslsearch.modalities.raw_input import RawInput
from sslsearch.values import Batch, InputSpec


@dataclass(frozen=True)
class Role:
    """What a column of a source may hold, beside label, group, split and id."""

    description: str
    many: bool = False  # several columns may play it together

    @property
    def annotation(self) -> Any:
        """Type of the field `data.columns.<role>`."""
        return str | list[str] | None if self.many else str | None


class Modality(ABC):
    """What a sample is.

    Attributes:
        roles: what `data.columns` maps beside label, group, split and id.
        default_encoder: the encoder where a space names none.
        floors: the reference rows that a study of this modality runs.
        validation_judges: the source's validation rows judge trials and train no probe.
        validation_apart: neither are they pretrained on, nor do they count in the statistics.
        full_batch: a batch size beyond the pool means all of it, and is no mistake.
        unusable: what is said of the rows that are not `usable`, and dropped.
        varies: axes of the array of `to_arrays`, if it makes one, that may have any size.
    keeps_back: parts of samples are the test, not some of the samples: see `kept_back`.
    """

    roles: ClassVar[Mapping[str, Role]] = {}
    default_encoder: str
    floors: tuple[str, ...]
    validation_judges: bool = False
    validation_apart: bool = False
    full_batch: bool = False
    unusable: str = "hold nothing"
    varies: ClassVar[tuple[int, ...]] = ()
    keeps_back: bool = False

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

    def whole(self, raw: pa.Table) -> bool:
        """Are the rows parts of one whole (nodes of a graph), of which none is seen apart?

        Then all are pretrained on, those of the test split without their labels.
        """
        return False

    def kept_back(self, raw: pa.Table, share: float, seed: int) -> tuple[pa.Table, pa.Table]:
        """All raw samples twice, without the parts kept back (edges of a graph): with what is asked
        of these parts while trials are judged, and with what is asked at the end.

        `share` of the parts is the test. No column that `seal` leaves may tell the answers.
        """
        raise AssertionError(f"{type(self).__name__} keeps no parts back")

    @abstractmethod
    def fit(self, train: pa.Table, others: Sequence[pa.Table] = ()) -> dict[str, Any]:
        """The state of the preprocessing, JSON-able, with the rules in it under `rules`.

        Statistics come from `train` alone; `others` (the test split) may only set sizes.
        """

    @abstractmethod
    def preprocess(self, raw: pa.Table, state: Mapping[str, Any]) -> pa.Table:
        """Raw samples -> tensors, row by row: what a row becomes depends on it and `state` only."""

    def seal(self, tensors: pa.Table, hidden_N: np.ndarray) -> pa.Table:
        """The tensors without what answers for the hidden rows (bool) as a label would: maps of
        classes, edges kept back. Labels themselves are not the modality's business. All of the
        tensors, unless overridden."""
        return tensors

    @abstractmethod
    def describe(self, raw: pa.Table, state: Mapping[str, Any]) -> list[str]:
        """One sentence for each thing that `preprocess` changes in these samples."""

    @abstractmethod
    def spec(self, state: Mapping[str, Any]) -> InputSpec:
        """What an encoder must know of the tensors."""

    @abstractmethod
    def collate(self, columns: Mapping[str, torch.Tensor], index_B: torch.Tensor) -> Batch:
        """The rows `index_B` of the tensor columns as a batch of its own memory."""

    @abstractmethod
    def synthetic(self, n: int, seed: int) -> pa.Table:
        """n raw, labelled samples whose classes can be learnt in seconds."""

    def flat(self, batch: Batch, spec: InputSpec) -> torch.Tensor:
        """(B, D): the samples as an encoder gets them, laid flat: features without any learning."""
        return cast(torch.Tensor, batch.x).flatten(1)

    def pictured(self, batch: Batch, original: Batch, spec: InputSpec) -> list[np.ndarray]:
        """What `panel` is given of each sample; `original` is what a view was made of."""
        return list(cast(torch.Tensor, batch.x).numpy())

    def panel(self, axes: Any, x: np.ndarray, original: np.ndarray) -> None:
        """Draw one sample (or a view of `original`) into matplotlib axes, on original's scale."""
        plots.lines(axes, x.reshape(1, -1), original.reshape(1, -1))

    def of_table(
        self, table: pa.Table, columns: Mapping[str, Any], where: str, *, unlabelled: bool = False
    ) -> pa.Table:
        """Some rows of a Parquet file, one row per sample -> raw samples, as `read` makes them.

        Only for pools that do not fit in memory: what a row becomes depends on it alone.
        """
        raise ValueError(f"{where}: samples of this modality cannot be read in parts")

    def in_parts(self, columns: Mapping[str, Any]) -> bool:
        """May `of_table` read a Parquet file whose columns play these roles, part by part?"""
        return False

    def raw_input(self, state: Mapping[str, Any]) -> RawInput:
        """`preprocess` as tensor arithmetic on plain arrays, for an exported graph.

        Raises:
            ValueError: samples of this modality are no plain arrays; why.
        """
        raise ValueError(f"{state['modality']} samples are no plain arrays of one shape")

    def write(self, arrays: Any, labels: Sequence[str | None] | None, folder: Path) -> str:
        """Samples as they are held in memory, and their labels, into `folder`; the source that
        `read` takes. A label column is named `label`."""
        raise ValueError(
            f"{type(self).__name__}: samples held in memory cannot be trained on; write them to "
            "a file that data.source takes"
        )

    def from_arrays(self, arrays: Any, state: Mapping[str, Any]) -> pa.Table:
        """Samples as they are held in memory -> raw samples, where a modality knows such a form."""
        raise ValueError(
            f"{state['modality']} samples are handed in as an Arrow table, not as "
            f"{type(arrays).__name__}"
        )

    def to_arrays(self, raw: pa.Table, state: Mapping[str, Any]) -> Any:
        """Raw samples as people hold them in memory: an array or a data frame that `from_arrays`
        takes back. What a served model is asked about has this form.

        Raises:
            ValueError: they have none.
        """
        raise ValueError(f"{state['modality']} samples have no form as arrays")
