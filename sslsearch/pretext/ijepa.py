"""I-JEPA: predict what a slow copy makes of hidden blocks from the tokens of one large block.

Assran et al. 2023, Self-Supervised Learning from Images with a Joint-Embedding Predictive
Architecture, arXiv:2301.08243.

Shapes: B = this worker's samples, C = channels, N = tokens, D = token width, W = predictor width,
M = target blocks of a sample.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional as F

from sslsearch.distributed import draw, full_precision, global_mean
from sslsearch.encoders.attention import Block, look_at
from sslsearch.encoders.base import Encoder
from sslsearch.pretext.base import Pretext
from sslsearch.pretext.blocks import blocks
from sslsearch.pretext.heads import spread
from sslsearch.pretext.momentum import follow, follower
from sslsearch.registry import Count, Probability, Ratio, Unit, register
from sslsearch.values import Batch, Loss

SMALLEST = 0.75  # a target block, as a share of the largest: 0.15 of 0.2
CONTEXT = (0.85, 1.0)  # share of the tokens in the context's block, of which targets are cut out


@register("pretext", "ijepa", needs={"tokens"}, paper="Assran et al. 2023, arXiv:2301.08243")
class IJEPA(Pretext):
    """Predict a momentum encoder's tokens in hidden blocks from visible context.

    Blocks are boxes on the encoder's grid of tokens: stretches of a series, rectangles of an
    image. The predictor is as large as for the paper's ViT-B; small encoders want a smaller one.
    """

    views = 1

    def __init__(
        self,
        encoder: Encoder,
        *,
        targets: Annotated[Count, Unit("blocks")] = 4,
        scale: Annotated[Ratio, Unit("share of the tokens in a block, at most")] = 0.2,
        momentum: Annotated[Probability, Unit("of the copy kept per step, at the start")] = 0.996,
        predictor_depth: Annotated[Count, Unit("blocks")] = 6,
        predictor_width: Annotated[Count, Field(multiple_of=16), Unit("units")] = 384,
    ) -> None:
        super().__init__()
        self.targets, self.scale, self.momentum = targets, scale, momentum
        self.target_encoder = follower(encoder)
        self.embed = nn.Linear(encoder.width, predictor_width)
        self.mask_token = nn.Parameter(torch.randn(predictor_width) * 0.02)
        self.blocks = nn.ModuleList(
            Block(predictor_width, heads=predictor_width // 16) for _ in range(predictor_depth)
        )
        self.norm = nn.LayerNorm(predictor_width)
        self.predict = nn.Linear(predictor_width, encoder.width)

    def loss(self, encoder: Encoder, views: list[Batch], rng: torch.Generator) -> Loss:
        batch = views[0]
        valid_BCN = encoder.token_valid(batch)
        context_BN, target_BMN = self._draw(valid_BCN.any(1), encoder.grid(batch), rng)
        with torch.no_grad():
            whole_BND = self.target_encoder(batch).tokens_BND
        hidden_BCN = valid_BCN & ~context_BN[:, None]
        seen_BND = encoder(batch, hidden_BCN).tokens_BND
        position_NW = encoder.positions(batch, self.embed.out_features)
        predicted_BMND = self._predict(seen_BND, position_NW, context_BN, target_BMN)
        total = latent_distance(predicted_BMND, whole_BND, target_BMN)
        hidden = global_mean(hidden_BCN.sum().float(), valid_BCN.sum())
        alive = spread(whole_BND.mean(1))
        return Loss(total, {"distance": total.detach(), "hidden_share": hidden, "spread": alive})

    def _draw(
        self, valid_BN: torch.Tensor, grid: tuple[int, ...], rng: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Which tokens are context, and which are in each target block; never both.

        A sample whose targets leave no context (one of very few tokens) has no targets.
        """

        def make(valid_BN: torch.Tensor) -> torch.Tensor:
            scale = (SMALLEST * self.scale, self.scale)
            target_BMN = blocks(valid_BN, grid, rng, count=self.targets, scale=scale)
            one = blocks(valid_BN, grid, rng, count=1, scale=CONTEXT, aspect=(1.0, 1.0))
            return torch.cat([one, target_BMN], 1)

        drawn = draw(make, valid_BN)
        target_BMN = drawn[:, 1:]
        context_BN = drawn[:, 0] & ~target_BMN.any(1)
        some_B1 = context_BN.any(1, keepdim=True)
        return torch.where(some_B1, context_BN, valid_BN), target_BMN & some_B1[..., None]

    def _predict(
        self,
        seen_BND: torch.Tensor,
        position_NW: torch.Tensor,
        context_BN: torch.Tensor,
        target_BMN: torch.Tensor,
    ) -> torch.Tensor:
        """Each block by itself: it sees the context and mask tokens in its own places."""
        B, M, N = target_BMN.shape
        h_BNW = self.embed(seen_BND)
        h_BNW = torch.where(context_BN[..., None], h_BNW, self.mask_token.to(h_BNW.dtype))
        h_BNW = h_BNW + position_NW
        h_XNW = h_BNW.repeat_interleave(M, 0)  # X = B·M
        look_X11N = look_at((context_BN[:, None] | target_BMN).flatten(0, 1))
        for block in self.blocks:
            h_XNW = block(h_XNW, look_X11N)
        predicted_XND: torch.Tensor = self.predict(self.norm(h_XNW))
        return predicted_XND.reshape(B, M, N, -1)

    def after_step(self, encoder: Encoder, progress: float) -> None:
        """The target encoder takes a small step, which shrinks to 0 in a line."""
        follow((self.target_encoder, encoder), step=(1 - self.momentum) * (1 - progress))


def latent_distance(
    predicted_BMND: torch.Tensor, whole_BND: torch.Tensor, target_BMN: torch.Tensor
) -> torch.Tensor:
    """Mean smooth L1 distance of predictions and layer-normed tokens over all target tokens.

    The authors' code (src/train.py) has it where the paper's equation 1 squares the distance.
    """
    with full_precision(whole_BND.device):
        D = whole_BND.shape[-1]
        goal_BMND = F.layer_norm(whole_BND.float(), (D,))[:, None].expand_as(predicted_BMND)
        error_BMND = F.smooth_l1_loss(predicted_BMND.float(), goal_BMND, reduction="none")
        return global_mean((error_BMND.mean(-1) * target_BMN).sum(), target_BMN.sum())
