"""A small network of 3 x 3 convolutions that halves the image between its stages.

Springenberg et al. 2015, Striving for Simplicity: The All Convolutional Net, arXiv:1412.6806
(strides in place of pooling). Group normalisation (Wu & He 2018, arXiv:1803.08494) keeps samples
and workers apart.

Shapes: B = samples, C = colour channels, H, W = pixels, D = width of the last stage.
"""

from __future__ import annotations

from typing import Annotated

import torch
from torch import nn

from sslsearch.encoders.image import MapEncoder
from sslsearch.encoders.series import Pool, pooled_width
from sslsearch.registry import Count, Unit, register
from sslsearch.values import InputSpec

GROUP = 16  # units that are normalised together


@register(
    "encoder",
    "convnet",
    modality="image",
    gives={"tokens", "grid", "mask_token"},
    paper="Springenberg et al. 2015, arXiv:1412.6806",
)
class ConvNet(MapEncoder):
    """Stages of 3 x 3 convolutions; each after the first is half the size and twice the width."""

    def __init__(
        self,
        spec: InputSpec,
        *,
        stages: Annotated[Count, Unit("stages")] = 3,
        depth: Annotated[Count, Unit("convolutions of a stage")] = 2,
        width: Annotated[Count, Unit("units of the first stage")] = 32,
        stride: Annotated[Count, Unit("pixels the first convolution steps on")] = 1,
        pool: Pool = "mean",
    ) -> None:
        super().__init__(spec, patch=stride * 2 ** (stages - 1))
        widths = [width * 2**stage for stage in range(stages)]
        self.pool: Pool = pool
        self.width, self.pooled_width = widths[-1], pooled_width(widths[-1], pool)
        layers: list[nn.Module] = []
        before = self.colours
        for stage, after in enumerate(widths):
            for at in range(depth):
                step = 1 if at else 2 if stage else stride
                layers += _convolution(before, after, step)
                before = after
        self.layers = nn.Sequential(*layers)

    def map(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        features_BDHW: torch.Tensor = self.layers(x_BCHW)
        return features_BDHW


def _convolution(before: int, after: int, stride: int) -> list[nn.Module]:
    groups = max(1, after // GROUP) if after % GROUP == 0 else 1
    conv = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
    return [conv, nn.GroupNorm(groups, after), nn.ReLU()]
