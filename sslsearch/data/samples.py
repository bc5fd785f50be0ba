"""Samples: torch views over the buffers of a prepared Arrow table, and batches gathered from them.

Shapes: N = rows, B = rows of a batch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import torch
from torch.utils.dlpack import from_dlpack

from sslsearch import registry
from sslsearch.data.mapped import Mapped
from sslsearch.values import Batch, InputSpec

ROOM = 0.5  # the share of a device's free memory that samples may take


@dataclass(frozen=True)
class Samples:
    """The rows of a prepared table as tensors, all sharing the table's memory: never write there.

    Attributes:
        columns: tensor columns, on the device of `to`.
        labels_N: int64, -1 = no label that may be seen. On the CPU, as all below.
        groups_N: int64, or None without groups.
        labelled: int64, the rows that have a label.
    """

    columns: Mapping[str, torch.Tensor]
    spec: InputSpec
    classes: list[str]
    labels_N: torch.Tensor
    groups_N: torch.Tensor | None
    labelled: torch.Tensor
    modality: Any  # that of the spec; the rooms stand side by side and do not import each other

    @classmethod
    def from_table(cls, table: pa.Table | Mapped) -> Samples:
        """No copy where a column is one chunk, as `prepare` leaves it."""
        if isinstance(table, Mapped):
            table = table.table()
        spec = InputSpec(**json.loads(table.schema.metadata[b"spec"]))
        labels_N = _view(table["label"].fill_null(-1))
        return cls(
            columns={
                field.name: _view(table[field.name])
                for field in table.schema
                if pa.types.is_fixed_size_list(field.type)
            },
            spec=spec,
            classes=json.loads(table.schema.metadata[b"classes"]),
            labels_N=labels_N,
            groups_N=_view(table["group"]) if "group" in table.column_names else None,
            labelled=torch.nonzero(labels_N >= 0).flatten(),
            modality=registry.get("modality", spec.modality).bind(None)(),
        )

    def __len__(self) -> int:
        return len(self.labels_N)

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


def _view(column: pa.ChunkedArray) -> torch.Tensor:
    """A tensor over the buffer of a column; its shape is in the nesting of fixed-size lists.

    DLPack, because torch warns of the read-only arrays that numpy makes of Arrow buffers.
    """
    array = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    shape = [len(array)]
    while pa.types.is_fixed_size_list(array.type):
        shape.append(array.type.list_size)
        array = array.flatten()
    return from_dlpack(array).view(shape)


def _moved(batch: Batch, device: torch.device) -> Batch:
    x = batch.x
    x = {k: v.to(device) for k, v in x.items()} if isinstance(x, dict) else x.to(device)
    return Batch(x=x, valid=batch.valid.to(device), index=batch.index.to(device))
