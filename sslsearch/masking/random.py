"""Hide tokens scattered at random.

He 2021, Masked Autoencoders Are Scalable Vision Learners, arXiv:2111.06377.
Shapes: B = samples, C = channels, N = tokens.
"""

from __future__ import annotations

from typing import Annotated

import torch

from sslsearch.masking.pick import how_many, pick
from sslsearch.registry import Ratio, Unit, register


@register("masking", paper="He 2021, arXiv:2111.06377")
def random(
    valid_BCN: torch.Tensor,
    rng: torch.Generator,
    *,
    ratio: Annotated[Ratio, Unit("share of the tokens")] = 0.75,
) -> torch.Tensor:
    """Hide single tokens scattered at random, the same in all channels.

    A token counts as valid where any channel is; an invalid channel of it is never hidden.
    """
    valid_BN = valid_BCN.any(dim=1)
    hidden_BN = pick(valid_BN, how_many(valid_BN, ratio), rng)
    return hidden_BN[:, None] & valid_BCN
