"""A copy of a network that follows it slowly, and learns nothing by itself.

The target of BYOL, the key encoder of MoCo, the teacher of DINO, the target encoder of I-JEPA.
"""

from __future__ import annotations

import copy
import math
from typing import TypeVar

import torch
from torch import nn

M = TypeVar("M", bound=nn.Module)


def follower(module: M) -> M:
    """A copy that takes no gradient."""
    return copy.deepcopy(module).requires_grad_(False)


@torch.no_grad()
def follow(*pairs: tuple[nn.Module, nn.Module], step: float) -> None:
    """Each (copy, network): the copy goes `step` of the way (0..1) to where the network is."""
    for copied, network in pairs:
        for slow, quick in zip(copied.parameters(), network.parameters(), strict=True):
            slow.lerp_(quick, step)


def cosine_step(momentum: float, progress: float) -> float:
    """1 - momentum at the start, shrinking to 0 along a cosine (BYOL, MoCo v3, DINO)."""
    return (1 - momentum) * (math.cos(math.pi * progress) + 1) / 2
