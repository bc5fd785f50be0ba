"""Hide spans of neighbouring tokens, other ones in each channel.

Zerveas et al. 2020, A Transformer-based Framework for Multivariate Time Series Representation
Learning, arXiv:2010.02803 (TST: geometric spans, each variable by itself).
Shapes: B = samples, C = channels, N = tokens.
"""

from __future__ import annotations

from typing import Annotated

import torch

from sslsearch.masking.span import span
from sslsearch.registry import Count, Ratio, Unit, register


@register(
    "masking",
    needs={"time"},
    traits={"each_channel"},
    paper="Zerveas 2020 (TST), arXiv:2010.02803",
)
def geometric(
    valid_BCN: torch.Tensor,
    rng: torch.Generator,
    *,
    ratio: Annotated[Ratio, Unit("share of the tokens of each channel")] = 0.15,
    length: Annotated[Count, Unit("tokens, on average")] = 3,
) -> torch.Tensor:
    """Hide spans of geometric length in each channel by itself, to an exact total in each."""
    alone_X1N = valid_BCN.flatten(0, 1)[:, None]  # each channel as if it were a sample
    hidden_X1N = span(alone_X1N, rng, ratio=ratio, length=length)
    return hidden_X1N.reshape(valid_BCN.shape)
