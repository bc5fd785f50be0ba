"""SimMIM: put a mask token for hidden tokens, restore the numbers under them by one linear layer.

Xie et al. 2022, SimMIM: A Simple Framework for Masked Image Modeling, arXiv:2111.09886.

Shapes: B = samples, C = channels, N = tokens, P = numbers of a token in one channel.
hidden: True = the encoder must not see it and the head must restore it.
"""

from __future__ import annotations

from typing import Any

from torch import Generator, Tensor, nn

from sslsearch.distributed import draw, global_mean
from sslsearch.encoders.base import Encoder
from sslsearch.masking.build import build as masking_of
from sslsearch.pretext.base import Pretext
from sslsearch.pretext.mae import restoration
from sslsearch.registry import MaskingSlot, register
from sslsearch.values import Batch, Loss

RANDOM_06: dict[str, Any] = {"random": {"ratio": 0.6}}


@register(
    "pretext", "simmim", needs={"tokens", "mask_token"}, paper="Xie et al. 2022, arXiv:2111.09886"
)
class SimMIM(Pretext):
    """Restore hidden tokens by a linear head from what the encoder puts in their places.

    Needs an encoder that replaces hidden tokens: one that drops them has nothing in their places.
    """

    views = 1

    def __init__(self, encoder: Encoder, *, masking: MaskingSlot = RANDOM_06) -> None:
        super().__init__()
        self.mask = masking_of(masking)
        self.restore = nn.Linear(encoder.width, encoder.channels * encoder.patch_width)

    def loss(self, encoder: Encoder, views: list[Batch], rng: Generator) -> Loss:
        batch = views[0]
        valid_BCN = encoder.token_valid(batch)
        grid = encoder.grid(batch)
        hidden_BCN = draw(lambda valid: self.mask(valid, rng, grid), valid_BCN) & valid_BCN
        restored_BNX = self.restore(encoder(batch, hidden_BCN).tokens_BND)
        patch_BCNP, real_BCNP = encoder.patchify(batch), encoder.patch_valid(batch)
        restored_BCNP = restored_BNX.unflatten(2, (-1, encoder.patch_width)).transpose(1, 2)
        total = restoration(restored_BCNP, patch_BCNP, real_BCNP, hidden_BCN, error=_absolute)
        share = global_mean(hidden_BCN.sum().float(), valid_BCN.sum())
        return Loss(total, {"restoration": total.detach(), "hidden_share": share})


def _absolute(restored_BCNP: Tensor, target_BCNP: Tensor) -> Tensor:
    return (restored_BCNP.float() - target_BCNP).abs()
