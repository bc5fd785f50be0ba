"""Floors of forecasting and imputation that learn nothing: a mean, the last value, a line.

Shapes: N = samples, B = samples of a batch, C = channels, T = steps, S = steps asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from sslsearch.probe.fill import carried, interpolated
from sslsearch.probe.floors import FloorFeatures, Samples, batches, everything
from sslsearch.probe.numbers import Numbers
from sslsearch.registry import register

Filled = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@register("floor", needs=["numbers"])
def mean_value(
    train: Samples, test: Samples, seed: int, encoder: dict[str, Any], probe: Numbers
) -> FloorFeatures:
    """The mean of each channel, which is 0 where data.normalise is per_channel."""
    return _told(train, test, probe, lambda x_BCT, seen_BT: torch.zeros_like(x_BCT))


@register("floor", needs=["numbers"])
def last_value(
    train: Samples, test: Samples, seed: int, encoder: dict[str, Any], probe: Numbers
) -> FloorFeatures:
    """The last value that is seen before what is hidden."""
    return _told(train, test, probe, carried)


@register("floor", needs=["impute"])
def interpolation(
    train: Samples, test: Samples, seed: int, encoder: dict[str, Any], probe: Numbers
) -> FloorFeatures:
    """The line between the values that are seen before and after what is hidden."""
    return _told(train, test, probe, interpolated)


def _told(train: Samples, test: Samples, probe: Numbers, fill: Filled) -> FloorFeatures:
    def told(samples: Samples, index_N: torch.Tensor) -> torch.Tensor:
        parts = []
        for batch in batches(samples, index_N, torch.device("cpu")):
            seen_BT = batch.valid & ~probe.hidden(batch)
            parts.append(probe.asked(fill(batch.x, seen_BT), batch))
        return torch.cat(parts)

    return FloorFeatures(told(train, train.labelled), told(test, everything(test)), predicts=True)
