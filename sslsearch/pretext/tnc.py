"""TNC: windows near in time are alike, windows far apart are probably not.

Tonekaboni et al. 2021, Unsupervised Representation Learning for Time Series with Temporal
Neighborhood Coding, arXiv:2106.00750, and the authors' code
(github.com/sanatonek/TNC_representation_learning: tnc/tnc.py). They find each window's
neighbourhood by a test of stationarity; here it has one width. Each window passes the encoder
alone.

Shapes: B = this worker's samples, N = tokens, D = encoder's pooled width. All places in tokens.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional as F

from sslsearch.distributed import draw, full_precision, global_mean
from sslsearch.encoders.base import Encoder
from sslsearch.pretext.base import Pretext
from sslsearch.pretext.crops import crop
from sslsearch.pretext.heads import spread
from sslsearch.registry import Positive, Probability, Unit, register
from sslsearch.values import Batch, Loss

FAR = 5.0  # in `near`: where the neighbourhood ends (the authors' delta is 5 × window × epsilon)


@register(
    "pretext",
    "tnc",
    needs={"time", "tokens"},
    paper="Tonekaboni et al. 2021, arXiv:2106.00750",
)
class TNC(Pretext):
    """Tell a window's neighbours from distant windows of the same series, some of them unlabelled.

    A distant window counts as a neighbour with weight `debias`: signals come back to what they
    were (positive-unlabelled learning). The authors' width, with the test off, is 3 windows; a
    series of 8 windows is far from its own middle sooner.
    """

    views = 1

    def __init__(
        self,
        encoder: Encoder,
        *,
        windows: Annotated[int, Field(ge=2), Unit("windows per series")] = 8,
        near: Annotated[Positive, Unit("windows, standard deviation")] = 0.5,
        debias: Annotated[Probability, Unit("weight")] = 0.05,
    ) -> None:
        super().__init__()
        self.windows, self.near, self.debias = windows, near, debias
        width = encoder.pooled_width
        self.discriminate = nn.Sequential(
            nn.Linear(2 * width, 4 * width), nn.ReLU(), nn.Linear(4 * width, 1)
        )

    def loss(self, encoder: Encoder, views: list[Batch], rng: torch.Generator) -> Loss:
        batch, step = views[0], encoder.patch_width
        valid_BN = encoder.token_valid(batch).any(1)
        length = max(1, valid_BN.shape[1] // self.windows)
        begin_B3 = self._draw(valid_BN, length, rng)
        cuts = [crop(batch, begin_B, length, step) for begin_B in begin_B3.unbind(1)]
        windows = Batch(
            torch.cat([cut.x for cut in cuts]),
            torch.cat([cut.valid for cut in cuts]),
            batch.index.repeat(3),
        )
        z, near, far = encoder(windows).pooled_BD.chunk(3)
        counts_B = windows.valid.any(1).reshape(3, -1).all(0)
        alike, unlike = (self.discriminate(torch.cat([z, other], 1)) for other in (near, far))
        with full_precision(z.device):
            error_B = neighbourhood(alike[:, 0].float(), unlike[:, 0].float(), self.debias)
            hits_B = ((alike > 0).float() + (unlike < 0).float())[:, 0] / 2
            total = global_mean((error_B * counts_B).sum(), counts_B.sum())
            accuracy = global_mean((hits_B * counts_B).sum(), counts_B.sum())
        parts = {"neighbourhood": total.detach(), "accuracy": accuracy, "spread": spread(z)}
        return Loss(total, parts)

    def _draw(self, valid_BN: torch.Tensor, length: int, rng: torch.Generator) -> torch.Tensor:
        """begin_B3: where a window, its neighbour and a distant one begin."""
        place_N = torch.arange(1, valid_BN.shape[1] + 1, device=valid_BN.device)
        last_B = ((valid_BN * place_N).amax(1) - length).clamp(min=0)  # of all beginnings

        def noise(like: torch.Tensor) -> torch.Tensor:
            normal_B1 = torch.randn((len(like), 1), generator=rng, device=like.device)
            uniform_B2 = torch.rand((len(like), 2), generator=rng, device=like.device)
            return torch.cat([normal_B1, uniform_B2], 1)

        normal_B, first_B, second_B = draw(noise, valid_BN).unbind(1)
        begin_B = (first_B * (last_B + 1)).long().minimum(last_B)
        near_B = (begin_B + normal_B * self.near * length).round().long()
        # Distant windows lie on the side that has more room, behind the neighbourhood's end.
        reach = round(FAR * self.near * length)
        late_B = begin_B * 2 > last_B
        room_B = torch.where(late_B, begin_B, last_B - begin_B)
        away_B = (reach + second_B * (room_B - reach + 1)).long().minimum(room_B)
        far_B = torch.where(late_B, begin_B - away_B, begin_B + away_B)
        return torch.stack([begin_B, near_B.clamp(min=0).minimum(last_B), far_B], 1)


def neighbourhood(alike_B: torch.Tensor, unlike_B: torch.Tensor, debias: float) -> torch.Tensor:
    """The paper's equation 1 for each sample, halved as in the authors' code."""
    yes_B, no_B = F.softplus(-unlike_B), F.softplus(unlike_B)
    return (F.softplus(-alike_B) + debias * yes_B + (1 - debias) * no_B) / 2
