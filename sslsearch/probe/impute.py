"""Imputation: steps of a sample are hidden, a ridge says them from the tokens that cover them.

The protocol of Wu et al. 2023, TimesNet: Temporal 2D-Variation Modeling for General Time Series
Analysis, arXiv:2210.02186 (windows of 96 steps, 12.5 % to 50 % hidden and given as zeros, errors of
what was hidden only), but whole steps are hidden, not single channels of them; the reading by a
ridge is ours.

Shapes: B = samples of a batch, C = channels, T = steps, N = tokens, D = features.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from sslsearch.data.samples import Samples
from sslsearch.modalities.base import Modality
from sslsearch.probe.fill import interpolated
from sslsearch.probe.numbers import Folds, Numbers, Penalty
from sslsearch.registry import Count, Unit, register
from sslsearch.values import Batch, Encoded, InputSpec


@register(
    "probe",
    "impute",
    modality="timeseries",
    gives=["impute", "numbers"],
    paper="Wu et al. 2023, arXiv:2210.02186",
)
class Impute(Numbers):
    """A ridge says hidden steps from the encoder's tokens at their places.

    Which steps are hidden is drawn from (seed, the sample's number): the same at every rung, for
    every encoder and floor. span: hidden steps lie in runs of this length (the last may be cut).
    """

    name = "impute"

    def __init__(
        self,
        *,
        ratio: Annotated[float, Field(gt=0, lt=1), Unit("share of the steps")] = 0.25,
        span: Annotated[Count, Unit("steps hidden in a row")] = 1,
        seed: Annotated[int, Field(ge=0)] = 0,
        alpha_low: Penalty = 1e-1,
        alpha_high: Penalty = 1e6,
        alpha_steps: Annotated[Count, Unit("penalties tried")] = 8,
        folds: Folds = 5,
        most: Annotated[Count, Unit("samples learnt from")] = 1_000,
    ) -> None:
        super().__init__(alpha_low, alpha_high, alpha_steps, folds, most)
        self.ratio, self.span, self.seed = ratio, span, seed

    def check(self, samples: Samples) -> None:
        steps = samples.spec.sizes["length"]
        if not 0 < self._count(steps) < steps:
            raise ValueError(
                f"probe impute: a ratio of {self.ratio} hides {self._count(steps)} of {steps} "
                "steps; some must be hidden and some seen"
            )

    def _count(self, steps: int) -> int:
        return round(self.ratio * steps)

    def hidden(self, batch: Batch) -> torch.Tensor:
        T = batch.x.shape[2]
        count = self._count(T)
        masks = [drawn(self.seed, int(i), T, count, self.span) for i in batch.index]
        hidden_BT = torch.from_numpy(np.array(masks, bool).reshape(len(batch), T))
        return hidden_BT.to(batch.x.device)

    def asked(self, x_BCT: torch.Tensor, batch: Batch) -> torch.Tensor:
        return x_BCT.masked_fill(~self.hidden(batch)[:, None], torch.nan)

    def look(self, batch: Batch) -> Batch:
        return batch.with_x(batch.x.masked_fill(self.hidden(batch)[:, None], 0.0))

    def read(self, encoded: Encoded) -> torch.Tensor:
        return encoded.tokens_BND

    def plain(self, batch: Batch, modality: Modality, spec: InputSpec) -> torch.Tensor:
        """Of each step what is seen last before it and first after it, and the line between."""
        seen_BT = batch.valid & ~self.hidden(batch)
        return interpolated(batch.x, seen_BT).mT

    def said(self) -> dict[str, Any]:
        return {"ratio": self.ratio, "span": self.span, "seed": self.seed, "read": "tokens"}


@lru_cache(maxsize=1 << 16)
def drawn(seed: int, number: int, steps: int, count: int, span: int) -> NDArray[np.bool_]:
    """hidden_T of one sample: `count` steps in whole runs, the last of them cut."""
    run_T = np.arange(steps) // span
    order = np.random.default_rng([seed, number]).permutation(int(run_T[-1]) + 1)
    place_T = order[run_T] * span + np.arange(steps) % span
    hidden_T = np.zeros(steps, bool)
    hidden_T[place_T.argsort()[:count]] = True
    return hidden_T
