"""MAE: hide most tokens, restore the numbers under them from what is left.

He et al. 2022, Masked Autoencoders Are Scalable Vision Learners, arXiv:2111.06377.

Shapes: B = samples, C = channels, N = tokens, P = numbers of a token in one channel, D = decoder
width. hidden: True = the encoder must not see it and the decoder must restore it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import nn

from sslsearch.distributed import draw, full_precision, global_mean
from sslsearch.encoders.attention import Block, look_at
from sslsearch.encoders.base import Encoder
from sslsearch.masking.build import build as masking_of
from sslsearch.pretext.base import Pretext
from sslsearch.registry import Count, MaskingSlot, Unit, register
from sslsearch.values import Batch, Encoded, Loss

RANDOM_075: dict[str, Any] = {"random": {"ratio": 0.75}}


@register("pretext", "mae", needs={"tokens"}, paper="He et al. 2022, arXiv:2111.06377")
class MAE(Pretext):
    """Restore hidden tokens from the visible ones; only hidden, real numbers count.

    The decoder is one small block where the paper has eight (512 wide, on 1.6 M images' worth of
    training); with depth 0 it is a linear map of each token, enough for encoders that fill hidden
    tokens in by themselves (convolutions; Xie et al. 2022, SimMIM, arXiv:2111.09886).
    """

    views = 1

    def __init__(
        self,
        encoder: Encoder,
        *,
        masking: MaskingSlot = RANDOM_075,
        normalise: bool = False,
        decoder_depth: Annotated[int, Field(ge=0), Unit("blocks")] = 1,
        decoder_width: Annotated[Count, Field(multiple_of=16), Unit("units")] = 64,
    ) -> None:
        super().__init__()
        if normalise and encoder.patch_width == 1:
            raise ValueError(
                "mae.normalise needs tokens of several numbers (each would be restored as 0): "
                "set it to false, or raise the encoder's patch or stride"
            )
        self.mask, self.normalise = masking_of(masking), normalise
        self.width = decoder_width
        self.embed = nn.Linear(encoder.width, decoder_width)
        self.mask_token = nn.Parameter(torch.randn(decoder_width) * 0.02)
        self.blocks = nn.ModuleList(
            Block(decoder_width, heads=decoder_width // 16) for _ in range(decoder_depth)
        )
        self.norm = nn.LayerNorm(decoder_width)
        self.restore = nn.Linear(decoder_width, encoder.restored_width)

    def loss(self, encoder: Encoder, views: list[Batch], rng: torch.Generator) -> Loss:
        batch = views[0]
        valid_BCN = encoder.token_valid(batch)
        grid = encoder.grid(batch)
        hidden_BCN = draw(lambda valid: self.mask(valid, rng, grid), valid_BCN) & valid_BCN
        restored_BNX = self._decode(
            encoder(batch, hidden_BCN), valid_BCN, encoder.positions(batch, self.width)
        )
        patch_BCNP, real_BCNP = encoder.patchify(batch), encoder.patch_valid(batch)
        total = restoration(
            restored_BNX,
            patch_BCNP,
            real_BCNP,
            hidden_BCN,
            normalise=self.normalise,
            error=encoder.restoration_error,
        )
        share = global_mean(hidden_BCN.sum().float(), valid_BCN.sum())
        return Loss(total, {"restoration": total.detach(), "hidden_share": share})

    def _decode(
        self, encoded: Encoded, valid_BCN: torch.Tensor, position_ND: torch.Tensor
    ) -> torch.Tensor:
        """Tokens that the encoder dropped come back as a mask token at their positions."""
        h_BND = self.embed(encoded.tokens_BND)
        h_BND = torch.where(encoded.valid_BN[..., None], h_BND, self.mask_token.to(h_BND.dtype))
        if len(self.blocks):
            h_BND = h_BND + position_ND
        look_B11N = look_at(valid_BCN.any(1))
        for block in self.blocks:
            h_BND = block(h_BND, look_B11N)
        restored_BNX: torch.Tensor = self.restore(self.norm(h_BND))
        return restored_BNX


def _squared(restored_BCNP: torch.Tensor, target_BCNP: torch.Tensor) -> torch.Tensor:
    return (restored_BCNP.float() - target_BCNP).square()


def restoration(
    restored: torch.Tensor,
    patch_BCNP: torch.Tensor,
    real_BCNP: torch.Tensor,
    hidden_BCN: torch.Tensor,
    *,
    normalise: bool = False,
    error: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] = _squared,
) -> torch.Tensor:
    """Mean error over the hidden, real numbers of the global batch; 0 if there are none.

    `error` compares what was restored, in the form that it takes, with target_BCNP, number by
    number: the squared error, or what the encoder says (`Encoder.restoration_error`).
    """
    with full_precision(patch_BCNP.device):
        target_BCNP = patch_BCNP.float()
        if normalise:
            target_BCNP = _normalised(target_BCNP, real_BCNP)
        counts_BCNP = real_BCNP & hidden_BCN[..., None]
        error_BCNP = error(restored, target_BCNP) * counts_BCNP
        return global_mean(error_BCNP.sum(), counts_BCNP.sum())


def _normalised(patch_BCNP: torch.Tensor, real_BCNP: torch.Tensor) -> torch.Tensor:
    """Each patch with zero mean and unit variance over its real numbers, as the authors' code."""
    count_BCN1 = real_BCNP.sum(-1, keepdim=True)
    mean_BCN1 = (patch_BCNP * real_BCNP).sum(-1, keepdim=True) / count_BCN1.clamp(min=1)
    centred_BCNP = (patch_BCNP - mean_BCN1) * real_BCNP
    variance_BCN1 = centred_BCNP.square().sum(-1, keepdim=True) / (count_BCN1 - 1).clamp(min=1)
    return centred_BCNP * torch.rsqrt(variance_BCN1 + 1e-6)
