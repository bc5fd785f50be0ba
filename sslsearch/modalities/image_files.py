"""Where images come from: folders, Parquet, WebDataset shards, arrays, torchvision, scikit-learn.

Each reader yields raw images (image_pixels.py) and beside them label, split and id, where the
source has them. An image that cannot be decoded stays as a row without pixels, and its id.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from sslsearch.modalities import image_masks as masks
from sslsearch.modalities.columns import column, common_roles, file_at, with_roles
from sslsearch.modalities.image_masks import beside, decode
from sslsearch.modalities.image_pixels import Rules, checked, table_of
from sslsearch.registry import did_you_mean

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".ppm", ".pgm", ".tif", ".tiff")
SIDES = {"train": "train", "training": "train", "val": "val", "valid": "val", "test": "test"}


def _beside(images: pa.Table, **columns: Iterable[Any]) -> pa.Table:
    """Raw images with columns of text beside them; a column without any text is left out."""
    for name, values in columns.items():
        array = pa.array([None if v is None else str(v) for v in values], pa.string())
        if len(array) > array.null_count:
            images = images.append_column(name, array)
    return images


def read_folder(rest: str, root: Path, rules: Rules) -> pa.Table:
    """A folder per class, or no folders: unlabelled. Above them train, val and test, if given."""
    top = root / Path(rest).expanduser()
    if not top.is_dir():
        raise ValueError(f"data.source: there is no folder {top}")
    sides = [path for path in sorted(top.iterdir()) if path.is_dir() and path.name in SIDES]
    found: list[tuple[Path, Path, str | None]]
    found = [(p, side, SIDES[side.name]) for side in sides for p in _images(side)]
    found = found or [(p, top, None) for p in _images(top)]
    if not found:
        raise ValueError(f"data.source: no images in {top}; known are {', '.join(ENDINGS)}")
    labels = [p.relative_to(base).parts[0] if p.parent != base else None for p, base, _ in found]
    return _beside(
        table_of(rules.decode(path.read_bytes()) for path, _, _ in found),
        label=labels,
        split=[side for _, _, side in found],
        id=[path.relative_to(top).as_posix() for path, _, _ in found],
    )


def _images(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in ENDINGS and p.is_file())


def read_parquet(rest: str, root: Path, columns: Mapping[str, Any], unlabelled: bool,
                 rules: Rules) -> pa.Table:  # fmt: skip
    path = file_at(rest, root)
    return images_of(pq.read_table(path), columns, str(path), unlabelled, rules)


def images_of(
    table: pa.Table, columns: Mapping[str, Any], where: str, unlabelled: bool, rules: Rules
) -> pa.Table:
    """Encoded bytes, `{bytes: …}` as in Hugging Face's sets, or nested lists of numbers."""
    name = _image_column(table, columns.get("image"), where)
    chunks, kind = table[name], table[name].type
    if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        chunks = pa.chunked_array([chunk.field("bytes") for chunk in chunks.chunks])
        kind = chunks.type
    if _is_bytes(kind):
        images = table_of(rules.decode(scalar.as_py()) for scalar in chunks)
    elif pa.types.is_nested(kind) and not pa.types.is_struct(kind):
        x = np.array(chunks.to_pylist())
        images = table_of(rules.of_arrays(checked(x, f"{where}: column {name!r}")))
    else:
        raise ValueError(
            f"{where}: column {name!r} holds {kind}; images are encoded bytes (PNG, JPEG …) or "
            "nested lists of numbers"
        )
    roles = common_roles(table.column_names, columns, where, unlabelled)
    images = with_roles(images, table, roles)
    mask = _mask_column(table, columns.get("mask"), where, unlabelled)
    if mask is None:
        return images
    said = f"{where}: column {mask!r}"
    encoded = _is_bytes(table[mask].type)
    maps = (
        decode(scalar.as_py(), said) if encoded else masks.checked(scalar.as_py(), said)
        for scalar in table[mask]
    )
    return beside(images, maps, rules, said)


def _mask_column(table: pa.Table, wanted: str | None, where: str, unlabelled: bool) -> str | None:
    """As mapped, else `mask` if there is one."""
    if wanted is None or (unlabelled and wanted not in table.column_names):
        return "mask" if "mask" in table.column_names else None
    return column(table.column_names, "mask", wanted, where)


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _image_column(table: pa.Table, wanted: str | None, where: str) -> str:
    """As mapped, else `image`, else the only column of bytes."""
    if wanted is not None or "image" in table.column_names:
        return column(table.column_names, "image", wanted or "image", where)
    binary = [field.name for field in table.schema if _is_bytes(field.type)]
    if len(binary) == 1:
        return str(binary[0])
    raise ValueError(
        f"{where}: say which column holds the images with data.columns.image: "
        f"{', '.join(table.column_names)}"
    )


def read_webdataset(rest: str, root: Path, columns: Mapping[str, Any], rules: Rules) -> pa.Table:
    """Tar shards: files of one name are one sample; `.cls` (or data.columns.label) its label.

    Shards are named as a file, with * or with {000..009}.
    """
    ending = str(columns.get("label") or "cls")
    images: list[np.ndarray | None] = []
    labels: list[str | None] = []
    keys: list[str] = []
    for shard in _shards(rest, root):
        for key, parts in _samples(shard):
            encoded = [data for name, data in parts.items() if f".{name.lower()}" in ENDINGS]
            if encoded:
                images.append(rules.decode(encoded[0]))
                labels.append(parts[ending].decode().strip() if ending in parts else None)
                keys.append(f"{shard.name}/{key}")
    if not images:
        raise ValueError(f"data.source: webdataset:{rest} holds no images ({', '.join(ENDINGS)})")
    return _beside(table_of(images), label=labels, id=keys)


def _shards(rest: str, root: Path) -> list[Path]:
    braces = re.search(r"\{(\d+)\.\.(\d+)\}", rest)
    names = [rest]
    if braces:
        first, last = braces.groups()
        numbers = range(int(first), int(last) + 1)
        names = [rest.replace(braces[0], f"{n:0{len(first)}d}") for n in numbers]
    if "*" in rest:
        names = [str(p.relative_to(root)) for p in sorted(root.glob(rest))] or names
    return [file_at(name, root) for name in names]


def _samples(shard: Path) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Key -> ending -> bytes: neighbours in the archive whose names agree up to the first dot."""

    def key(member: tarfile.TarInfo) -> str:
        folder, _, name = member.name.rpartition("/")
        return f"{folder}/{name.partition('.')[0]}".lstrip("/")

    try:
        with tarfile.open(shard) as archive:
            files = (member for member in archive if member.isfile())
            for name, members in groupby(files, key):
                parts = {}
                for member in members:
                    opened = archive.extractfile(member)
                    assert opened is not None  # a regular file
                    parts[member.name.rpartition("/")[2].partition(".")[2]] = opened.read()
                yield name, parts
    except tarfile.TarError as error:
        raise ValueError(f"{shard}: not a tar archive: {error}") from error


def read_npz(path: Path, columns: Mapping[str, Any], rules: Rules) -> pa.Table:
    """X (N, H, W) or (N, H, W, C), y and mask (N, H, W); or X_train, y_train, X_test … (X_val)."""
    with np.load(path, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    x, y, m = (columns.get(r) or d for r, d in (("image", "X"), ("label", "y"), ("mask", "mask")))
    ends = [f"_{side}" for side in ("train", "val", "test") if f"{x}_{side}" in arrays] or [""]
    tables = []
    for end in ends:
        images = checked(arrays[column(arrays, "image", f"{x}{end}", str(path))], f"{path}: {x}")
        labels = arrays.get(f"{y}{end}", [None] * len(images))
        if len(labels) != len(images):
            raise ValueError(f"{path}: {y}{end} has {len(labels)} rows, {x}{end} {len(images)}")
        rows = {"label": list(labels), "split": [end[1:] or None] * len(images)}
        table = _beside(table_of(rules.of_arrays(images)), **rows)
        if f"{m}{end}" in arrays or columns.get("mask"):
            said = f"{path}: {m}{end}"
            maps = arrays[column(arrays, "mask", f"{m}{end}", str(path))]
            table = beside(table, (masks.checked(map_HW, said) for map_HW in maps), rules, said)
        tables.append(table)
    return pa.concat_tables(tables, promote_options="default")


def read_sklearn(name: str, rules: Rules) -> pa.Table:
    """`digits`: 1,797 handwritten digits of 8 x 8 pixels, which scikit-learn ships."""
    from sklearn.datasets import load_digits  # here: its import takes long

    if name != "digits":
        near = did_you_mean(name, ["digits"])
        raise ValueError(f"data.source: scikit-learn ships no images {name!r}{near}")
    digits = load_digits()
    images = checked((digits.images / 16.0).astype(np.float32), "sklearn:digits")
    return _beside(table_of(rules.of_arrays(images)), label=list(digits.target))


def read_torchvision(rest: str, root: Path, rules: Rules) -> pa.Table:
    """NAME or NAME@FOLDER (default: data): a classification set of torchvision, both sides.

    It is downloaded into the folder if it is not there.
    """
    name, _, folder = rest.partition("@")
    place = root / Path(folder or "data").expanduser()
    tables = [
        _beside(
            table_of(rules.apply(image) for image, _ in pairs),
            label=[_class_name(dataset, number) for _, number in pairs],
            split=[side] * len(pairs),
        )
        for side in ("train", "test")
        for dataset in [_torchvision(name, side, place)]
        for pairs in [list(_pairs(dataset))]
    ]
    return pa.concat_tables(tables)


def _torchvision(name: str, side: str, place: Path) -> Any:
    """The dataset, offline if its files are there."""
    import inspect

    from torchvision import datasets  # here: its import takes long

    known = {n: d for n in datasets.__all__ if isinstance(d := getattr(datasets, n), type)}
    asked = {n: set(inspect.signature(d).parameters) for n, d in known.items()}
    sided = [n for n, words in asked.items() if "download" in words and words & {"train", "split"}]
    if name not in sided:
        raise ValueError(f"data.source: torchvision:{name} is not known{did_you_mean(name, sided)}")
    which: dict[str, Any] = (
        {"train": side == "train"} if "train" in asked[name] else {"split": side}
    )
    try:
        return known[name](str(place), download=False, **which)
    except RuntimeError:  # what torchvision says of files that are not there
        return known[name](str(place), download=True, **which)


def _pairs(dataset: Any) -> Iterator[tuple[Image.Image, int]]:
    for at in range(len(dataset)):
        yield dataset[at]


def _class_name(dataset: Any, number: Any) -> str:
    names = getattr(dataset, "classes", None)
    return str(names[number] if names and isinstance(number, int) else number)
