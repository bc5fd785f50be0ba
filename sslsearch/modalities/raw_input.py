"""The contract of raw input: a modality's preprocessing as tensor arithmetic, for exported graphs.

Where `Modality.preprocess` works on Arrow tables with numpy, this does the same on plain arrays
within a torch module, so that what is exported (ONNX, torch.export) takes raw samples.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import nn


@dataclass(frozen=True)
class Port:
    """One input of the graph: axis 0 is the batch.

    Attributes:
        form: its type and axes, and what a value means, in words.
        example: Python (numpy as np, rng) that makes such an array of 5 samples.
        free: further axes whose size is free, by name.
    """

    form: str
    example: str
    free: Mapping[int, str] = field(default_factory=dict)


class RawInput(nn.Module, ABC):
    """Raw arrays -> a batch's `x` and `valid`, as the modality's own preprocessing makes them.

    Attributes:
        ports: the arguments of `forward` by name, in order.
    """

    ports: dict[str, Port]

    @abstractmethod
    def forward(self, *raw: torch.Tensor) -> tuple[Any, torch.Tensor]:
        """x and valid of a Batch."""

    @abstractmethod
    def arrays(self, raw: pa.Table) -> tuple[np.ndarray, ...]:
        """Raw samples as the ports take them."""

    @abstractmethod
    def made_up(self, n: int, rng: np.random.Generator, *, smaller: bool = False) -> pa.Table:
        """n raw samples, as odd as they come (gaps, constants), for comparing two ways to encode.

        smaller: where an axis is free, of another size than in training.
        """
