"""Fine-tuning: the encoder itself learns from the labels, together with a linear head.

For users who will fine-tune: published ranks of methods by frozen features and by fine-tuning
hardly correlate. The head starts as the linear probe of the frozen features and not at random,
which would first distort them: Kumar et al. 2022, Fine-Tuning can Distort Pretrained Features and
Underperform Out-of-Distribution, arXiv:2202.10054 (LP-FT). The probe is handed a copy: what
pretraining goes on with is never touched.

Shapes: N = labelled samples, D = features, K = classes.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from pydantic import Field
from torch import nn

from sslsearch.data.samples import Samples
from sslsearch.encoders.base import Encoder
from sslsearch.probe.base import FittedProbe, Probe, Rows, as_groups, as_task, score_predictions
from sslsearch.probe.floors import pooled
from sslsearch.probe.linear import FittedLinear, Linear, group_folds
from sslsearch.probe.supervision import Schedule, train_on_labels
from sslsearch.registry import Count, NonNegative, Positive, Unit, register
from sslsearch.values import Scores

VERSION = 1  # raised whenever the same encoder and settings would score differently


@register(
    "probe",
    "finetune",
    gives=["classes", "labels", "pooled"],
    paper="Kumar et al. 2022, arXiv:2202.10054",
)
class Finetune(Probe):
    """Accuracy after fine-tuning on the labels: cross-validated at rungs, the whole at the end.

    A rung costs `folds` times `steps` optimiser steps, so judging takes longer than by `linear`.
    Floors are judged as they are, by the linear probe; the one to beat is `supervised`, which is
    fine-tuning from random weights. `best/` holds the encoder as fine-tuned.
    """

    def __init__(
        self,
        *,
        steps: Annotated[Count, Unit("optimiser steps")] = 100,
        epochs: Annotated[Count, Unit("passes over the labelled samples")] = 20,
        lr: Positive = 3e-4,
        weight_decay: NonNegative = 1e-2,
        folds: Annotated[int, Field(ge=2), Unit("folds")] = 3,
    ) -> None:
        self.schedule = Schedule(steps, epochs, lr, weight_decay)
        self.folds, self.frozen = folds, Linear()

    def examine(
        self,
        encoder: Encoder,
        samples: Samples,
        features_ND: torch.Tensor,
        truth_N: torch.Tensor,
        groups_N: ArrayLike | None,
        device: torch.device,
    ) -> Scores:
        """Each labelled sample as predicted by a copy that was fine-tuned without its fold."""
        if samples.judging is not None:
            held_N = samples.judging
            proba_NK, fitted = self._held_out(encoder, samples, features_ND, held_N, device)
            return score_predictions(proba_NK, fitted.classes, truth_N[held_N])
        _, classes, code_N = as_task(features_ND, truth_N)
        groups = as_groups(groups_N, len(code_N))
        apart = np.arange(len(code_N)) if groups is None else groups
        fold_N = torch.from_numpy(group_folds(code_N, apart, self.folds))
        proba_NK = np.zeros((len(code_N), len(classes)))
        for fold in range(int(fold_N.max()) + 1):
            held_N = fold_N == fold
            seen, fitted = self._held_out(encoder, samples, features_ND, held_N, device)
            known = np.searchsorted(classes, fitted.classes)
            proba_NK[np.ix_(held_N.numpy(), known)] = seen
        scores = score_predictions(proba_NK, [int(c) for c in classes], truth_N, groups)
        return replace(scores, settings=self._settings(f"{int(fold_N.max()) + 1} folds"))

    def _held_out(
        self,
        encoder: Encoder,
        samples: Samples,
        features_ND: torch.Tensor,
        held_N: torch.Tensor,
        device: torch.device,
    ) -> tuple[NDArray[np.float64], FittedLinear]:
        """Probabilities of the held samples by a copy fine-tuned on the others."""
        tuned, fitted = self._tuned(encoder, samples, features_ND, ~held_N, device)
        held = samples.labelled[held_N]
        return fitted.predict_proba(pooled(tuned, samples, held)), fitted

    def adapt(
        self, encoder: Encoder, samples: Samples, device: torch.device
    ) -> tuple[Encoder, FittedProbe]:
        """A copy fine-tuned on all labels (a validation split's are left alone), and its head."""
        features_ND = pooled(encoder, samples, samples.labelled)
        return self._tuned(encoder, samples, features_ND, samples.fitting, device)

    def _tuned(
        self,
        encoder: Encoder,
        samples: Samples,
        features_ND: torch.Tensor,
        fits_N: torch.Tensor,
        device: torch.device,
    ) -> tuple[Encoder, FittedLinear]:
        rows_N = samples.labelled[fits_N]
        start = self.frozen.final(features_ND[fits_N], samples.labels_N[rows_N])
        assert isinstance(start, FittedLinear)
        with torch.random.fork_rng():  # dropout draws from the global generators
            torch.manual_seed(0)
            tuned, head = copy.deepcopy(encoder).to(device), _Head(start).to(device)
            classes = torch.tensor(start.classes)
            train_on_labels(tuned, head, samples, rows_N, classes, self.schedule, seed=0)
        return tuned, head.fitted(start, self._settings("held out"))

    def rung(self, features_ND: Rows, truth_N: Rows, groups_N: ArrayLike | None = None) -> Scores:
        """Of features without an encoder (floors): by the linear probe."""
        return self.frozen.rung(features_ND, truth_N, groups_N)

    def final(self, features_ND: Rows, truth_N: Rows) -> FittedProbe:
        """Of features without an encoder (floors): the linear probe's."""
        return self.frozen.final(features_ND, truth_N)

    @staticmethod
    def load(saved: dict[str, Any]) -> FittedProbe:
        return Linear.load(saved)

    def _settings(self, cv: str) -> dict[str, Any]:
        about = {"name": "finetune", "version": VERSION, "cv": cv, "folds": self.folds}
        return about | vars(self.schedule)


class _Head(nn.Module):
    """The linear probe as a layer; its standardisation stays as it was fitted."""

    mean_D: torch.Tensor
    gain_D: torch.Tensor

    def __init__(self, start: FittedLinear) -> None:
        super().__init__()
        self.register_buffer("mean_D", torch.tensor(start.mean))
        self.register_buffer("gain_D", torch.tensor(start.gain))
        self.coef_DK = nn.Parameter(torch.tensor(start.coef))
        self.bias_K = nn.Parameter(torch.tensor(start.bias))

    def forward(self, pooled_BD: torch.Tensor) -> torch.Tensor:
        return (pooled_BD - self.mean_D) * self.gain_D @ self.coef_DK + self.bias_K

    def fitted(self, start: FittedLinear, settings: dict[str, Any]) -> FittedLinear:
        learnt = {"coef": self.coef_DK.tolist(), "bias": self.bias_K.tolist()}
        return replace(start, **learnt, settings=settings)
