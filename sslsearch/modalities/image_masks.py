"""Maps of classes beside images: for each pixel the number of its class, 255 = nothing is said.

A map is an image of one channel (grey or palette, as PNG has them) or a nested list of whole
numbers. It goes the way of its image, by the nearest pixel. Raw column: `mask` (the bytes of
H x W uint8, H and W as of the image; null where there is no map).
Shapes: N = images, H = rows, W = columns of pixels.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from sslsearch.modalities.image_pixels import BROKEN, Rules, resized

VOID = 255  # Everingham et al. 2010, The PASCAL Visual Object Classes Challenge: of no class
BACKGROUND = 0
SINGLE = ("1", "L", "P")  # modes of PIL that hold one whole number for each pixel


def decode(encoded: bytes | None, where: str) -> np.ndarray | None:
    """PNG … -> mask_HW uint8; None where there is none. ValueError if it is no map of classes."""
    if not encoded:
        return None
    try:
        with Image.open(io.BytesIO(encoded)) as image:
            if image.mode in SINGLE:
                return np.array(image, np.uint8)
            said = f"an image of mode {image.mode}"
    except BROKEN as error:
        said = f"no image ({error})"
    raise ValueError(
        f"{where} holds {said}; a map of classes has one whole number for each pixel: a grey or a "
        "palette image"
    )


def checked(mask: Any, where: str) -> np.ndarray | None:
    """mask_HW uint8 of numbers; None where there are none."""
    if mask is None:
        return None
    mask = np.asarray(mask)
    if mask.ndim == 3 and 1 in (mask.shape[0], mask.shape[-1]):
        mask = mask.squeeze(0 if mask.shape[0] == 1 else -1)
    whole = mask.dtype.kind in "iub" and mask.ndim == 2
    if not whole or (mask.size and not (mask.min() >= 0 and mask.max() <= VOID)):
        raise ValueError(
            f"{where} is {mask.dtype} of shape {mask.shape}; a map of classes is rows and columns "
            f"of whole numbers from 0 to {VOID - 1}, and {VOID} where nothing is said"
        )
    return np.array(mask, np.uint8)


def beside(
    images: pa.Table, masks: Iterable[np.ndarray | None], rules: Rules, where: str
) -> pa.Table:
    """Raw images with the column `mask`, and the label of each map where they have no labels.

    An image of which only a map is known has the class that most of it shows as its label, the
    background (0) only where it shows nothing else: so splits keep the classes in proportion.
    """
    fitted: list[np.ndarray | None] = []
    sizes = zip(images["height"].to_numpy(), images["width"].to_numpy(), strict=True)
    for row, (mask, (height, width)) in enumerate(zip(masks, sizes, strict=True)):
        if mask is not None and rules.size is not None:
            mask = nearest(mask, height, width, rules.resize)
        if mask is not None and height and mask.shape != (height, width):
            raise ValueError(
                f"{where}: the map of row {row} (from 0) has {mask.shape[0]} x {mask.shape[1]} "
                f"pixels, its image {height} x {width}"
            )
        fitted.append(mask)
    raw = [None if mask is None else mask.tobytes() for mask in fitted]
    images = images.append_column("mask", pa.array(raw, pa.large_binary()))
    if "label" not in images.column_names:
        names = [None if mask is None else prevailing(mask) for mask in fitted]
        images = images.append_column("label", pa.array(names, pa.string()))
    return images


def nearest(mask_HW: np.ndarray, height: int, width: int, how: Any) -> np.ndarray:
    if not height:  # its image could not be decoded
        return mask_HW
    image = Image.fromarray(mask_HW)
    return np.asarray(resized(image, height, width, how, Image.Resampling.NEAREST))


def prevailing(mask_HW: np.ndarray) -> str | None:
    count = np.bincount(mask_HW.ravel(), minlength=VOID + 1)[:VOID]
    if count[BACKGROUND + 1 :].any():
        count[BACKGROUND] = 0
    return str(int(count.argmax())) if count.any() else None


def equal_masks(raw: pa.Table, state: Mapping[str, Any]) -> pa.Array:
    """Tensors (H, W) uint8 of the size of the state; void where an image has no map."""
    height, width = state["height"], state["width"]
    mask_NHW = np.full((len(raw), height, width), VOID, np.uint8)
    if "mask" in raw.column_names:
        sizes = zip(raw["height"].to_numpy(), raw["width"].to_numpy(), strict=True)
        for row, (scalar, shape) in enumerate(zip(raw["mask"], sizes, strict=True)):
            if scalar.is_valid:
                mask_HW = np.frombuffer(scalar.as_buffer(), np.uint8).reshape(shape)
                same = shape == (height, width)
                how = state["rules"]["resize"]
                mask_NHW[row] = mask_HW if same else nearest(mask_HW, height, width, how)
    return listed(mask_NHW)


def listed(mask_NHW: np.ndarray) -> pa.Array:
    array: pa.Array = pa.array(mask_NHW.ravel())
    for size in mask_NHW.shape[:0:-1]:
        array = pa.FixedSizeListArray.from_arrays(array, size)
    return array


def sealed(tensors: pa.Table, hidden_N: np.ndarray) -> pa.Table:
    """The tensors with nothing said in the maps of the hidden rows."""
    at = tensors.schema.get_field_index("mask")
    column = tensors["mask"].combine_chunks()
    height, width = column.type.list_size, column.type.value_type.list_size
    mask_NHW = column.flatten().flatten().to_numpy().reshape(-1, height, width).copy()
    mask_NHW[hidden_N] = VOID
    return tensors.set_column(at, "mask", listed(mask_NHW))
