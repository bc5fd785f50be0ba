"""TS-TCC: the past of one view foretells the coming tokens of another, and knows its own sample.

Eldele et al. 2021, Time-Series Representation Learning via Temporal and Contextual Contrasting,
arXiv:2106.14112, and the authors' code (github.com/emadeldeen24/TS-TCC: models/, trainer/,
dataloader/augmentations.py). Their views are drawn once for all epochs, and their permutation fills
all channels with the first; here views are drawn anew, and every channel keeps its own values.

Shapes: B = this worker's samples, G = samples of the global batch, C = channels, T = steps,
N = tokens, D = token width, H = width of the summary.
"""

from __future__ import annotations

from typing import Annotated

import torch
from torch import nn
from torch.nn import functional as F

from sslsearch import distributed
from sslsearch.augment.compose import Compose
from sslsearch.distributed import agree, draw, first_of, full_precision, gather, global_mean
from sslsearch.encoders.attention import Block, look_at
from sslsearch.encoders.base import Encoder
from sslsearch.pretext.base import Pretext
from sslsearch.pretext.heads import mlp, spread
from sslsearch.pretext.simclr import nt_xent
from sslsearch.registry import Count, NonNegative, Positive, Unit, register
from sslsearch.values import Batch, Loss

WEAK_GAIN = 2.0  # the authors' mean factor of the weak view


@register(
    "pretext",
    "ts_tcc",
    modality="timeseries",
    needs={"tokens"},
    paper="Eldele et al. 2021, arXiv:2106.14112",
)
class TSTCC(Pretext):
    """Cross-view forecasts of tokens (InfoNCE) by a transformer's summary of the past, and NT-Xent
    of the two summaries.

    It makes its own two views. Weak: each step times its own factor from N(2, scale²), in all
    channels alike. Strong: the series cut in up to `segments` pieces, shuffled, and noised.
    """

    views = 1

    def __init__(
        self,
        encoder: Encoder,
        *,
        scale: Annotated[NonNegative, Unit("deviation of the weak view's factors")] = 1.1,
        segments: Annotated[Count, Unit("segments at most, strong view")] = 8,
        jitter: Annotated[NonNegative, Unit("channel standard deviations, strong view")] = 0.8,
        ahead: Annotated[Count, Unit("tokens")] = 6,
        depth: Annotated[Count, Unit("blocks of the summary")] = 4,
        hidden: Annotated[Count, Unit("units of the summary")] = 100,
        temperature: Annotated[Positive, Unit("of cosine similarity")] = 0.2,
        temporal: Annotated[NonNegative, Unit("weight")] = 1.0,
        contextual: Annotated[NonNegative, Unit("weight")] = 0.7,
    ) -> None:
        super().__init__()
        D, self.scale = encoder.width, scale
        self.strong = Compose({"permutation": {"segments": segments}, "jitter": {"sigma": jitter}})
        self.temperature, self.temporal, self.contextual = temperature, temporal, contextual
        self.embed = nn.Linear(D, hidden)
        self.summary = nn.Parameter(torch.randn(hidden))
        self.blocks = nn.ModuleList(Block(hidden, 4) for _ in range(depth))
        self.predict = nn.ModuleList(nn.Linear(hidden, D) for _ in range(ahead))
        self.project = mlp(hidden, max(D // 2, 1), max(D // 4, 1))

    def loss(self, encoder: Encoder, views: list[Batch], rng: torch.Generator) -> Loss:
        with full_precision(views[0].valid.device):  # as augmentations are made outside of the loss
            weak, strong = self.two_views(views[0], rng)
        encoded = [encoder(view) for view in (weak, strong)]
        valid_BN = encoded[0].valid_BN & encoded[1].valid_BN
        with full_precision(valid_BN.device):
            z = [F.normalize(one.tokens_BND.float(), dim=2) for one in encoded]
            nces, summaries = [], []
            for own, other in (z, z[::-1]):
                last_B = self._moment(valid_BN, rng)
                summaries.append(self._summarise(own, valid_BN, last_B))
                nces.append(self._foretell(summaries[-1], other, valid_BN, last_B))
            a_BX, b_BX = (self.project(summary_BH) for summary_BH in summaries)
            context = nt_xent(a_BX, b_BX, self.temperature)
            temporal = torch.stack(nces).sum()
            total = self.temporal * temporal + self.contextual * context
        parts = {"temporal": temporal.detach(), "contextual": context.detach()}
        return Loss(total, parts | {"spread": spread(encoded[0].pooled_BD)})

    def two_views(self, batch: Batch, rng: torch.Generator) -> list[Batch]:
        """Weak and strong, drawn for the global batch by worker 0."""
        whole = Batch(gather(batch.x), gather(batch.valid), gather(batch.index))
        noise_GT = torch.randn(whole.valid.shape, generator=rng, device=whole.x.device)
        weak = whole.with_x(whole.x * (WEAK_GAIN + self.scale * noise_GT)[:, None])
        made = []
        for view in (weak, self.strong(whole, rng)):
            own = slice(distributed.rank() * len(batch), (distributed.rank() + 1) * len(batch))
            made.append(batch.with_x(agree(view.x)[own], agree(view.valid)[own]))
        return made

    def _moment(self, valid_BN: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """last_B: the last token of the past; one moment for the batch, as its lengths allow."""
        last_B = (valid_BN * torch.arange(valid_BN.shape[1], device=valid_BN.device)).amax(1)
        share = draw(
            lambda like: torch.rand(1, generator=rng, device=like.device).expand(len(like)), last_B
        )
        room_B = (last_B - len(self.predict) + 1).clamp(min=1)
        return (share * room_B).long().minimum(room_B - 1)

    def _summarise(
        self, z_BND: torch.Tensor, valid_BN: torch.Tensor, last_B: torch.Tensor
    ) -> torch.Tensor:
        """c_BH: what a leading token of its own has read in the tokens up to the moment."""
        past_BN = torch.arange(z_BND.shape[1], device=z_BND.device) <= last_B[:, None]
        h_BND = torch.cat([self.summary.expand(len(z_BND), 1, -1), self.embed(z_BND)], 1)
        look_B11N = look_at(F.pad(past_BN & valid_BN, (1, 0), value=True))
        for block in self.blocks:
            h_BND = block(h_BND, look_B11N)
        return h_BND[:, 0]

    def _foretell(
        self,
        c_BH: torch.Tensor,
        z_BND: torch.Tensor,
        valid_BN: torch.Tensor,
        last_B: torch.Tensor,
    ) -> torch.Tensor:
        """Each coming token finds, among the batch's predictions, the one made for it."""
        row_B, N = torch.arange(len(c_BH), device=c_BH.device), z_BND.shape[1]
        able_G = gather(valid_BN).any(1)
        totals, counts = [], []
        for k, head in enumerate(self.predict, start=1):
            at_B = (last_B + k).clamp(max=N - 1)
            counts_B = valid_BN[row_B, at_B] & (last_B + k < N)
            logits_BG = z_BND[row_B, at_B] @ gather(head(c_BH)).T
            logits_BG = logits_BG.masked_fill(~able_G, torch.finfo(logits_BG.dtype).min)
            error_B = F.cross_entropy(logits_BG, row_B + first_of(len(row_B)), reduction="none")
            totals.append(torch.where(counts_B, error_B, 0.0).sum())
            counts.append(counts_B.sum())
        return global_mean(torch.stack(totals).sum(), torch.stack(counts).sum())
