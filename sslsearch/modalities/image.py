"""Images: grey or coloured pixels of one size.

Tensors: `x` (C x H x W, uint8). A batch holds them as float32 in 0..1, which is what augmentations
of colour are defined on; the encoder normalises by the training statistics in its spec. Where a
source says of which class each pixel is there is `mask` (H x W, uint8) beside it: the probe `dense`
judges by it, and no encoder sees it.
Shapes: B = samples of a batch, N = rows, C = channels, H = rows, W = columns of pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
import torch
from pydantic import Field

from sslsearch import plots
from sslsearch.modalities import image_files as files
from sslsearch.modalities.base import Modality, Role
from sslsearch.modalities.columns import file_at, place
from sslsearch.modalities.image_input import ImageInput
from sslsearch.modalities.image_masks import equal_masks, sealed
from sslsearch.modalities.image_pixels import (
    Colour,
    Resize,
    Rules,
    arrays_of,
    checked,
    equal_arrays,
    table_of,
    written,
)
from sslsearch.modalities.raw_input import RawInput
from sslsearch.registry import Count, Unit, register
from sslsearch.values import Batch, InputSpec

SCHEMES = ("folder", "parquet", "webdataset", "torchvision", "sklearn", "npz")
SYNTHETIC = ((1.5, 3.0, 5.0), 16)  # cycles over an image, one class each; pixels of a side
LEAST_STD = 1e-3  # of pixel values: a channel that is constant is not blown up


@register("modality", name="image", gives={"pixels"})
class Images(Modality):
    """Images of one size.

    size: pixels of both sides; without it all images must be of one size already. resize: scale to
    cover that size and cut about the middle, or stretch each side. normalise: zero mean and unit
    deviation of each channel over the training pixels, or values in 0..1.
    """

    roles: ClassVar[Mapping[str, Role]] = {
        "image": Role("column that holds the images"),
        "mask": Role("column that holds the class of each pixel"),
    }
    default_encoder = "convnet"
    floors = ("majority", "raw", "untrained", "random_patches", "supervised")
    unusable = "cannot be decoded as images"
    varies = (0, 1, 2)  # pixels are brought to the size of training

    def __init__(
        self,
        *,
        size: Annotated[Count | None, Unit("pixels"), Field(description="of both sides")] = None,
        resize: Annotated[Resize, Field(description="how images come to that size")] = "crop",
        colour: Annotated[Colour, Field(description="channels")] = "as_is",
        normalise: Annotated[
            Literal["per_channel", "none"],
            Field(description="zero mean and unit deviation, over what"),
        ] = "per_channel",
    ) -> None:
        self.rules = {"size": size, "resize": resize, "colour": colour, "normalise": normalise}
        self.pixels = Rules(size, resize, colour)

    def read(
        self, source: str, columns: Mapping[str, Any], root: Path, *, unlabelled: bool = False
    ) -> pa.Table:
        """folder:, parquet:, webdataset:, torchvision:, sklearn: or npz: -> raw images."""
        scheme, rest = place(source, SCHEMES)
        if scheme == "folder":
            return files.read_folder(rest, root, self.pixels)
        if scheme == "webdataset":
            return files.read_webdataset(rest, root, columns, self.pixels)
        if scheme == "torchvision":
            return files.read_torchvision(rest, root, self.pixels)
        if scheme == "sklearn":
            return files.read_sklearn(rest, self.pixels)
        if scheme == "npz":
            return files.read_npz(file_at(rest, root), columns, self.pixels)
        return files.read_parquet(rest, root, columns, unlabelled, self.pixels)

    def of_table(
        self, table: pa.Table, columns: Mapping[str, Any], where: str, *, unlabelled: bool = False
    ) -> pa.Table:
        return files.images_of(table, columns, where, unlabelled, self.pixels)

    def in_parts(self, columns: Mapping[str, Any]) -> bool:
        return True

    def raw_input(self, state: Mapping[str, Any]) -> RawInput:
        return ImageInput(state)

    def write(self, arrays: Any, labels: Sequence[str | None] | None, folder: Path) -> str:
        """As `from_arrays`."""
        return written(checked(np.asarray(arrays), "the array"), labels, folder)

    def from_arrays(self, arrays: Any, state: Mapping[str, Any]) -> pa.Table:
        """(N, H, W) or (N, H, W, C): uint8, or floats in 0..1."""
        return table_of(self.pixels.of_arrays(checked(np.asarray(arrays), "the array")))

    def to_arrays(self, raw: pa.Table, state: Mapping[str, Any]) -> np.ndarray:
        """(N, H, W), or (N, H, W, 3) where there are colours, uint8."""
        x_NHWC = equal_arrays(raw, state).transpose(0, 2, 3, 1)
        return np.ascontiguousarray(x_NHWC[..., 0] if x_NHWC.shape[-1] == 1 else x_NHWC)

    def usable(self, raw: pa.Table) -> np.ndarray:
        return np.asarray(raw["pixels"].is_valid())

    def fit(self, train: pa.Table, others: Sequence[pa.Table] = ()) -> dict[str, Any]:
        sizes = {hw for table in (train, *others) for hw in _sizes(table)}
        if len(sizes) > 1:
            (low, high) = (min(sizes), max(sizes))
            raise ValueError(
                f"images are of {len(sizes)} sizes, from {low[0]} x {low[1]} to {high[0]} x "
                f"{high[1]} pixels: say to which they shall be brought, as in data.size=64"
            )
        ((height, width),) = sizes or {(1, 1)}
        channels = int(train["channels"].to_numpy().max(initial=1))
        state = {
            "modality": "image",
            "rules": self.rules,
            "channels": channels,
            "height": height,
            "width": width,
            "masks": "mask" in train.column_names,
        }
        mean, std = _statistics(train, state)
        return {**state, "mean": mean, "std": std}

    def preprocess(self, raw: pa.Table, state: Mapping[str, Any]) -> pa.Table:
        array: pa.Array = pa.array(equal_arrays(raw, state).ravel())
        for size in (state["width"], state["height"], state["channels"]):
            array = pa.FixedSizeListArray.from_arrays(array, size)
        maps = {"mask": equal_masks(raw, state)} if state.get("masks") else {}
        return pa.table({"x": array, **maps})

    def seal(self, tensors: pa.Table, hidden_N: np.ndarray) -> pa.Table:
        return sealed(tensors, hidden_N) if "mask" in tensors.column_names else tensors

    def describe(self, raw: pa.Table, state: Mapping[str, Any]) -> list[str]:
        notes = []
        channels_N = raw["channels"].to_numpy()
        grey = int((channels_N < state["channels"]).sum())
        if grey:
            notes.append(f"{grey} images are grey among coloured ones: they get three channels.")
        flat = sum(bool((x_HWC == x_HWC.flat[0]).all()) for x_HWC in arrays_of(raw))
        if state.get("masks") and raw["mask"].null_count:
            notes.append(f"{raw['mask'].null_count} images have no map of classes.")
        if flat:
            notes.append(f"{flat} images are of one colour all over.")
        return notes

    def spec(self, state: Mapping[str, Any]) -> InputSpec:
        sizes = {name: state[name] for name in ("channels", "height", "width")}
        return InputSpec("image", sizes, {"mean": state["mean"], "std": state["std"]})

    def collate(self, columns: Mapping[str, torch.Tensor], index_B: torch.Tensor) -> Batch:
        x_BCHW = columns["x"].index_select(0, index_B).to(torch.float32).div_(255.0)
        valid_B1 = torch.ones(len(index_B), 1, dtype=torch.bool, device=x_BCHW.device)
        return Batch(x=x_BCHW, valid=valid_B1, index=index_B)

    def panel(self, axes: Any, x: np.ndarray, original: np.ndarray) -> None:
        plots.pixels(axes, x)

    def synthetic(self, n: int, seed: int) -> pa.Table:
        """Gratings in noise: a class has its own number of cycles; direction and hue are random."""
        rng = np.random.default_rng(seed)
        cycles, side = SYNTHETIC
        label_N = rng.permutation(np.arange(n) % len(cycles))
        angle_N11 = rng.uniform(0, np.pi, (n, 1, 1))
        phase_N11 = rng.uniform(0, 2 * np.pi, (n, 1, 1))
        y, x = np.mgrid[:side, :side] / side
        along_NHW = x * np.cos(angle_N11) + y * np.sin(angle_N11)
        turn_N11 = 2 * np.pi * np.asarray(cycles)[label_N][:, None, None]
        wave_NHW1 = np.sin(turn_N11 * along_NHW + phase_N11)[..., None]
        x_NHWC = 0.5 + 0.4 * wave_NHW1 * rng.uniform(0.3, 1, (n, 1, 1, 3))
        x_NHWC = (x_NHWC + 0.05 * rng.standard_normal(x_NHWC.shape)).clip(0, 1)
        raw = table_of(self.pixels.of_arrays(checked(x_NHWC, "synthetic")))
        return raw.append_column("label", pa.array([f"class {c}" for c in label_N]))


def _sizes(raw: pa.Table) -> set[tuple[int, int]]:
    pairs = np.stack([raw["height"].to_numpy(), raw["width"].to_numpy()], 1)
    return {(int(h), int(w)) for h, w in np.unique(pairs, axis=0)} if len(raw) else set()


def _statistics(train: pa.Table, state: Mapping[str, Any]) -> tuple[list[float], list[float]]:
    """Mean and deviation of each channel over all pixels, as values in 0..1."""
    if state["rules"]["normalise"] == "none" or not len(train):
        return [0.0] * state["channels"], [1.0] * state["channels"]
    count = 0
    total, square = np.zeros(state["channels"]), np.zeros(state["channels"])
    for at in range(0, len(train), 1024):
        x_CM = equal_arrays(train.slice(at, 1024), state).transpose(1, 0, 2, 3)
        x_CM = x_CM.reshape(state["channels"], -1) / 255.0
        count += x_CM.shape[1]
        total, square = total + x_CM.sum(1), square + np.square(x_CM).sum(1)
    mean_C = total / count
    std_C = np.sqrt(np.maximum(square / count - mean_C**2, 0))
    return mean_C.tolist(), np.maximum(std_C, LEAST_STD).tolist()
