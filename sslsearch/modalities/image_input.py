"""Raw images in an exported graph: pixels of the size that the encoder was trained on.

Images are not resized in the graph: the filter of PIL, by which training images came to their
size, rounds to whole numbers, and no graph gives the same.

Shapes: B = images of a batch, H = rows, W = columns, C = channels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from sslsearch.modalities.image_pixels import equal_arrays, table_of
from sslsearch.modalities.raw_input import Port, RawInput

COLOURS = {1: "grey", 3: "red, green and blue"}


class ImageInput(RawInput):
    """(B, H, W, C) uint8, as decoders give it -> x_BCHW float32 in 0..1; encoders normalise."""

    def __init__(self, state: Mapping[str, Any]) -> None:
        super().__init__()
        self.state = state
        shape = f"{state['height']}, {state['width']}, {state['channels']}"
        self.ports = {
            "images": Port(
                form=f"uint8 (batch, {state['height']} rows, {state['width']} columns, "
                f"{COLOURS[state['channels']]} last)",
                example=f"rng.integers(0, 256, (5, {shape}), dtype=np.uint8)",
            )
        }

    def forward(self, *raw: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        (x_BHWC,) = raw
        x_BCHW = x_BHWC.permute(0, 3, 1, 2).float() / 255.0
        valid_B1 = torch.ones(x_BCHW.shape[0], 1, dtype=torch.bool, device=x_BCHW.device)
        return x_BCHW, valid_B1

    def arrays(self, raw: pa.Table) -> tuple[np.ndarray, ...]:
        return (np.ascontiguousarray(equal_arrays(raw, self.state).transpose(0, 2, 3, 1)),)

    def made_up(self, n: int, rng: np.random.Generator, *, smaller: bool = False) -> pa.Table:
        shape = (n, *(self.state[side] for side in ("height", "width", "channels")))
        x_BHWC = rng.integers(0, 256, shape, dtype=np.uint8)
        x_BHWC[::4] = x_BHWC[::4, :1, :1]  # of one colour
        return table_of(x_BHWC)
