"""What an exported graph is compared with, and what is refused."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_encoders import small_encoder

import sslsearch
from sslsearch import registry
from sslsearch.formats import onnx as onnx_format
from sslsearch.formats import whole as whole_module
from sslsearch.formats.torch_export import MODEL, TorchExport
from sslsearch.formats.whole import SIZES, Whole, compare
from sslsearch.probe.knn import Knn
from sslsearch.train.trained import TrainedEncoder


@pytest.fixture(scope="module")
def trained() -> TrainedEncoder:
    return small_encoder("transformer")


def eager(trained: TrainedEncoder, shift: float, sizes: list[int]) -> Any:
    def run(arrays: tuple[np.ndarray, ...]) -> list[np.ndarray]:
        sizes.append(len(arrays[0]))
        features_BD = trained.embed(arrays[0])
        return [features_BD + shift, trained.proba_of(features_BD)]

    return run


def test_what_differs_is_not_handed_over(trained: TrainedEncoder) -> None:
    sizes: list[int] = []
    whole = Whole(trained).eval()
    assert "at most 0.0e+00" in compare(trained, whole, eager(trained, 0.0, sizes))
    assert set(sizes) == set(SIZES)
    assert any(size % 2 and size > 1 for size in sizes)
    with pytest.raises(ValueError, match=r"differs from the encoder by .* nothing is handed over"):
        compare(trained, whole, eager(trained, 1e-2, sizes))
    with pytest.raises(ValueError, match="differs"):
        compare(trained, whole, eager(trained, float("nan"), sizes))


def test_a_probe_that_is_no_arithmetic_gives_features_alone(trained: TrainedEncoder) -> None:
    bank = trained.embed(np.random.default_rng(0).standard_normal((9, 2, 64)))
    knn = Knn().final(bank, np.arange(9) % 3)
    voted = TrainedEncoder(**{**vars(trained), "probe": knn})
    assert Whole(trained).outputs == ["features", "probabilities"]
    assert Whole(voted).outputs == ["features"]


def test_a_class_without_labels_has_probability_zero(trained: TrainedEncoder) -> None:
    seen = trained.embed(np.random.default_rng(0).standard_normal((9, 2, 64)))
    probe = registry.get("probe", "linear").bind({})().final(seen, np.arange(9) % 2 * 2)
    partly = TrainedEncoder(**{**vars(trained), "probe": probe})
    whole = Whole(partly).eval()
    assert "differs" in compare(partly, whole, _run(whole))
    assert (whole(*whole.traced()[0])[1][:, 1] == 0).all()


def _run(whole: Whole) -> Any:
    import torch

    def run(arrays: tuple[np.ndarray, ...]) -> list[np.ndarray]:
        with torch.no_grad():
            return [out.numpy() for out in whole(*map(torch.tensor, arrays))]

    return run


def test_a_program_travels_with_its_preprocessing(trained: TrainedEncoder, tmp_path: Path) -> None:
    TorchExport().write(trained, tmp_path)
    with zipfile.ZipFile(tmp_path / MODEL) as archive:
        extra = {Path(n).name: n for n in archive.namelist() if "/extra/" in n}
        state = json.loads(archive.read(extra["preprocess"]))
    assert state == json.loads(json.dumps(trained.preprocess))


@pytest.mark.slow
def test_onnx_travels_with_its_preprocessing_and_takes_any_batch(
    trained: TrainedEncoder, tmp_path: Path
) -> None:
    import onnx
    import onnxruntime

    onnx_format.Onnx().write(trained, tmp_path)
    model = onnx.load(tmp_path / "model.onnx")
    onnx.checker.check_model(model)
    said = {prop.key: prop.value for prop in model.metadata_props}
    assert json.loads(said["sslsearch.preprocess"]) == json.loads(json.dumps(trained.preprocess))
    assert said["sslsearch.version"] == sslsearch.__version__
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    (one,) = session.get_inputs()
    assert isinstance(one.shape[0], str), "the batch is free"
    assert isinstance(one.shape[2], str), "so are the steps"
    x = np.random.default_rng(3).standard_normal((129, 2, 31)) * 50 + 7
    features, probabilities = session.run(None, {"series": x})
    np.testing.assert_allclose(features, trained.embed(x), atol=1e-4)
    np.testing.assert_allclose(probabilities, trained.predict_proba(x), atol=1e-4)
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-5)


def test_an_onnx_that_differs_leaves_nothing(
    trained: TrainedEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check stands between the graph and the folder, whatever goes wrong in it."""
    from sslsearch.train.folder import swapped

    monkeypatch.setattr(whole_module, "TOLERANCE", -1.0)
    made = TorchExport()
    with pytest.raises(ValueError, match="nothing is handed over"):
        swapped(tmp_path / "to", lambda f: made.write(trained, f), made.files, made.files[0])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("encoder", "knobs", "data"),
    [
        ("resnet", {"norm": "batch", "stem": "imagenet", "pool": "mean_max"}, {"size": 40}),
        ("resnet", {"depth": 34}, {"colour": "grey"}),
        ("timm", {"name": "convnext_atto"}, {"size": 37}),
    ],
)
def test_backbones_load_strictly(
    encoder: str,
    knobs: dict[str, Any],
    data: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from readme_lines import ran

    made = small_encoder(encoder, knobs, data)
    name = "torchvision" if encoder == "resnet" else "timm"
    registry.get("format", name).make().write(made, tmp_path)
    monkeypatch.chdir(tmp_path)
    left = ran(tmp_path / "README.md")
    np.testing.assert_allclose(left["features"].numpy(), made.embed(left["images"]), atol=1e-4)
