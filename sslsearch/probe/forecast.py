"""Forecasting: the encoder sees the past of a window, a ridge says what comes.

Yue et al. 2022, TS2Vec: Towards Universal Representation of Time Series, arXiv:2106.10466 (section
4.2: ridge regression on the representation of the last step, its penalty chosen on validation).

Shapes: B = samples of a batch, C = channels, T = steps, H = steps of the horizon, D = features.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import torch

from sslsearch.data.samples import Samples
from sslsearch.probe.fill import carried
from sslsearch.probe.numbers import Folds, Numbers, Penalty
from sslsearch.registry import Count, Unit, register
from sslsearch.values import Batch, Encoded

SCALED = 1e-3  # a mean this near 0 and a deviation this near 1 are no accident
LOOKED_AT = 64  # samples of which that is asked


@register(
    "probe",
    "forecast",
    modality="timeseries",
    gives=["forecast", "numbers"],
    paper="Yue et al. 2022, arXiv:2106.10466",
)
class Forecast(Numbers):
    """A ridge says the last steps of a sample (the horizon) from what the encoder sees before them.

    read: the last token, the pooled vector, both, or all tokens laid flat (Nie et al. 2023,
    PatchTST, arXiv:2211.14730). Errors are those of all channels in the units of `data.normalise`.
    anchor "last": the ridge says how far each step lies from the last one seen (Zeng et al. 2022,
    NLinear, arXiv:2205.13504); the errors are the same numbers.
    """

    name = "forecast"

    def __init__(
        self,
        *,
        horizon: Annotated[Count, Unit("steps")] = 96,
        read: Literal["last", "pooled", "both", "all"] = "last",
        anchor: Literal["none", "last"] = "none",
        alpha_low: Penalty = 1e-1,
        alpha_high: Penalty = 1e6,
        alpha_steps: Annotated[Count, Unit("penalties tried")] = 15,
        folds: Folds = 5,
        most: Annotated[Count, Unit("samples learnt from")] = 10_000,
    ) -> None:
        super().__init__(alpha_low, alpha_high, alpha_steps, folds, most)
        self.horizon, self.reads, self.anchor = horizon, read, anchor

    def check(self, samples: Samples) -> None:
        sizes = samples.spec.sizes
        if self.horizon >= sizes["length"]:
            raise ValueError(
                f"probe forecast: a horizon of {self.horizon} steps leaves nothing to see of "
                f"{sizes['length']}; write a shorter probe.knobs.horizon or a longer data.window"
            )
        if self.horizon > sizes.get("horizon", self.horizon):
            raise ValueError(
                f"probe forecast: splits share steps of a horizon of {self.horizon}; write "
                f"data.horizon: {self.horizon}"
            )
        index = torch.arange(min(LOOKED_AT, len(samples)))
        if scaled_alone(samples.batch(index, "cpu")):
            raise ValueError(
                "probe forecast: every sample has mean 0 and deviation 1, future included, so the "
                "past gives the future away; write data.normalise: per_channel (or give data that "
                "are not scaled series by series)"
            )

    def able(self, batch: Batch) -> torch.Tensor:
        able_B: torch.Tensor = super().able(batch) & batch.valid[:, -self.horizon :].all(1)
        return able_B

    def hidden(self, batch: Batch) -> torch.Tensor:
        T = batch.x.shape[2]
        future_T = torch.arange(T, device=batch.x.device) >= T - self.horizon
        hidden_BT: torch.Tensor = future_T.expand(len(batch), T)
        return hidden_BT

    def asked(self, x_BCT: torch.Tensor, batch: Batch) -> torch.Tensor:
        future_BCH: torch.Tensor = x_BCT[..., -self.horizon :] - self.level(self.look(batch))
        return future_BCH

    def level(self, past: Batch) -> torch.Tensor:
        """level_BC1: what the ridge adds to."""
        last_BC1 = last_seen(past)
        return last_BC1 if self.anchor == "last" else torch.zeros_like(last_BC1)

    def look(self, batch: Batch) -> Batch:
        return batch.with_x(batch.x[..., : -self.horizon], batch.valid[:, : -self.horizon])

    def read(self, encoded: Encoded) -> torch.Tensor:
        if self.reads == "pooled":
            return encoded.pooled_BD
        if self.reads == "all":
            return encoded.tokens_BND.flatten(1)
        place_N = torch.arange(encoded.valid_BN.shape[1], device=encoded.valid_BN.device)
        last_B = torch.where(encoded.valid_BN, place_N, 0).amax(1)
        last_BD = encoded.tokens_BND[torch.arange(len(last_B), device=last_B.device), last_B]
        return last_BD if self.reads == "last" else torch.cat([last_BD, encoded.pooled_BD], 1)

    def said(self) -> dict[str, Any]:
        return {"horizon": self.horizon, "read": self.reads, "anchor": self.anchor}


def last_seen(past: Batch) -> torch.Tensor:
    """x_BC1: the last valid step of each channel."""
    return carried(past.x, past.valid)[..., -1:]


def scaled_alone(batch: Batch) -> bool:
    """Does every channel of every sample have zero mean and unit deviation (or no deviation)?"""
    valid_B1T = batch.valid[:, None].to(batch.x.dtype)
    count_B1 = valid_B1T.sum(2).clamp(min=1)
    mean_BC = (batch.x * valid_B1T).sum(2) / count_B1
    spread_BC = ((batch.x - mean_BC[..., None]).square() * valid_B1T).sum(2).div(count_B1).sqrt()
    unit_BC = ((spread_BC - 1).abs() < SCALED) | (spread_BC == 0)
    return bool(((mean_BC.abs() < SCALED) & unit_BC).all()) and bool(spread_BC.any())
