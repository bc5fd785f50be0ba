"""Hide spans of neighbouring tokens.

Zerveas 2020, A Transformer-based Framework for Multivariate Time Series Representation Learning,
arXiv:2010.02803 (geometric spans); Baevski 2020, wav2vec 2.0, arXiv:2006.11477.
Shapes: B = samples, C = channels, N = tokens.
"""

from __future__ import annotations

from typing import Annotated

import torch

from sslsearch.masking.pick import how_many, pick
from sslsearch.registry import Count, Ratio, Unit, register


@register("masking", needs={"time"}, paper="Zerveas 2020 (TST), arXiv:2010.02803")
def span(
    valid_BCN: torch.Tensor,
    rng: torch.Generator,
    *,
    ratio: Annotated[Ratio, Unit("share of the tokens")] = 0.15,
    length: Annotated[Count, Unit("tokens, on average")] = 3,
) -> torch.Tensor:
    """Hide spans of neighbouring tokens, the same in all channels, to an exact total.

    Invalid tokens are stepped over: a span may go on behind a gap. At least one visible token
    stands between two spans, so high ratios make spans longer than asked.
    """
    valid_BN = valid_BCN.any(dim=1)
    total_B1 = valid_BN.sum(dim=1, keepdim=True)
    hidden_BN = _lay_out(total_B1[:, 0], how_many(valid_BN, ratio), length, rng, valid_BN.shape[1])
    # Laid out on a ring that starts anywhere, so that the ends are hidden as often as the middle.
    turn_B1 = torch.rand(total_B1.shape, generator=rng, device=rng.device) * total_B1
    place_BN = valid_BN.cumsum(dim=1) + turn_B1.long()  # of a token among the valid ones
    hidden_BN = hidden_BN.gather(1, place_BN % total_B1.clamp(min=1))
    return (hidden_BN & valid_BN)[:, None] & valid_BCN


def _lay_out(
    total_B: torch.Tensor, count_B: torch.Tensor, length: int, rng: torch.Generator, size: int
) -> torch.Tensor:
    """(B, size) bool: `count` of the first `total` places, in about count / length spans.

    Hidden places are cut into spans at random: every way to cut is equally likely, which are
    TST's geometric lengths given their sum. Then each span is put behind another visible place.
    """
    place_N = torch.arange(size, device=total_B.device)
    shown_B = total_B - count_B
    spans_B = (count_B.double() / length).round().long().clamp(min=1)
    spans_B = spans_B.minimum(count_B).minimum(shown_B)
    used_BN = place_N < count_B[:, None]
    cut_BN = pick(used_BN & (place_N > 0), (spans_B - 1).clamp(min=0), rng)
    behind_BN = pick(place_N < shown_B[:, None], spans_B, rng)
    # Chosen ones first, in order: entry i counts the visible places before span i.
    visible_BN = (~behind_BN).long().argsort(dim=1, stable=True) + 1
    at_BN = visible_BN.gather(1, cut_BN.cumsum(dim=1)) + place_N
    at_BN = torch.where(used_BN, at_BN, size)  # one place too many takes what is not used
    hidden = torch.zeros((len(total_B), size + 1), dtype=torch.bool, device=total_B.device)
    return hidden.scatter(1, at_BN, True)[:, :size]
