"""Samples: torch views over the buffers of a prepared Arrow table, and batches gathered from them.

Shapes: N = rows, B = rows of a batch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch.utils.dlpack import from_dlpack

from sslsearch import registry
from sslsearch.data.mapped import Mapped
from sslsearch.data.store import APART, JUDGES
from sslsearch.values import Batch, InputSpec

ROOM = 0.5  # the share of a device's free memory that samples may take


@dataclass(frozen=True)
class Samples:
    """The rows of a prepared table as tensors, all sharing the table's memory: never write there.

    Attributes:
        columns: tensor columns, on the device of `to`.
        labels_N: int64, -1 = no label that may be seen. On the CPU, as all below.
        groups_N: int64, or None without groups.
        labelled: int64, the rows that have a label; or those that a probe is shown (`showing`).
        judging: bool, which of `labelled` are a validation split: they judge trials and train no
            probe; None without such a split, where trials are judged by cross-validation.
        judges_N: bool, the rows of that split, with labels or not.
        pool: int64, the rows that are pretrained on.
    """

    columns: Mapping[str, torch.Tensor]
    spec: InputSpec
    classes: list[str]
    labels_N: torch.Tensor
    groups_N: torch.Tensor | None
    labelled: torch.Tensor
    modality: Any  # that of the spec; the rooms stand side by side and do not import each other
    judges_N: torch.Tensor
    pool: torch.Tensor
    judging: torch.Tensor | None = None

    @classmethod
    def from_table(cls, table: pa.Table | Mapped) -> Samples:
        """No copy where a column is one chunk, as `prepare` leaves it."""
        if isinstance(table, Mapped):
            table = table.table()
        spec = InputSpec(**json.loads(table.schema.metadata[b"spec"]))
        labels_N = _view(table["label"].fill_null(-1))
        labelled = torch.nonzero(labels_N >= 0).flatten()
        judges_N, apart_N = _roles(table)
        return cls(
            columns={
                name: tensor
                for field in table.schema
                if pa.types.is_nested(field.type) or pa.types.is_dictionary(field.type)
                for name, tensor in _tensors(field.name, _chunk(table[field.name])).items()
            },
            spec=spec,
            classes=json.loads(table.schema.metadata[b"classes"]),
            labels_N=labels_N,
            groups_N=_view(table["group"]) if "group" in table.column_names else None,
            labelled=labelled,
            judging=_some(judges_N[labelled]),
            judges_N=judges_N,
            pool=torch.nonzero(~apart_N).flatten(),
            modality=registry.get("modality", spec.modality).bind(None)(),
        )

    def __len__(self) -> int:
        return len(self.labels_N)

    def showing(self, rows: torch.Tensor) -> Samples:
        """The same samples, of which `rows` are handed to a probe instead of the labelled ones."""
        if rows is self.labelled:
            return self
        return replace(self, labelled=rows, judging=_some(self.judges_N[rows]))

    @property
    def fitting(self) -> torch.Tensor:
        """bool, which of `labelled` a probe is fitted on in the end: those that do not judge."""
        if self.judging is None:
            return torch.ones(len(self.labelled), dtype=torch.bool)
        return ~self.judging

    def batch_size(self, asked: int, workers: int = 1) -> int:
        """As asked for; all samples, where the modality takes them at once and there are fewer (all
        that `workers` can share evenly)."""
        most = len(self.pool) - len(self.pool) % workers
        return min(asked, most) if self.modality.full_batch else asked

    def batch(self, index_B: torch.Tensor, device: torch.device | str) -> Batch:
        """The rows `index_B`, gathered where the samples lie and moved to `device`."""
        home = next(iter(self.columns.values())).device
        batch = self.modality.collate(self.columns, index_B.to(home))
        return batch if home == torch.device(device) else _moved(batch, torch.device(device))

    def to(self, device: torch.device | str) -> Samples:
        """Samples whose columns lie on `device`; the same samples if they take too much room."""
        device = torch.device(device)
        if device.type == "cuda":
            size = sum(c.numel() * c.element_size() for c in self.columns.values())
            free, _ = torch.cuda.mem_get_info(device)
            if size > ROOM * free:
                return self
        return replace(self, columns={name: c.to(device) for name, c in self.columns.items()})


def _roles(table: pa.Table) -> tuple[torch.Tensor, torch.Tensor]:
    """bool: the rows that judge, and those of them that are not pretrained on."""
    if "role" not in table.column_names:
        none = torch.zeros(len(table), dtype=torch.bool)
        return none, none
    role = table["role"]
    judges, apart = (pc.is_in(role, pa.array(words)) for words in ((JUDGES, APART), (APART,)))
    judges_N, apart_N = (x.to_numpy(zero_copy_only=False).copy() for x in (judges, apart))
    return torch.from_numpy(judges_N), torch.from_numpy(apart_N)


def _some(judging: torch.Tensor) -> torch.Tensor | None:
    return judging if judging.any() else None


def _chunk(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _tensors(name: str, array: pa.Array) -> dict[str, torch.Tensor]:
    """A column by its type: numbers as they are; a list as its rows one after another, and where
    each begins (`name.offsets`, one more than rows); a dictionary as the place of each row in what
    all share, whose fields are `name.field`.
    """
    if pa.types.is_dictionary(array.type):
        return {name: _numbers(array.indices), **_tensors(name, array.dictionary)}
    if pa.types.is_struct(array.type):
        fields = {field.name: array.field(field.name) for field in array.type}
        inner = [_tensors(f"{name}.{word}", part) for word, part in fields.items()]
        return {word: tensor for part in inner for word, tensor in part.items()}
    if pa.types.is_large_list(array.type):
        offsets = {f"{name}.offsets": _numbers(array.offsets)}
        return {**_tensors(name, array.values), **offsets}
    return {name: _numbers(array)}


def _view(column: pa.ChunkedArray) -> torch.Tensor:
    return _numbers(_chunk(column))


def _numbers(array: pa.Array) -> torch.Tensor:
    """A tensor over the buffer of an array; its shape is in the nesting of fixed-size lists.

    DLPack, because torch warns of the read-only arrays that numpy makes of Arrow buffers.
    """
    shape = [len(array)]
    while pa.types.is_fixed_size_list(array.type):
        shape.append(array.type.list_size)
        array = array.flatten()
    return from_dlpack(array).view(shape)


def _moved(batch: Batch, device: torch.device) -> Batch:
    x = batch.x
    x = {k: v.to(device) for k, v in x.items()} if isinstance(x, dict) else x.to(device)
    return Batch(x=x, valid=batch.valid.to(device), index=batch.index.to(device))
