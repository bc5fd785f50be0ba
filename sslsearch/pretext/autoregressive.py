"""Autoregressive forecasting: from all tokens up to a moment, say the numbers of the next ones.

Chung et al. 2019, An Unsupervised Autoregressive Model for Speech Representation Learning,
arXiv:1904.03240 (APC: numbers some steps ahead, mean absolute error); by patches, as in Liu et al.
2024, Timer, arXiv:2402.02368. Their networks are causal; here the future is hidden from whatever
encoder there is, and one moment of each sample is asked at a time.

Shapes: B = samples, C = channels, N = tokens, D = width, P = numbers of a token in one channel,
H = tokens ahead.
"""

from __future__ import annotations

from typing import Annotated

import torch
from torch import nn

from sslsearch.distributed import draw, full_precision, global_mean
from sslsearch.encoders.base import Encoder
from sslsearch.pretext.base import Pretext
from sslsearch.registry import Count, Unit, register
from sslsearch.values import Batch, Loss


@register(
    "pretext",
    "autoregressive",
    needs={"time", "tokens"},
    paper="Chung et al. 2019 (APC), arXiv:1904.03240",
)
class Autoregressive(Pretext):
    """Forecast the next tokens from the past, which alone the encoder sees.

    The forecast is linear in the last token of the past and the pooled vector of the past.
    """

    views = 1

    def __init__(self, encoder: Encoder, *, ahead: Annotated[Count, Unit("tokens")] = 3) -> None:
        super().__init__()
        self.ahead = ahead
        self.forecast = nn.Linear(
            encoder.width + encoder.pooled_width, ahead * encoder.channels * encoder.patch_width
        )

    def loss(self, encoder: Encoder, views: list[Batch], rng: torch.Generator) -> Loss:
        batch = views[0]
        valid_BCN = encoder.token_valid(batch)
        place_BN, last_B1 = moments(valid_BCN.any(1), rng)
        encoded = encoder(batch, valid_BCN & (place_BN > last_B1)[:, None])
        is_last_BN = (place_BN == last_B1) & valid_BCN.any(1)
        last_BD = (encoded.tokens_BND * is_last_BN[..., None]).sum(1)
        said_BX = self.forecast(torch.cat([last_BD, encoded.pooled_BD], 1))
        said_BHCP = said_BX.unflatten(1, (self.ahead, encoder.channels, encoder.patch_width))
        ahead_BN = place_BN - last_B1 - 1  # 0 for the next token
        with full_precision(said_BX.device):
            row_B1 = torch.arange(len(batch), device=place_BN.device)[:, None]
            at_BN = ahead_BN.clamp(0, self.ahead - 1)
            said_BCNP = said_BHCP.float()[row_B1, at_BN].transpose(1, 2)
            asked_BN = (ahead_BN >= 0) & (ahead_BN < self.ahead)
            counts_BCNP = encoder.patch_valid(batch) & asked_BN[:, None, :, None]
            error_BCNP = (said_BCNP - encoder.patchify(batch).float()).abs() * counts_BCNP
            total = global_mean(error_BCNP.sum(), counts_BCNP.sum())
        return Loss(total, {"absolute_error": total.detach()})


def moments(valid_BN: torch.Tensor, rng: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Each token's place among its sample's valid ones, from 0, and the last place of the past.

    The moment is uniform over all that have something behind them. A sample of one valid token
    has none: its past is that token.
    """
    place_BN = valid_BN.cumsum(1) - 1
    count_B1 = valid_BN.sum(1, keepdim=True)
    noise_B1 = draw(
        lambda like: torch.rand((len(like), 1), generator=rng, device=like.device), valid_BN
    )
    return place_BN, (noise_B1 * (count_B1 - 1).clamp(min=1)).long()
