"""torchvision's residual networks, with a stem for small images.

He et al. 2016, Deep Residual Learning for Image Recognition, arXiv:1512.03385; the stem for small
images (one 3 x 3 convolution, no pooling) as in Chen et al. 2020, SimCLR, arXiv:2002.05709,
appendix B.9.

Shapes: B = samples, C = colour channels, H, W = pixels, D = width of the last stage.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal

import torch
from torch import nn

from sslsearch.distributed import BatchNorm
from sslsearch.encoders.image import MapEncoder
from sslsearch.encoders.series import Pool, pooled_width
from sslsearch.registry import Unit, register
from sslsearch.values import InputSpec


@register(
    "encoder",
    "resnet",
    modality="image",
    gives={"tokens", "grid", "mask_token"},
    paper="He et al. 2016, arXiv:1512.03385",
)
class ImageResNet(MapEncoder):
    """A ResNet of torchvision; a token is 8 x 8 pixels with the small stem, else 32 x 32.

    norm: `group` (32 groups) knows no other samples, so that a batch may be taken in pieces;
    `batch` is the paper's, with the statistics of all workers' samples.
    """

    def __init__(
        self,
        spec: InputSpec,
        *,
        depth: Annotated[Literal[18, 34, 50], Unit("layers")] = 18,
        stem: Literal["small", "imagenet"] = "small",
        norm: Literal["group", "batch"] = "group",
        pool: Pool = "mean",
    ) -> None:
        from torchvision import models  # here: its import takes seconds, in every process

        super().__init__(spec, patch=8 if stem == "small" else 32)
        made = partial(nn.GroupNorm, 32) if norm == "group" else PixelBatchNorm
        net = getattr(models, f"resnet{depth}")(norm_layer=made)
        net.conv1 = (
            nn.Conv2d(self.colours, 64, 3, 1, 1, bias=False)
            if stem == "small"
            else nn.Conv2d(self.colours, 64, 7, 2, 3, bias=False)
        )
        if stem == "small":
            net.maxpool = nn.Identity()
        self.pool: Pool = pool
        self.width = net.fc.in_features
        self.pooled_width = pooled_width(self.width, pool)
        stem_layers = [net.conv1, net.bn1, net.relu, net.maxpool]
        self.layers = nn.Sequential(*stem_layers, net.layer1, net.layer2, net.layer3, net.layer4)

    def map(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        features_BDHW: torch.Tensor = self.layers(x_BCHW)
        return features_BDHW


class PixelBatchNorm(BatchNorm):
    """Batch normalisation over samples and pixels, with the statistics of all workers together."""

    def forward(self, x_BDHW: torch.Tensor) -> torch.Tensor:
        rows = super().forward(x_BDHW.movedim(1, -1).flatten(0, 2))
        B, D, H, W = x_BDHW.shape
        return rows.view(B, H, W, D).movedim(-1, 1)
