"""MoCo v2: find a view's sibling, as a momentum encoder sees it, among the keys of past batches.

He et al. 2020, Momentum Contrast for Unsupervised Visual Representation Learning,
arXiv:1911.05722; Chen et al. 2020, Improved Baselines with Momentum Contrastive Learning,
arXiv:2003.04297 (MLP head, temperature 0.2).

Shapes: B = this worker's samples, G = samples of the global batch, K = keys of the queue,
D = projection width.
"""

from __future__ import annotations

from typing import Annotated

import torch
from torch import nn
from torch.nn import functional as F

from sslsearch.distributed import full_precision, gather, mean_over_workers
from sslsearch.encoders.base import Encoder
from sslsearch.pretext.base import Pretext
from sslsearch.pretext.heads import spread
from sslsearch.pretext.momentum import follow, follower
from sslsearch.registry import Count, Positive, Probability, Unit, register
from sslsearch.values import Batch, Loss


@register("pretext", "moco", needs={"views"}, paper="Chen et al. 2020 (MoCo v2), arXiv:2003.04297")
class MoCo(Pretext):
    """Contrast a view with its sibling's key and a queue of earlier keys (InfoNCE).

    The queue holds the keys of all workers and starts as random directions, as the authors' does.
    They shuffle batches between GPUs so that batch norm tells nothing; nothing here has one.
    """

    queue_KD: torch.Tensor
    oldest: torch.Tensor

    def __init__(
        self,
        encoder: Encoder,
        *,
        temperature: Annotated[Positive, Unit("of cosine similarity")] = 0.2,
        momentum: Annotated[Probability, Unit("of the copy kept per step")] = 0.999,
        queue: Annotated[Count, Unit("keys")] = 65536,
        projection: Annotated[Count, Unit("units")] = 128,
    ) -> None:
        super().__init__()
        self.temperature, self.momentum = temperature, momentum
        width = encoder.pooled_width
        self.projector = nn.Sequential(
            nn.Linear(width, width), nn.ReLU(), nn.Linear(width, projection)
        )
        self.key_encoder, self.key_projector = follower(encoder), follower(self.projector)
        self.register_buffer("queue_KD", F.normalize(torch.randn(queue, projection), dim=1))
        self.register_buffer("oldest", torch.zeros((), dtype=torch.long))
        self._keys_GD: torch.Tensor | None = None  # of this step, for the queue

    def loss(self, encoder: Encoder, views: list[Batch], rng: torch.Generator) -> Loss:
        query_BD = self.projector(encoder(views[0]).pooled_BD)
        with torch.no_grad():
            key_BD = self.key_projector(self.key_encoder(views[1]).pooled_BD)
            self._keys_GD = gather(F.normalize(key_BD.float(), dim=1))
        total = queue_info_nce(query_BD, key_BD, self.queue_KD, self.temperature)
        return Loss(total, {"info_nce": total.detach(), "spread": spread(query_BD)})

    @torch.no_grad()
    def after_step(self, encoder: Encoder, progress: float) -> None:
        """The key encoder takes a small step; this step's keys replace the oldest of the queue.

        Here and not in `loss`: a step that is computed again must find the same queue.
        """
        pairs = (self.key_encoder, encoder), (self.key_projector, self.projector)
        follow(*pairs, step=1 - self.momentum)
        if self._keys_GD is None:
            return
        K = len(self.queue_KD)
        keys_GD, self._keys_GD = self._keys_GD[-K:], None
        place_G = (self.oldest + torch.arange(len(keys_GD), device=keys_GD.device)) % K
        self.queue_KD.index_copy_(0, place_G, keys_GD)
        self.oldest.add_(len(keys_GD)).remainder_(K)


def queue_info_nce(
    query_BD: torch.Tensor, key_BD: torch.Tensor, queue_KD: torch.Tensor, temperature: float
) -> torch.Tensor:
    """Cross entropy of each query finding its key among it and the unit vectors of the queue."""
    with full_precision(query_BD.device):
        query_BD, key_BD = (F.normalize(z.float(), dim=1) for z in (query_BD, key_BD))
        right_B1 = (query_BD * key_BD).sum(1, keepdim=True)
        logits = torch.cat([right_B1, query_BD @ queue_KD.T], 1) / temperature
        target_B = torch.zeros(len(logits), dtype=torch.long, device=logits.device)
        return mean_over_workers(F.cross_entropy(logits, target_B))
