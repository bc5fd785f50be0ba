"""Series whose unseen steps are filled from those that are seen.

Shapes: B = samples, C = channels, T = steps. seen: False = only guesses stand there.
"""

from __future__ import annotations

import torch


def carried(x_BCT: torch.Tensor, seen_BT: torch.Tensor) -> torch.Tensor:
    """Each unseen step as the last seen before it; before the first seen, as that."""
    before_BT, after_BT = neighbours(seen_BT)
    return _at(x_BCT, torch.where(before_BT >= 0, before_BT, after_BT), seen_BT)


def interpolated(x_BCT: torch.Tensor, seen_BT: torch.Tensor) -> torch.Tensor:
    """Each unseen step on the line between its seen neighbours; at the ends, as the nearest."""
    before_BT, after_BT = neighbours(seen_BT)
    T = x_BCT.shape[2]
    low_BT = torch.where(before_BT >= 0, before_BT, after_BT)
    high_BT = torch.where(after_BT < T, after_BT, before_BT)
    step_T = torch.arange(T, device=x_BCT.device)
    share_BT = (step_T - low_BT) / (high_BT - low_BT).clamp(min=1)
    low_BCT, high_BCT = _at(x_BCT, low_BT, seen_BT), _at(x_BCT, high_BT, seen_BT)
    return torch.lerp(low_BCT, high_BCT, share_BT.clamp(0, 1)[:, None].expand_as(low_BCT))


def neighbours(seen_BT: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """before_BT, after_BT: the last seen step at or before each, -1 if none; the first at or
    after, T if none."""
    T = seen_BT.shape[1]
    step_T = torch.arange(T, device=seen_BT.device)
    before_BT = torch.where(seen_BT, step_T, -1).cummax(1).values
    after_BT = torch.where(seen_BT, step_T, T).flip(1).cummin(1).values.flip(1)
    return before_BT, after_BT


def _at(x_BCT: torch.Tensor, at_BT: torch.Tensor, seen_BT: torch.Tensor) -> torch.Tensor:
    """The values at those steps; zeros in a sample of which nothing is seen."""
    at_BT = at_BT.clamp(0, x_BCT.shape[2] - 1)
    found_BCT = x_BCT.gather(2, at_BT[:, None].expand_as(x_BCT))
    return torch.where(seen_BT.any(1)[:, None, None], found_BCT, 0.0)
