"""Maps of classes: read beside their images, brought to their size, sealed like labels."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from sslsearch.data.prepare import Prepared, prepare
from sslsearch.data.samples import Samples
from sslsearch.modalities.image_masks import VOID
from sslsearch.search.confirm import without_labels

N, SIDE = 12, 8


@pytest.fixture(scope="module")
def x_NHW() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (N, SIDE, SIDE), np.uint8)


@pytest.fixture(scope="module")
def mask_NHW() -> np.ndarray:
    """Class 1 or 2 in a corner of background, and a void pixel."""
    mask_NHW = np.zeros((N, SIDE, SIDE), np.uint8)
    mask_NHW[:, :3, :3] = 1 + np.arange(N)[:, None, None] % 2
    mask_NHW[:, -1, -1] = VOID
    return mask_NHW


def png(array: np.ndarray, palette: bool = False) -> bytes:
    out, image = io.BytesIO(), Image.fromarray(array)
    if palette:
        image = Image.fromarray(array, "P")
        image.putpalette([7 * i % 256 for i in range(768)])
    image.save(out, "PNG")
    return out.getvalue()


def prepared(source: str, **more: object) -> Prepared:
    return prepare({"modality": "image", "source": source, **more}, Path.cwd())


def maps_of(made: Prepared) -> dict[bytes, np.ndarray]:
    """Pixels -> map, of training and test together."""
    tables = Samples.from_table(made.train), Samples.from_table(made.test)
    return {
        s.columns["x"][row].numpy().tobytes(): s.columns["mask"][row].numpy()
        for s in tables
        for row in range(len(s))
    }


@pytest.mark.parametrize("form", ["png", "palette", "list"])
def test_maps_in_parquet(
    x_NHW: np.ndarray, mask_NHW: np.ndarray, form: str, tmp_path: Path
) -> None:
    maps = {
        "png": [png(mask) for mask in mask_NHW],
        "palette": [png(mask, palette=True) for mask in mask_NHW],
        "list": mask_NHW.tolist(),
    }
    path = tmp_path / "some.parquet"
    pq.write_table(pa.table({"image": [png(x) for x in x_NHW], "mask": maps[form]}), path)
    made = prepared(f"parquet:{path}")
    assert made.classes == ["1", "2"]  # what a map shows most but for the background
    found = maps_of(made)
    for x, mask in zip(x_NHW, mask_NHW, strict=True):
        assert np.array_equal(found[x[None].tobytes()], mask)


def test_maps_in_npz_and_under_another_name(
    x_NHW: np.ndarray, mask_NHW: np.ndarray, tmp_path: Path
) -> None:
    path = tmp_path / "some.npz"
    sides = {"train": slice(0, 8), "test": slice(8, N)}
    arrays = {f"X_{side}": x_NHW[rows] for side, rows in sides.items()}
    arrays |= {f"seg_{side}": mask_NHW[rows] for side, rows in sides.items()}
    np.savez(path, **arrays)
    made = prepared(f"npz:{path}", columns={"mask": "seg"})
    assert (made.summary["pool"], made.summary["test"]) == (8, 4)
    found = maps_of(made)
    assert all(
        np.array_equal(found[x[None].tobytes()], mask)
        for x, mask in zip(x_NHW, mask_NHW, strict=True)
    )
    with pytest.raises(ValueError, match=r"no column 'map_train' for data\.columns\.mask"):
        prepared(f"npz:{path}", columns={"mask": "map"})


def test_maps_follow_their_images_by_the_nearest_pixel(
    x_NHW: np.ndarray, mask_NHW: np.ndarray, tmp_path: Path
) -> None:
    path = tmp_path / "some.parquet"
    wide = [np.pad(x, ((0, 0), (4, 4))) for x in x_NHW]
    maps = [np.pad(mask, ((0, 0), (4, 4)), constant_values=9) for mask in mask_NHW]
    pq.write_table(
        pa.table({"image": [png(x) for x in wide], "mask": [png(m) for m in maps]}), path
    )
    for mask in maps_of(prepared(f"parquet:{path}", size=4)).values():
        assert set(np.unique(mask)) <= {0, 1, 2, VOID}  # cut about the middle, none between two


def test_what_is_hidden_is_void(x_NHW: np.ndarray, mask_NHW: np.ndarray, tmp_path: Path) -> None:
    """A map whose label may not be seen is in no table that workers get."""
    path = tmp_path / "some.npz"
    np.savez(path, X=x_NHW, mask=mask_NHW)
    made = prepared(f"npz:{path}", labels="1 per class")
    train = Samples.from_table(made.train)
    said = (train.columns["mask"] != VOID).flatten(1).any(1)
    assert len(train.labelled) == 2 < len(train)
    assert said.nonzero()[:, 0].tolist() == train.labelled.tolist()
    sealed = Samples.from_table(without_labels(made.test))
    assert (sealed.columns["mask"] == VOID).all()
    assert (Samples.from_table(made.test).columns["mask"] != VOID).any()


def test_what_is_no_map_is_said(x_NHW: np.ndarray, mask_NHW: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "some.npz"
    for mask, said in (
        (mask_NHW[:, :4], r"4 x 8 pixels, its image 8 x 8"),
        (mask_NHW / 2, r"float64 of shape \(8, 8\); a map of classes"),
        (mask_NHW.astype(np.int64) + 255, r"whole numbers from 0 to 254"),
    ):
        np.savez(path, X=x_NHW, mask=mask)
        with pytest.raises(ValueError, match=said):
            prepared(f"npz:{path}")
    colour = np.repeat(mask_NHW[..., None], 3, -1)
    table = pa.table({"image": [png(x) for x in x_NHW], "mask": [png(c) for c in colour]})
    pq.write_table(table, tmp_path / "some.parquet")
    with pytest.raises(ValueError, match="an image of mode RGB; a map of classes"):
        prepared(f"parquet:{tmp_path}/some.parquet")
