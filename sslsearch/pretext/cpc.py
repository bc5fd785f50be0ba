"""CPC: from the windows so far, tell the coming windows from all windows of the global batch.

van den Oord et al. 2018, Representation Learning with Contrastive Predictive Coding,
arXiv:1807.03748. Each window passes the encoder alone, so no encoder, whatever it looks at, can
leak the future into the context.

Shapes: B = this worker's samples, G = samples of the global batch, C = channels, T = steps,
K = windows, L = steps of a window, D = encoder's pooled width, H = context width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional as F

from sslsearch.distributed import first_of, full_precision, gather, global_mean
from sslsearch.encoders.base import Encoder
from sslsearch.pretext.base import Pretext
from sslsearch.pretext.heads import spread
from sslsearch.registry import Count, Unit, register
from sslsearch.values import Batch, Loss


@register("pretext", "cpc", needs={"time"}, paper="van den Oord et al. 2018, arXiv:1807.03748")
class CPC(Pretext):
    """Predict the encodings of coming windows from a GRU's summary of the past (InfoNCE).

    The paper predicts 12 of 128 steps of speech ahead; series of a few hundred steps hold fewer.
    """

    views = 1

    def __init__(
        self,
        encoder: Encoder,
        *,
        windows: Annotated[int, Field(ge=2), Unit("windows per series")] = 8,
        ahead: Annotated[Count, Unit("windows")] = 4,
        context: Annotated[Count, Unit("units")] = 256,
    ) -> None:
        super().__init__()
        self.windows = windows
        self.summarise = nn.GRU(encoder.pooled_width, context, batch_first=True)
        self.predict = nn.ModuleList(
            nn.Linear(context, encoder.pooled_width, bias=False)
            for _ in range(min(ahead, windows - 1))
        )

    def loss(self, encoder: Encoder, views: list[Batch], rng: torch.Generator) -> Loss:
        windows = cut(views[0], self.windows)
        B, K = len(views[0]), len(windows) // len(views[0])
        z_BKD = encoder(windows).pooled_BD.reshape(B, K, -1)
        valid_BK = windows.valid.any(1).reshape(B, K)
        with full_precision(z_BKD.device):
            z_BKD = z_BKD.float()
            context_BKH = self.summarise(z_BKD * valid_BK[..., None])[0]
            candidates = _Candidates(gather(z_BKD), gather(valid_BK))
            wrong = [
                _wrong(head(context_BKH[:, :-k]), k, valid_BK, candidates)
                for k, head in enumerate(self.predict, start=1)
            ]
            total, hits, count = (torch.stack(term).sum() for term in zip(*wrong, strict=True))
            loss = global_mean(total, count)
            accuracy = global_mean(hits, count)
        z_XD = z_BKD.flatten(0, 1)
        return Loss(loss, {"info_nce": loss.detach(), "accuracy": accuracy, "spread": spread(z_XD)})


@dataclass(frozen=True)
class _Candidates:
    """All windows of the global batch, one of which each prediction must find."""

    z_GKD: torch.Tensor
    valid_GK: torch.Tensor


def _wrong(
    prediction_BMD: torch.Tensor, k: int, valid_BK: torch.Tensor, among: _Candidates
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Summed cross entropy, hits and number of the M = K - k predictions k windows ahead."""
    B, K = valid_BK.shape
    logits_XY = prediction_BMD.flatten(0, 1) @ among.z_GKD.flatten(0, 1).T
    low = torch.finfo(logits_XY.dtype).min
    logits_XY = logits_XY.masked_fill(~among.valid_GK.flatten(), low)
    row_B1 = torch.arange(B, device=logits_XY.device)[:, None] + first_of(B)
    target_X = (row_B1 * K + torch.arange(K, device=logits_XY.device)[k:]).flatten()
    counts_X = (valid_BK[:, :-k] & valid_BK[:, k:]).flatten()
    error_X = F.cross_entropy(logits_XY, target_X, reduction="none")
    hits_X = (logits_XY.argmax(1) == target_X) & counts_X
    return torch.where(counts_X, error_X, 0.0).sum(), hits_X.sum().float(), counts_X.sum()


def cut(batch: Batch, windows: int) -> Batch:
    """(B, C, T) -> (B·K, C, L): equal windows along time, the last one filled up, not valid."""
    B, C, T = batch.x.shape
    length = -(-T // windows)
    K = -(-T // length)  # a short series holds fewer windows
    x_BCKL = F.pad(batch.x, (0, K * length - T)).reshape(B, C, K, length)
    valid_BKL = F.pad(batch.valid, (0, K * length - T)).reshape(B, K, length)
    return Batch(
        x_BCKL.transpose(1, 2).flatten(0, 1),
        valid_BKL.flatten(0, 1),
        batch.index.repeat_interleave(K),
    )
