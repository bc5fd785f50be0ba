"""A trained encoder as one torch module: raw arrays in, features and class probabilities out.

What is exported is compared with the encoder as it stands, on raw samples that are made up.

Shapes: B = samples of a batch, D = features, K = classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import nn

from sslsearch.modalities.raw_input import Port, RawInput
from sslsearch.probe.linear import FittedLinear
from sslsearch.train.trained import TrainedEncoder
from sslsearch.values import Batch

TOLERANCE = 1e-4  # of a feature, as a share of the largest (of at least 1); of a probability
SIZES = (1, 3, 17)  # batches that are compared
TRACED = 3  # samples of the batch that is traced; not 1, which a graph would take for a constant

Outputs = Sequence[np.ndarray]


class Whole(nn.Module):
    """Preprocessing, encoder and, where the probe is linear, its class probabilities."""

    raw: RawInput

    def __init__(self, trained: TrainedEncoder) -> None:
        super().__init__()
        try:
            self.raw = trained.modality.raw_input(trained.preprocess)
        except ValueError as why:
            encoder = trained.recipe.part("encoder")[0]
            raise ValueError(
                f"encoder {encoder} cannot be exported as a graph: {why}; what can be had is "
                "best and huggingface"
            ) from why
        self.encoder = trained.encoder
        self.head = _head(trained)

    @property
    def ports(self) -> dict[str, Port]:
        return self.raw.ports

    @property
    def outputs(self) -> list[str]:
        return ["features"] if self.head is None else ["features", "probabilities"]

    def forward(self, *raw: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x, valid = self.raw(*raw)
        index_B = torch.arange(valid.shape[0], device=valid.device)
        features_BD = self.encoder(Batch(x, valid, index_B)).pooled_BD.float()
        if self.head is None:
            return (features_BD,)
        return features_BD, self.head(features_BD)

    def traced(self) -> tuple[tuple[torch.Tensor, ...], dict[str, Any]]:
        """Raw tensors to trace with, and which of their axes are free."""
        made = self.raw.made_up(TRACED, np.random.default_rng(0))
        tensors = tuple(torch.from_numpy(array.copy()) for array in self.raw.arrays(made))
        free = torch.export.Dim.DYNAMIC
        axes = tuple({0: free, **dict.fromkeys(port.free, free)} for port in self.ports.values())
        return tensors, {"raw": axes}


class _Spread(nn.Module):
    """Probabilities of the classes that a probe has learnt, each in its column among all."""

    place_KK: torch.Tensor

    def __init__(self, known: nn.Module, columns: Sequence[int], classes: int) -> None:
        super().__init__()
        self.known = known
        place_KK = torch.eye(classes)[list(columns)]
        self.register_buffer("place_KK", place_KK, persistent=False)

    def forward(self, features_BD: torch.Tensor) -> torch.Tensor:
        all_BK: torch.Tensor = self.known(features_BD) @ self.place_KK
        return all_BK


def _head(trained: TrainedEncoder) -> nn.Module | None:
    probe, classes = trained.probe, len(trained.classes)
    if not isinstance(probe, FittedLinear):
        return None
    every = list(probe.classes) == list(range(classes))
    return probe.arithmetic() if every else _Spread(probe.arithmetic(), probe.classes, classes)


def compare(
    trained: TrainedEncoder, whole: Whole, run: Callable[[tuple[np.ndarray, ...]], Outputs]
) -> str:
    """How far `run` is from the encoder itself, in words.

    Raises:
        ValueError: further than TOLERANCE.
    """
    rng = np.random.default_rng(1)
    worst = 0.0
    for size in SIZES:
        for smaller in (False, True) if any(p.free for p in whole.ports.values()) else (False,):
            made = whole.raw.made_up(size, rng, smaller=smaller)
            found = run(whole.raw.arrays(made))
            worst = float(np.max([worst, *_differences(trained, made, found)]))  # NaN stays
    if not worst <= TOLERANCE:
        raise ValueError(
            f"what was exported differs from the encoder by {worst:.1e}, more than "
            f"{TOLERANCE:.0e}: nothing is handed over; take the format best"
        )
    sizes = ", ".join(map(str, SIZES))
    return (
        f"differs from the encoder by at most {worst:.1e}, of {TOLERANCE:.0e} that are allowed "
        f"(batches of {sizes})"
    )


def _differences(trained: TrainedEncoder, made: pa.Table, found: Outputs) -> list[float]:
    features_BD = trained.embed(made)
    wanted = [features_BD, trained.proba_of(features_BD)][: len(found)]
    scales = [max(1.0, float(np.abs(features_BD).max())), 1.0]
    assert all(w.shape == f.shape for w, f in zip(wanted, found, strict=True)), "other shapes"
    return [
        float(np.abs(w - f).max() / scale)
        for w, f, scale in zip(wanted, found, scales, strict=False)
    ]
