"""Images in raw form: encoded bytes or arrays to pixels, of any size, and back to equal arrays.

Raw columns: `pixels` (the bytes of H x W x C uint8, null where nothing could be decoded),
`height`, `width`, `channels` (1 = grey, 3 = red, green, blue).
Shapes: N = images, H = rows, W = columns, C = channels.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageOps

from sslsearch.modalities.columns import with_labels

Resize = Literal["crop", "stretch"]
Colour = Literal["as_is", "grey", "rgb"]
BROKEN = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)  # what PIL raises
MODES = {1: "L", 3: "RGB"}
SCHEMA = pa.schema(
    [
        ("pixels", pa.large_binary()),
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("channels", pa.int32()),
    ]
)


@dataclass(frozen=True)
class Rules:
    """How an image of any size becomes one of the size asked; size None = as it is."""

    size: int | None
    resize: Resize
    colour: Colour

    def decode(self, encoded: bytes | None) -> np.ndarray | None:
        """PNG, JPEG, WebP … -> x_HWC uint8, upright as its EXIF says; None if it is no image."""
        if not encoded:
            return None
        try:
            with Image.open(io.BytesIO(encoded)) as image:
                return self.apply(ImageOps.exif_transpose(image))
        except BROKEN:
            return None

    def apply(self, image: Image.Image) -> np.ndarray:
        grey = image.mode in ("1", "L", "LA") or image.mode.startswith(("I", "F"))
        as_is = "L" if grey else "RGB"
        image = image.convert({"as_is": as_is, "grey": "L", "rgb": "RGB"}[self.colour])
        if self.size is not None:
            image = resized(image, self.size, self.size, self.resize)
        return as_hwc(np.asarray(image))

    def of_arrays(self, x_NHWC: np.ndarray) -> Iterable[np.ndarray]:
        """The same for arrays, which need no decoding."""
        there = self.size is None or x_NHWC.shape[1:3] == (self.size, self.size)
        if there and self.colour == "as_is":
            return x_NHWC
        return (self.apply(as_image(x_HWC)) for x_HWC in x_NHWC)


def as_hwc(x: np.ndarray) -> np.ndarray:
    return x[..., None] if x.ndim == 2 else x


def as_image(x_HWC: np.ndarray) -> Image.Image:
    return Image.fromarray(x_HWC[..., 0] if x_HWC.shape[-1] == 1 else x_HWC)


def resized(
    image: Image.Image,
    height: int,
    width: int,
    how: Resize,
    between: Image.Resampling = Image.Resampling.BILINEAR,
) -> Image.Image:
    """`crop`: scaled to cover the size, then cut about the middle; `stretch`: each side alone."""
    if image.size == (width, height):
        return image
    if how == "crop":
        return ImageOps.fit(image, (width, height), between)
    return image.resize((width, height), between)


def table_of(images: Iterable[np.ndarray | None]) -> pa.Table:
    """x_HWC uint8 arrays, None for what could not be decoded -> raw columns."""
    rows = [
        (None, 0, 0, 0) if x is None else (np.ascontiguousarray(x).tobytes(), *x.shape)
        for x in images
    ]
    columns = zip(*rows, strict=True) if rows else ((), (), (), ())
    arrays = [pa.array(c, f.type) for c, f in zip(columns, SCHEMA, strict=True)]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)


def written(x_NHWC: np.ndarray, labels: Sequence[str | None] | None, folder: Path) -> str:
    """As PNG, which loses nothing, in `folder`; where they lie."""
    encoded = []
    for x_HWC in x_NHWC:
        buffer = io.BytesIO()
        as_image(x_HWC).save(buffer, "png", compress_level=1)
        encoded.append(buffer.getvalue())
    path = folder / "images.parquet"
    table = pa.table({"image": pa.array(encoded, pa.large_binary())})
    pq.write_table(with_labels(table, labels), path)
    return f"parquet:{path}"


def arrays_of(raw: pa.Table) -> Iterable[np.ndarray]:
    """The images of raw rows, x_HWC, without a copy. Rows must hold pixels."""
    sizes = zip(*(raw[name].to_numpy() for name in ("height", "width", "channels")), strict=True)
    for scalar, shape in zip(raw["pixels"], sizes, strict=True):
        yield np.frombuffer(scalar.as_buffer(), np.uint8).reshape(shape)


def equal_arrays(raw: pa.Table, state: Mapping[str, Any]) -> np.ndarray:
    """x_NCHW uint8: every image in the size and the colours of the state."""
    channels, height, width = (state[name] for name in ("channels", "height", "width"))
    x_NHWC = np.empty((len(raw), height, width, channels), np.uint8)
    for row, x_HWC in enumerate(arrays_of(raw)):
        if x_HWC.shape != x_NHWC.shape[1:]:
            image = as_image(x_HWC).convert(MODES[channels])
            x_HWC = as_hwc(np.asarray(resized(image, height, width, state["rules"]["resize"])))
        x_NHWC[row] = x_HWC
    return np.ascontiguousarray(x_NHWC.transpose(0, 3, 1, 2))


def checked(x: np.ndarray, where: str) -> np.ndarray:
    """x_NHWC uint8 from (N, H, W), (N, H, W, C) or (N, C, H, W); floats are in 0..1."""
    if x.ndim == 3:
        x = x[..., None]
    if x.ndim == 4 and x.shape[-1] not in MODES and x.shape[1] in MODES:
        x = x.transpose(0, 2, 3, 1)
    if x.ndim != 4 or x.shape[-1] not in MODES or x.dtype.kind not in "fiub":
        raise ValueError(
            f"{where} is {x.dtype} of shape {x.shape}; images are numbers of shape "
            "(images, rows, columns), or with 1 or 3 channels as a last axis"
        )
    top = 1.0 if x.dtype.kind in "fb" else 255
    if x.size and not (x.min() >= 0 and x.max() <= top):
        raise ValueError(
            f"{where} holds {x.dtype} from {x.min():g} to {x.max():g}; whole numbers are in "
            "0..255, others in 0..1"
        )
    return x if x.dtype == np.uint8 else (x * (255.0 / top)).round().astype(np.uint8)
