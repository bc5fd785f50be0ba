"""The linear forecast: each channel's future as one linear map of its past.

Zeng et al. 2023, Are Transformers Effective for Time Series Forecasting?, arXiv:2205.13504: a map
that all channels share, of the past less its last value (NLinear). Their DLinear splits the past in
a moving average and the rest first, which a linear map can do by itself. They descend the squared
error by Adam; here a ridge has its minimum in closed form, its penalty chosen as the probe's is.

Shapes: N = samples, C = channels, L = steps of the past, H = steps of the horizon.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sslsearch.probe.fill import carried
from sslsearch.probe.floors import FloorFeatures, Samples, batches, everything
from sslsearch.probe.forecast import Forecast, last_seen
from sslsearch.probe.token_ridge import Fit, FloatArray, blocks, misses_of, tell
from sslsearch.registry import register


@register("floor", needs=["forecast"], paper="Zeng et al. 2023, arXiv:2205.13504")
def linear(
    train: Samples, test: Samples, seed: int, encoder: dict[str, Any], probe: Forecast
) -> FloorFeatures:
    """One linear map from the past of a channel, less its last value, to its future."""
    known, fitting_N = _pasts(train, train.labelled, probe), train.fitting.numpy()
    if fitting_N.all():
        groups_N = None if train.groups_N is None else train.groups_N[train.labelled].numpy()
        splits = blocks(len(fitting_N), groups_N, probe.folds)
    else:
        splits = [(fitting_N, ~fitting_N)]
    fits = [known.fit(learns_N) for learns_N, _ in splits]
    errors_A = np.zeros(len(probe.alphas_A))
    for fit, (_, held_N) in zip(fits, splits, strict=True):
        tried = misses_of(fit, *known.flat(held_N), probe.alphas_A)
        errors_A += [misses.total for misses in tried]
    alpha = float(probe.alphas_A[errors_A.argmin()])
    final = fits[0] if len(fits) == 1 else known.fit(fitting_N)
    told_NCH = known.told(final, alpha)
    for fit, (_, held_N) in zip(fits, splits, strict=True):
        told_NCH[held_N] = known.told(fit, alpha)[held_N]
    asked_NCH = _pasts(test, everything(test), probe).told(final, alpha)
    return FloorFeatures(torch.from_numpy(told_NCH), torch.from_numpy(asked_NCH), predicts=True)


@dataclass(frozen=True)
class _Pasts:
    """Of each channel its past and its future less the last value of the past, and how far that
    lies from what the probe forecasts from."""

    past_NCL: FloatArray
    future_NCH: FloatArray
    lift_NC1: FloatArray

    def flat(self, rows_N: NDArray[np.bool_]) -> tuple[FloatArray, FloatArray]:
        """A row for each channel of each sample, as token_ridge takes them."""
        L, H = self.past_NCL.shape[2], self.future_NCH.shape[2]
        return self.past_NCL[rows_N].reshape(-1, 1, L), self.future_NCH[rows_N].reshape(-1, 1, H)

    def fit(self, rows_N: NDArray[np.bool_]) -> Fit:
        return Fit(*self.flat(rows_N))

    def told(self, fit: Fit, alpha: float) -> FloatArray:
        x = self.past_NCL.reshape(-1, 1, self.past_NCL.shape[2])
        told = tell(fit.maps(alpha), x, self.future_NCH.shape[2])
        return told.reshape(self.future_NCH.shape) + self.lift_NC1


def _pasts(samples: Samples, index_N: torch.Tensor, probe: Forecast) -> _Pasts:
    parts = []
    for batch in batches(samples, index_N, torch.device("cpu")):
        past = probe.look(batch)
        last_BC1 = last_seen(past)
        lift_BC1 = last_BC1 - probe.level(past)
        future_BCH = probe.asked(batch.x, batch) - lift_BC1
        parts.append((carried(past.x, past.valid) - last_BC1, future_BCH, lift_BC1))
    return _Pasts(*(torch.cat(part).double().numpy() for part in zip(*parts, strict=True)))
