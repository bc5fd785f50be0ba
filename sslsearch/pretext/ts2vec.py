"""TS2Vec: each moment of a series keeps its meaning when the series is cropped and masked anew.

Yue et al. 2022, TS2Vec: Towards Universal Representation of Time Series, arXiv:2106.10466, and the
authors' code (github.com/zhihanyue/ts2vec: ts2vec.py, models/losses.py).

Shapes: B = this worker's samples, G = samples of the global batch, C = channels, N = tokens in
both crops, D = token width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import torch
from torch.nn import functional as F

from sslsearch import registry
from sslsearch.distributed import draw, first_of, full_precision, gather, global_mean
from sslsearch.encoders.base import Encoder
from sslsearch.pretext.base import Pretext
from sslsearch.pretext.crops import crop, draw_crops
from sslsearch.pretext.heads import spread
from sslsearch.registry import MaskingSlot, Probability, Unit, register
from sslsearch.values import Batch, Loss

RANDOM_05: dict[str, Any] = {"random": {"ratio": 0.5}}


@register("pretext", "ts2vec", needs={"time", "tokens"}, paper="Yue et al. 2022, arXiv:2106.10466")
class TS2Vec(Pretext):
    """Contrast the tokens that two random crops share, over time and over samples, at all scales.

    It makes its own two views: overlapping crops of one input (whatever augmentations a recipe
    adds act before the cut), each with half of its tokens hidden at random. Crops are cut at
    whole tokens; tokens that are not valid take no part.
    """

    views = 1

    def __init__(
        self,
        encoder: Encoder,
        *,
        alpha: Annotated[Probability, Unit("share of the instance-wise loss")] = 0.5,
        masking: MaskingSlot = RANDOM_05,
    ) -> None:
        super().__init__()
        self.alpha, self.mask = alpha, registry.bind("masking", masking)

    def loss(self, encoder: Encoder, views: list[Batch], rng: torch.Generator) -> Loss:
        batch, step = views[0], encoder.patch_width
        crops = draw_crops(-(-batch.x.shape[2] // step), batch, rng)
        first = self._encode(encoder, crop(batch, crops.early_B, crops.first, step), rng)
        second = self._encode(encoder, crop(batch, crops.late_B, crops.second, step), rng)
        a = first.keep(slice(crops.first - crops.shared, None))
        b = second.keep(slice(0, crops.shared))
        instance, temporal = hierarchical(a, b, self.alpha)
        total = instance + temporal
        parts = {"instance": instance.detach(), "temporal": temporal.detach()}
        return Loss(total, parts | {"spread": spread(a.z_BND.amax(1))})

    def _encode(self, encoder: Encoder, batch: Batch, rng: torch.Generator) -> Tokens:
        hidden_BCN = draw(lambda valid: self.mask(valid, rng), encoder.token_valid(batch))
        encoded = encoder(batch, hidden_BCN)
        return Tokens(encoded.tokens_BND.float(), encoded.valid_BN)


@dataclass(frozen=True)
class Tokens:
    """Tokens, and which of them count."""

    z_BND: torch.Tensor
    valid_BN: torch.Tensor

    def keep(self, which: slice) -> Tokens:
        return Tokens(self.z_BND[:, which], self.valid_BN[:, which])

    def halved(self) -> Tokens:
        """The maximum of each two neighbours; a last odd token is left out, as the authors do."""
        low = torch.finfo(self.z_BND.dtype).min
        z_BND = self.z_BND.masked_fill(~self.valid_BN[..., None], low)
        z_BND = F.max_pool1d(z_BND.transpose(1, 2), 2).transpose(1, 2)
        pairs = self.valid_BN[:, : 2 * z_BND.shape[1]].reshape(len(z_BND), -1, 2)
        valid_BN = pairs.any(2)
        return Tokens(z_BND * valid_BN[..., None], valid_BN)


def hierarchical(a: Tokens, b: Tokens, alpha: float) -> tuple[torch.Tensor, torch.Tensor]:
    """(instance, temporal) shares of the authors' loss: both terms at every scale, averaged.

    Equal to hierarchical_contrastive_loss of the authors' code where all tokens are valid.
    """
    with full_precision(a.z_BND.device):
        valid_BN = a.valid_BN & b.valid_BN
        a, b = Tokens(a.z_BND, valid_BN), Tokens(b.z_BND, valid_BN)
        zero = (a.z_BND.sum() + b.z_BND.sum()) * 0.0
        instances, temporals = [zero], [zero]
        scales = 0
        while True:
            scales += 1
            if alpha > 0:
                instances.append(alpha * instance_wise(a, b))
            if a.z_BND.shape[1] <= 1:
                break
            if alpha < 1:
                temporals.append((1 - alpha) * time_wise(a, b))
            a, b = a.halved(), b.halved()
        return torch.stack(instances).sum() / scales, torch.stack(temporals).sum() / scales


def instance_wise(a: Tokens, b: Tokens) -> torch.Tensor:
    """At each token, tell a sample's other crop from all other samples of the global batch."""
    B = len(a.z_BND)
    both_G = gather(torch.cat([a.z_BND, b.z_BND], 2))
    valid_GN = gather(a.valid_BN)
    if len(both_G) == 1:  # no other sample to tell it from
        return both_G.sum() * 0.0
    all_NYD = torch.cat(both_G.chunk(2, 2)).transpose(0, 1)  # Y: all a, then all b
    own_NXD = torch.cat([a.z_BND, b.z_BND]).transpose(0, 1)  # X: this worker's a, then its b
    own_B = torch.arange(B, device=own_NXD.device) + first_of(B)
    return _tell_apart(
        own_NXD @ all_NYD.transpose(1, 2),
        itself_X=torch.cat([own_B, own_B + len(both_G)]),
        sibling_X=torch.cat([own_B + len(both_G), own_B]),
        counts_RX=a.valid_BN.T.repeat(1, 2),
        allowed_RY=valid_GN.T.repeat(1, 2),
    )


def time_wise(a: Tokens, b: Tokens) -> torch.Tensor:
    """In each sample, tell a token's other crop from all other tokens of the sample."""
    N = a.z_BND.shape[1]
    z_BXD = torch.cat([a.z_BND, b.z_BND], 1)
    now_N = torch.arange(N, device=z_BXD.device)
    return _tell_apart(
        z_BXD @ z_BXD.transpose(1, 2),
        itself_X=torch.cat([now_N, now_N + N]),
        sibling_X=torch.cat([now_N + N, now_N]),
        counts_RX=a.valid_BN.repeat(1, 2),
        allowed_RY=a.valid_BN.repeat(1, 2),
    )


def _tell_apart(
    logits_RXY: torch.Tensor,
    *,
    itself_X: torch.Tensor,
    sibling_X: torch.Tensor,
    counts_RX: torch.Tensor,
    allowed_RY: torch.Tensor,
) -> torch.Tensor:
    """Mean cross entropy of finding the sibling among all allowed candidates but itself.

    R = rows that are looked at apart, X = who looks, Y = who may be found.
    """
    low = torch.finfo(logits_RXY.dtype).min
    logits_RXY = logits_RXY.masked_fill(~allowed_RY[:, None], low)
    logits_RXY = logits_RXY.scatter(2, itself_X[None, :, None].expand(len(logits_RXY), -1, 1), low)
    sibling_RX1 = sibling_X[None, :, None].expand(len(logits_RXY), -1, 1)
    found_RX = logits_RXY.gather(2, sibling_RX1)[..., 0] - logits_RXY.logsumexp(2)
    total = -torch.where(counts_RX, found_RX, torch.zeros_like(found_RX)).sum()
    return global_mean(total, counts_RX.sum())
