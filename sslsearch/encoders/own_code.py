"""An encoder that somebody else writes: a network made by `module:function`, or by timm's name.

What is made takes images (B, C, H, W) and gives a map of features (B, D, H', W').

Shapes: B = samples, C = colour channels, H, W = pixels, D = width.
"""

from __future__ import annotations

import importlib
import os
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import nn

from sslsearch.encoders.image import MapEncoder
from sslsearch.encoders.series import Pool, pooled_width
from sslsearch.registry import register
from sslsearch.values import InputSpec

TRUST = "SSLSEARCH_OWN_CODE"  # modules that may be imported by name, separated by commas
PATTERN = r"[A-Za-z_][\w.]*:[A-Za-z_]\w*"


class Wrapped(MapEncoder):
    """Any network that makes a map of features; its patch is what a place of the map stands for."""

    def __init__(self, spec: InputSpec, network: nn.Module, *, patch: int, pool: Pool) -> None:
        super().__init__(spec, patch=patch)
        self.network = network
        self.pool: Pool = pool
        with torch.no_grad():
            whole = self._padded(torch.zeros(1, self.colours, *self._size(spec)))
            shape = tuple(network.eval()(whole).shape)
        network.train()
        places = tuple(size // patch for size in whole.shape[-2:])
        if len(shape) != 4 or shape[2:] != places:
            raise ValueError(
                f"the network makes {shape} of {tuple(whole.shape)}, but a map (1, D, "
                f"{places[0]}, {places[1]}) is asked for: a place for each {patch} x {patch} pixels"
            )
        self.width, self.pooled_width = shape[1], pooled_width(shape[1], pool)

    def _size(self, spec: InputSpec) -> tuple[int, int]:
        return spec.sizes["height"], spec.sizes["width"]

    def map(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        features_BDHW: torch.Tensor = self.network(x_BCHW)
        return features_BDHW


@register("encoder", "own", modality="image", gives={"tokens", "grid", "mask_token"})
class Own(Wrapped):
    """A network of your own: `build: my_module:my_function`, called with the number of channels.

    It may carry an attribute `patch`, the pixels of a side of one place of its map (default: found
    by trying). Code is only imported from modules that the environment variable
    SSLSEARCH_OWN_CODE names, on every node: a recipe from elsewhere cannot run what it likes.
    """

    def __init__(
        self,
        spec: InputSpec,
        *,
        build: Annotated[str, Field(pattern=PATTERN)],
        pool: Pool = "mean",
    ) -> None:
        network = _call(build, spec.sizes["channels"])
        patch = getattr(network, "patch", None) or _patch(network, spec.sizes["channels"])
        super().__init__(spec, network, patch=int(patch), pool=pool)


def _call(build: str, channels: int) -> nn.Module:
    module, _, name = build.partition(":")
    trusted = [word.strip() for word in os.environ.get(TRUST, "").split(",")]
    if module not in trusted:
        raise ValueError(
            f"encoder own: {build} is code of yours; allow it with {TRUST}={module} in the "
            "environment"
        )
    try:
        make: Any = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"encoder own: {build} cannot be had: {error}") from error
    network = make(channels)
    if not isinstance(network, nn.Module):
        raise ValueError(f"encoder own: {build} made {type(network).__name__}, not a torch module")
    return network


def _patch(network: nn.Module, channels: int, side: int = 64) -> int:
    """How many pixels of a side become one place of the map."""
    with torch.no_grad():
        shape = tuple(network.eval()(torch.zeros(1, channels, side, side)).shape)
    network.train()
    if len(shape) != 4 or side % shape[3]:
        raise ValueError(
            f"encoder own: the network makes {shape} of (1, {channels}, {side}, {side}); it must "
            "make a map of features (1, D, rows, columns)"
        )
    return side // int(shape[3])
