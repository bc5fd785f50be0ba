"""DINO: tell which prototypes a slow teacher, centred and sharpened, sees in another view.

Caron et al. 2021, Emerging Properties in Self-Supervised Vision Transformers, arXiv:2104.14294,
and the authors' code (github.com/facebookresearch/dino: main_dino.py, vision_transformer.py).

Shapes: B = this worker's samples, V = views, D = bottleneck width, P = prototypes.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional as F

from sslsearch.distributed import full_precision, mean_over_workers
from sslsearch.encoders.base import Encoder
from sslsearch.pretext.base import Pretext
from sslsearch.pretext.heads import spread
from sslsearch.pretext.momentum import cosine_step, follow, follower
from sslsearch.registry import Count, Positive, Probability, Ratio, Unit, register
from sslsearch.values import Batch, Loss

TEACHER_VIEWS = 2  # the paper's global crops


@register("pretext", "dino", needs={"views"}, paper="Caron et al. 2021, arXiv:2104.14294")
class DINO(Pretext):
    """Match a momentum teacher's distribution over prototypes from the other views.

    The teacher sees two views and the student all `student_views`. The paper's further ones are
    smaller crops (8 or more of them); here they are made as the first two are. The head's hidden
    layers are as wide as the encoder's vector. The teacher's temperature rises from `sharpest`
    over 30 of the paper's 300 epochs; the prototypes rest in the first hundredth of the run.
    """

    center_P: torch.Tensor
    progress: torch.Tensor

    def __init__(
        self,
        encoder: Encoder,
        *,
        prototypes: Annotated[Count, Unit("prototypes")] = 65536,
        bottleneck: Annotated[Count, Unit("units")] = 256,
        student_views: Annotated[int, Field(ge=2), Unit("views")] = 2,
        temperature: Annotated[Positive, Unit("of cosine similarity, the student's")] = 0.1,
        sharpest: Annotated[Positive, Unit("of cosine similarity, the teacher's first")] = 0.04,
        teacher_temperature: Annotated[Positive, Unit("of cosine similarity")] = 0.07,
        warmup: Annotated[Ratio, Unit("share of the horizon")] = 0.1,
        frozen: Annotated[Ratio, Unit("share of the horizon")] = 0.01,
        center_momentum: Annotated[Probability, Unit("of the centre kept per step")] = 0.9,
        momentum: Annotated[Probability, Unit("of the copy kept per step, at the start")] = 0.996,
    ) -> None:
        super().__init__()
        self.views = student_views
        self.temperature, self.sharpest, self.last = temperature, sharpest, teacher_temperature
        self.warmup, self.frozen = warmup, frozen
        self.center_momentum, self.momentum = center_momentum, momentum
        self.head = Head(encoder.pooled_width, bottleneck, prototypes)
        self.teacher_encoder, self.teacher_head = follower(encoder), follower(self.head)
        self.register_buffer("center_P", torch.zeros(prototypes))
        self.register_buffer("progress", torch.zeros(()))
        self._batch_center_P: torch.Tensor | None = None

    def loss(self, encoder: Encoder, views: list[Batch], rng: torch.Generator) -> Loss:
        rest = self.progress < self.frozen
        student_VBP = torch.stack([self.head(encoder(v).pooled_BD, rest) for v in views])
        with torch.no_grad():
            seen = [self.teacher_encoder(v).pooled_BD for v in views[:TEACHER_VIEWS]]
            teacher_VBP = torch.stack([self.teacher_head(z) for z in seen]).float()
            self._batch_center_P = mean_over_workers(teacher_VBP.mean((0, 1)))
        centred_VBP = (teacher_VBP - self.center_P) / self.teacher_temperature()
        total = distillation(student_VBP / self.temperature, centred_VBP)
        share_VBP = centred_VBP.softmax(-1)
        entropy = -(share_VBP * share_VBP.clamp(min=1e-9).log()).sum(-1).mean()
        parts = {"cross_entropy": total.detach(), "teacher_entropy": mean_over_workers(entropy)}
        return Loss(total, parts | {"spread": spread(seen[0])})

    def teacher_temperature(self) -> torch.Tensor:
        """Rises in a line from `sharpest` over the warm-up."""
        risen = (self.progress / max(self.warmup, 1e-9)).clamp(max=1.0)
        return torch.lerp(torch.full_like(risen, self.sharpest), risen.new_tensor(self.last), risen)

    @torch.no_grad()
    def after_step(self, encoder: Encoder, progress: float) -> None:
        """Teacher and centre take a small step; the teacher's shrinks to 0 along a cosine."""
        pairs = (self.teacher_encoder, encoder), (self.teacher_head, self.head)
        follow(*pairs, step=cosine_step(self.momentum, progress))
        self.progress.fill_(progress)
        if self._batch_center_P is not None:
            self.center_P.lerp_(self._batch_center_P, 1 - self.center_momentum)
            self._batch_center_P = None


class Head(nn.Module):
    """Three layers down to unit vectors, then their cosines with the prototypes."""

    def __init__(self, width: int, bottleneck: int, prototypes: int) -> None:
        super().__init__()
        first, second = nn.Linear(width, width), nn.Linear(width, width)
        self.mlp = nn.Sequential(first, nn.GELU(), second, nn.GELU(), nn.Linear(width, bottleneck))
        self.prototypes_PD = nn.Parameter(torch.randn(prototypes, bottleneck))

    def forward(self, pooled_BD: torch.Tensor, rest: torch.Tensor | None = None) -> torch.Tensor:
        """Where `rest` is true the prototypes take no gradient."""
        z_BD = self.mlp(pooled_BD)
        weight_PD: torch.Tensor = self.prototypes_PD
        if rest is not None:
            weight_PD = torch.where(rest, weight_PD.detach(), weight_PD)
        with full_precision(z_BD.device):
            unit_BD = F.normalize(z_BD.float(), dim=1)
            return unit_BD @ F.normalize(weight_PD.float(), dim=1).T


def distillation(student_VBP: torch.Tensor, teacher_WBP: torch.Tensor) -> torch.Tensor:
    """Mean cross entropy of student and teacher logits over all pairs of unlike views."""
    with full_precision(student_VBP.device):
        share_WBP, said_VBP = teacher_WBP.softmax(-1), student_VBP.log_softmax(-1)
        cross_WV = -torch.einsum("wbp,vbp->wv", share_WBP, said_VBP) / student_VBP.shape[1]
        unlike_WV = ~torch.eye(*cross_WV.shape, dtype=torch.bool, device=cross_WV.device)
        return mean_over_workers((cross_WV * unlike_WV).sum() / unlike_WV.sum())
