"""Any model of timm that makes maps of features by its name (pip install timm).

Wightman 2019, PyTorch Image Models, github.com/huggingface/pytorch-image-models.

Shapes: B = samples, C = colour channels, H, W = pixels, D = width.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from sslsearch.encoders.own_code import Wrapped
from sslsearch.encoders.series import Pool
from sslsearch.registry import did_you_mean, register
from sslsearch.values import InputSpec


@register("encoder", "timm", modality="image", gives={"tokens", "grid", "mask_token"})
class Timm(Wrapped):
    """A model of timm with a map of features, untrained; its last map is what is learnt.

    Many have batch normalisation: samples then see each other, and a batch is never taken in
    pieces. Names with `convnext` or `_gn` have none.

    Attributes:
        model, made: timm's name, and what timm made of it.
        asked: what else it was asked for: `timm.create_model(model, **asked)` makes the same.
    """

    def __init__(
        self, spec: InputSpec, *, name: str = "convnext_atto", pool: Pool = "mean"
    ) -> None:
        try:
            import timm
        except ImportError as error:
            raise ValueError("encoder timm needs its library: pip install timm") from error
        if name not in timm.list_models():
            raise ValueError(
                f"encoder timm: no model {name!r}{did_you_mean(name, timm.list_models())}"
            )
        made, asked = _maps(name, spec)
        super().__init__(spec, _Last(made), patch=made.feature_info.reduction()[-1], pool=pool)
        self.model, self.asked = name, asked

    @property
    def made(self) -> nn.Module:
        last = self.network
        assert isinstance(last, _Last)
        return last.made


def _maps(name: str, spec: InputSpec) -> tuple[Any, dict[str, Any]]:
    """The model without its head, and what it was asked for; transformers want to know the size of
    the images."""
    import timm

    asked = {"in_chans": spec.sizes["channels"], "features_only": True}
    size = spec.sizes["height"], spec.sizes["width"]
    try:
        try:
            return timm.create_model(name, **asked, img_size=size), {**asked, "img_size": size}
        except TypeError:
            return timm.create_model(name, **asked), asked
    except (RuntimeError, AttributeError, AssertionError) as error:
        raise ValueError(f"encoder timm: {name} makes no maps of features: {error}") from error


class _Last(nn.Module):
    """The last of the maps that a model makes."""

    def __init__(self, made: nn.Module) -> None:
        super().__init__()
        self.made = made

    def forward(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        last_BDHW: torch.Tensor = self.made(x_BCHW)[-1]
        return last_BDHW
