"""The small networks that stand between an encoder's pooled vector and a pretext's loss."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

from sslsearch.distributed import BatchNorm


def mlp(*widths: int, last_norm: bool = False) -> nn.Sequential:
    """Linear layers of these widths with BatchNorm and ReLU between them.

    The last one is bare; with `last_norm` a BatchNorm without weights stands behind it.
    """
    layers: list[nn.Module] = []
    for width_in, width_out in pairwise(widths[:-1]):
        layers += [nn.Linear(width_in, width_out, bias=False), BatchNorm(width_out), nn.ReLU()]
    layers.append(nn.Linear(widths[-2], widths[-1], bias=not last_norm))
    return nn.Sequential(*layers, *([BatchNorm(widths[-1], affine=False)] if last_norm else []))


def spread(z_BD: torch.Tensor) -> torch.Tensor:
    """Health: mean deviation of the unit-length embeddings times √D; near 0 is collapse."""
    unit_BD = nn.functional.normalize(z_BD.detach().float(), dim=1)
    deviation_D = unit_BD.std(0, correction=0)
    return deviation_D.mean() * float(len(deviation_D) ** 0.5)
