"""The contract of a floor: what SSL must beat. A floor turns samples into features, or predicts.

It is built as `f(train, test, seed, encoder, *, knobs) -> FloorFeatures` and registered with
`@register("floor", modality=…, needs=…)`. `encoder` is the space's usual encoder as
`{name: {knob: value}}`. It needs what a probe must give: `pooled` (it makes one vector a sample),
`labels` (it learns from them), `classes` (it predicts them). One that takes a `probe` after the
encoder is handed it, and does as that looks and reads.
The caller judges all floors with the probe that judges the trials: `rung` on the labelled training
rows, `final` for the test rows; predictions are scored as they stand. A floor never sees a test
label: `test` comes without any.

Shapes: N = samples, B = samples of a batch, C = channels, T = time steps, D = features.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from sslsearch.encoders.base import Encoder
from sslsearch.probe.base import Probe
from sslsearch.values import Batch, InputSpec

BATCH = 256  # samples encoded at a time


class Samples(Protocol):
    """What floors ask of a sample store."""

    @property
    def columns(self) -> Mapping[str, torch.Tensor]:
        """Tensors by name, N rows each."""

    @property
    def spec(self) -> InputSpec:
        """Kind and sizes of a sample."""

    @property
    def labels_N(self) -> torch.Tensor:
        """int64, -1 = unlabelled."""

    @property
    def groups_N(self) -> torch.Tensor | None:
        """int64, which samples belong together; None: each by itself."""

    @property
    def modality(self) -> Any:
        """The kind of data, with its rules."""

    @property
    def labelled(self) -> torch.Tensor:
        """int64, places of the labelled samples."""

    @property
    def fitting(self) -> torch.Tensor:
        """bool, which of the labelled ones may be learnt from."""

    def __len__(self) -> int: ...

    def batch(self, index_B: torch.Tensor, device: torch.device) -> Batch:
        """The rows index_B on a device."""


@dataclass(frozen=True)
class FloorFeatures:
    """Features on the CPU, float32.

    Attributes:
        train_ND: one row per labelled training sample, in the order of `train.labelled`.
        test_ND: one row per test sample.
        sees_labels: the features were learnt from the training labels, so no cross-validation of
            a probe on them is a fair score: only the test rows are.
        predicts: the features are answers, as the probe's `taken` takes them: probabilities, one
            column for each labelled class, sorted; or numbers. Those of the training rows that are
            judged come from models that were not fitted on them.
    """

    train_ND: torch.Tensor
    test_ND: torch.Tensor
    sees_labels: bool = False
    predicts: bool = False


def device() -> torch.device:
    """Where floors are computed: a GPU if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def batches(samples: Samples, index_N: torch.Tensor, on: torch.device) -> Iterator[Batch]:
    """The rows of index_N in order, BATCH at a time, on a device."""
    for index_B in torch.split(index_N, BATCH):
        yield samples.batch(index_B, on)


def everything(samples: Samples) -> torch.Tensor:
    """(N,) the place of every sample."""
    return torch.arange(len(samples))


def flat(samples: Samples, index_N: torch.Tensor) -> torch.Tensor:
    """The samples themselves as features: the rows of index_N, on the CPU."""
    parts = batches(samples, index_N, torch.device("cpu"))
    return torch.cat([samples.modality.flat(batch, samples.spec) for batch in parts])


@torch.no_grad()
def pooled(
    encoder: Encoder, samples: Samples, index_N: torch.Tensor, probe: Probe | None = None
) -> torch.Tensor:
    """One vector per sample (or what the probe reads), from the encoder as it is: the rows of
    index_N, on the CPU."""
    encoder.eval()
    on = next(encoder.parameters()).device
    seen = batches(samples, index_N, on)
    if probe is None:
        return torch.cat([encoder(batch).pooled_BD.float().cpu() for batch in seen])
    return torch.cat([probe.read(encoder(probe.look(batch))).float().cpu() for batch in seen])


def filled(batch: Batch) -> torch.Tensor:
    """x_BCT with its not valid steps filled: at the start by 0, later by the last valid value.

    So a shorter series ends in a flat line, which adds no step that rocket kernels would react to.
    """
    x_BCT, valid_B1T = batch.x, batch.valid[:, None]
    steps_T = torch.arange(x_BCT.shape[-1], device=x_BCT.device)
    last_B1T = torch.where(valid_B1T, steps_T, -1).cummax(-1).values
    held_BCT = x_BCT.gather(-1, last_B1T.clamp(min=0).expand_as(x_BCT))
    return torch.where(last_B1T >= 0, held_BCT, torch.zeros_like(x_BCT))
