"""Hide whole channels over all time: what one sensor saw must be told from the others.

Shapes: B = samples, C = channels, N = tokens.
"""

from __future__ import annotations

from typing import Annotated

import torch

from sslsearch.masking.pick import how_many, pick
from sslsearch.registry import Ratio, Unit, register


@register("masking", needs={"channels"})
def channel(
    valid_BCN: torch.Tensor,
    rng: torch.Generator,
    *,
    ratio: Annotated[Ratio, Unit("share of the channels")] = 0.5,
) -> torch.Tensor:
    """Hide whole channels over all time, others in each sample, never all of them.

    A sample in which only one channel holds anything hides nothing.
    """
    if valid_BCN.shape[1] == 1:
        raise ValueError(
            "masking 'channel' hides some channels and shows the others, but there is only one "
            "channel; use masking 'random' or 'span', or an encoder that keeps channels apart"
        )
    valid_BC = valid_BCN.any(dim=2)
    hidden_BC = pick(valid_BC, how_many(valid_BC, ratio), rng)
    return hidden_BC[:, :, None] & valid_BCN
