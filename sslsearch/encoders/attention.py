"""Pre-norm attention blocks over tokens of which some are not valid, and sinusoidal positions.

Vaswani et al. 2017, Attention Is All You Need, arXiv:1706.03762; pre-norm as in Dosovitskiy et al.
2021, An Image is Worth 16x16 Words, arXiv:2010.11929.

Shapes: B = samples, N = tokens, D = width, H = heads, V = most visible tokens of any sample.
valid: False = nobody may look there.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F


class Block(nn.Module):
    """Attention, then a two-layer MLP four times as wide; both on top of what came in."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width {width} must be divisible by heads {heads}")
        self.heads = heads
        self.attend_norm, self.mlp_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, h_BND: torch.Tensor, look_B11N: torch.Tensor | None) -> torch.Tensor:
        qkv = self.qkv(self.attend_norm(h_BND)).unflatten(-1, (3, self.heads, -1))
        q_BHND, k_BHND, v_BHND = qkv.permute(2, 0, 3, 1, 4)
        seen_BHND = F.scaled_dot_product_attention(q_BHND, k_BHND, v_BHND, attn_mask=look_B11N)
        h_BND = h_BND + self.out(seen_BHND.transpose(1, 2).flatten(2))
        out_BND: torch.Tensor = h_BND + self.mlp(self.mlp_norm(h_BND))
        return out_BND


def look_at(valid_BN: torch.Tensor) -> torch.Tensor:
    """The attention mask (True = may be looked at); samples without any valid token see all.

    Their rows are meaningless but finite: a softmax over nothing would be NaN.
    """
    return (valid_BN | ~valid_BN.any(1, keepdim=True))[:, None, None]


def visible_only(
    h_BND: torch.Tensor,
    visible_BN: torch.Tensor,
    run: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
) -> torch.Tensor:
    """What `run(h, valid)` makes of the visible tokens alone; zeros in the places of the others.

    Visible tokens go first, the rest is cut off, and all return to their places.
    """
    most = max(1, int(visible_BN.sum(1).max()))
    place_BV = visible_BN.to(torch.uint8).argsort(dim=1, descending=True, stable=True)[:, :most]
    place_BVD = place_BV[..., None].expand(-1, -1, h_BND.shape[2])
    h_BVD = run(h_BND.gather(1, place_BVD), visible_BN.gather(1, place_BV))
    return torch.zeros_like(h_BND, dtype=h_BVD.dtype).scatter(1, place_BVD, h_BVD)


def sinusoids(count: int, width: int, device: torch.device) -> torch.Tensor:
    """position_ND: fixed waves, so that any number of tokens has its positions."""
    frequency = torch.arange((width + 1) // 2, device=device) * (-2 * math.log(10_000.0) / width)
    angle = torch.arange(count, device=device)[:, None] * frequency.exp()
    return torch.stack([angle.sin(), angle.cos()], -1).flatten(1)[:, :width]


def waves(grid: tuple[int, ...], width: int, device: torch.device) -> torch.Tensor:
    """position_ND in a grid: each axis has its share of the waves (He et al. 2022)."""
    shares = [width // len(grid)] * (len(grid) - 1)
    shares.append(width - sum(shares))
    axes = []
    for axis, (count, share) in enumerate(zip(grid, shares, strict=True)):
        shape = [1] * len(grid) + [share]
        shape[axis] = count
        axes.append(sinusoids(count, share, device).view(shape).expand(*grid, share))
    return torch.cat(axes, -1).flatten(0, -2)
