"""Every source of images gives the same images; what cannot be read is said in one line."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from sslsearch import registry
from sslsearch.data.prepare import Prepared, prepare
from sslsearch.data.samples import Samples

N, SIDE = 12, 6
LABELS = [("cat", "dog", "owl")[i % 3] for i in range(N)]


@pytest.fixture(scope="module")
def x_NHWC() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (N, SIDE, SIDE, 3), np.uint8)


def png(x_HWC: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(x_HWC).save(out, "PNG")
    return out.getvalue()


def prepared(source: str, **more: Any) -> Prepared:
    return prepare({"modality": "image", "source": source, **more}, Path.cwd())


def by_label(made: Prepared) -> dict[str, set[bytes]]:
    """Label -> pixels of its images, of training and test together."""
    found: dict[str, set[bytes]] = {}
    for table in (made.train, made.test):
        samples = Samples.from_table(table)
        for row, label in enumerate(samples.labels_N.tolist()):
            name = made.classes[label] if label >= 0 else ""
            found.setdefault(name, set()).add(samples.columns["x"][row].numpy().tobytes())
    return found


def wanted(x_NHWC: np.ndarray) -> dict[str, set[bytes]]:
    found: dict[str, set[bytes]] = {}
    for x_HWC, label in zip(x_NHWC, LABELS, strict=True):
        found.setdefault(label, set()).add(x_HWC.transpose(2, 0, 1).tobytes())
    return found


def test_a_folder_per_class(x_NHWC: np.ndarray, tmp_path: Path) -> None:
    for i, (x_HWC, label) in enumerate(zip(x_NHWC, LABELS, strict=True)):
        (tmp_path / label).mkdir(exist_ok=True)
        (tmp_path / label / f"{i}.png").write_bytes(png(x_HWC))
    (tmp_path / "notes.txt").write_text("no image")
    assert by_label(prepared(f"folder:{tmp_path}")) == wanted(x_NHWC)


def test_train_and_test_folders(x_NHWC: np.ndarray, tmp_path: Path) -> None:
    for i, (x_HWC, label) in enumerate(zip(x_NHWC, LABELS, strict=True)):
        side = tmp_path / ("test" if i < 4 else "train") / label
        side.mkdir(parents=True, exist_ok=True)
        (side / f"{i}.png").write_bytes(png(x_HWC))
    made = prepared(f"folder:{tmp_path}")
    assert (len(made.train), len(made.test)) == (N - 4, 4)
    assert by_label(made) == wanted(x_NHWC)


def test_a_folder_without_classes(x_NHWC: np.ndarray, tmp_path: Path) -> None:
    for i, x_HWC in enumerate(x_NHWC):
        (tmp_path / f"{i}.png").write_bytes(png(x_HWC))
    made = prepared(f"folder:{tmp_path}")
    assert made.classes == []
    assert "No training row has a label" in " ".join(made.notes)


@pytest.mark.parametrize("form", ["bytes", "struct", "lists"])
def test_parquet(x_NHWC: np.ndarray, tmp_path: Path, form: str) -> None:
    encoded = [png(x) for x in x_NHWC]
    column = {
        "bytes": pa.array(encoded),
        "struct": pa.array([{"bytes": e, "path": None} for e in encoded]),
        "lists": pa.array(x_NHWC.tolist(), pa.list_(pa.list_(pa.list_(pa.uint8())))),
    }[form]
    path = tmp_path / "images.parquet"
    pq.write_table(pa.table({"image": column, "animal": LABELS}), path)
    assert by_label(prepared(f"parquet:{path}", columns={"label": "animal"})) == wanted(x_NHWC)


def test_webdataset_as_the_library_writes_it(x_NHWC: np.ndarray, tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    for shard in range(2):
        with webdataset.TarWriter(str(tmp_path / f"s-00{shard}.tar")) as sink:
            for i in range(shard * 6, shard * 6 + 6):
                parts = {"png": png(x_NHWC[i]), "txt": LABELS[i]}
                sink.write({"__key__": f"{i:04d}", **parts})
    for name in ("s-{000..001}.tar", "s-*.tar"):
        modality = registry.get("modality", "image").bind({})()
        raw = modality.read(f"webdataset:{name}", {"label": "txt"}, tmp_path)
        assert raw["label"].to_pylist() == LABELS
        assert raw["pixels"].to_pylist() == [x.tobytes() for x in x_NHWC]


def test_npz_with_sides(x_NHWC: np.ndarray, tmp_path: Path) -> None:
    y = np.array(LABELS)
    path = tmp_path / "a.npz"
    np.savez(path, X_train=x_NHWC[4:], y_train=y[4:], X_test=x_NHWC[:4] / 255.0, y_test=y[:4])
    made = prepared(f"npz:{path}")
    assert len(made.test) == 4
    assert by_label(made) == wanted(x_NHWC)


def test_torchvisions_loader_on_a_local_copy(tmp_path: Path) -> None:
    folder = tmp_path / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    x_NHW = np.random.default_rng(0).integers(0, 256, (20, 28, 28), np.uint8)
    for side, rows in (("train", slice(0, 15)), ("t10k", slice(15, 20))):
        images, labels = x_NHW[rows], (np.arange(20) % 10)[rows].astype(np.uint8)
        head = struct.pack(">4i", 2051, len(images), 28, 28)
        (folder / f"{side}-images-idx3-ubyte").write_bytes(head + images.tobytes())
        head = struct.pack(">2i", 2049, len(labels))
        (folder / f"{side}-labels-idx1-ubyte").write_bytes(head + labels.tobytes())
    made = prepared(f"torchvision:FashionMNIST@{tmp_path}")
    assert (len(made.train), len(made.test)) == (15, 5)
    assert "Ankle boot" in made.classes
    first = Samples.from_table(made.train).columns["x"][0, 0].numpy()
    np.testing.assert_array_equal(first, x_NHW[0])


def test_digits_ship_with_scikit_learn() -> None:
    made = prepared("sklearn:digits", labels="10 per class")
    assert (made.summary["pool"], made.summary["test"], made.summary["labelled"]) == (
        1258,
        539,
        100,
    )
    batch = Samples.from_table(made.train).batch(torch.arange(5), "cpu")
    assert batch.x.shape == (5, 1, 8, 8)
    assert batch.x.max() == 1.0


def test_what_cannot_be_decoded_is_named(x_NHWC: np.ndarray, tmp_path: Path) -> None:
    for i, x_HWC in enumerate(x_NHWC):
        (tmp_path / f"{i:02d}.png").write_bytes(png(x_HWC))
    (tmp_path / "03.png").write_bytes(b"\x89PNG is not enough")
    (tmp_path / "07.png").write_bytes(png(x_NHWC[7])[:60])
    made = prepared(f"folder:{tmp_path}")
    assert "2 rows cannot be decoded as images and were dropped (03.png, 07.png)." in made.notes
    assert len(made.train) + len(made.test) == N - 2


def test_sizes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for i, shape in enumerate([(9, 20, 3), (30, 12), (16, 16, 3), (16, 16, 3)]):
        (tmp_path / f"{i}.png").write_bytes(png(rng.integers(0, 256, shape, np.uint8)))
    with pytest.raises(ValueError, match=r"3 sizes, from 9 x 20 to 30 x 12.*data\.size=64"):
        prepared(f"folder:{tmp_path}")
    for how in ("crop", "stretch"):
        made = prepared(f"folder:{tmp_path}", size=8, resize=how)
        assert made.spec.sizes == {"channels": 3, "height": 8, "width": 8}
        assert "1 images are grey among coloured ones" in " ".join(made.notes)
    assert prepared(f"folder:{tmp_path}", size=8, colour="grey").spec.sizes["channels"] == 1


def test_statistics_are_those_of_the_training_pixels(x_NHWC: np.ndarray, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", X=x_NHWC, y=np.array(LABELS))
    made = prepared(f"npz:{tmp_path / 'a.npz'}")
    x = Samples.from_table(made.train).columns["x"] / 255
    torch.testing.assert_close(torch.tensor(made.spec.statistics["mean"]), x.mean((0, 2, 3)))
    deviation = x.std((0, 2, 3), correction=0)
    torch.testing.assert_close(torch.tensor(made.spec.statistics["std"]), deviation)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("folder:nowhere", "there is no folder"),
        ("sklearn:digit", "did you mean 'digits'"),
        ("torchvision:FashionMINST@x", "did you mean 'FashionMNIST'"),
        ("jpeg:a.jpg", "unknown scheme 'jpeg'"),
    ],
)
def test_what_is_not_there(source: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        prepared(source)


def test_arrays_in_memory() -> None:
    modality = registry.get("modality", "image").bind({})()
    x_NHW = np.random.default_rng(0).random((3, 8, 8))
    raw = modality.from_arrays(x_NHW, {})
    assert raw["channels"].to_pylist() == [1, 1, 1]
    with pytest.raises(ValueError, match=r"from -1 to 1.*others in 0\.\.1"):
        modality.from_arrays(2 * (x_NHW > 0.5) - 1.0, {})


def test_a_pool_larger_than_memory_is_the_same_in_files(x_NHWC: np.ndarray, tmp_path: Path) -> None:
    encoded = [png(x) for x in x_NHWC]
    own, pool = tmp_path / "own.parquet", tmp_path / "pool.parquet"
    pq.write_table(pa.table({"image": encoded, "label": LABELS}), own)
    more = [png(255 - x) for x in x_NHWC]
    pq.write_table(pa.table({"image": [*more[:3], b"broken", *more[3:]]}), pool)
    data = {"modality": "image", "source": f"parquet:{own}", "pool": f"parquet:{pool}"}
    whole, files = (prepare(data, Path.cwd(), tmp_path / f"{m}", memory=m) for m in (1 << 40, 1))
    want, got = (Samples.from_table(made.train).columns["x"] for made in (whole, files))
    assert torch.equal(want, got)
    said = "1 rows{} cannot be decoded as images and were dropped (from 0: 3)."
    assert said.format("") in whole.notes
    assert said.format(" of the second pool") in files.notes
