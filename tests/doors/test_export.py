"""`sslsearch export`: a study's best/ as a folder of its own."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

import sslsearch
from sslsearch.doors import enter
from sslsearch.formats import base as formats
from sslsearch.formats.onnx import Onnx

if TYPE_CHECKING:
    from exported import Exported


@pytest.fixture
def study(exported: Exported, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """runs/tiny with a best/, in the working directory."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(exported.folder, "runs/tiny/best")
    Path("runs/tiny/space.yaml").write_text("name: tiny\n")
    return Path("runs/tiny")


@pytest.mark.parametrize("said", ["runs/tiny", "runs/tiny/", "tiny"])
def test_default_place(
    study: Path, exported: Exported, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert enter("export", [said]) == 0
    loaded = sslsearch.load("tiny-best")
    assert loaded.recipe == exported.recipe
    x_NCT = np.load(exported.root / "waves.npz")["X_test"]
    np.testing.assert_allclose(loaded.embed(x_NCT), exported.test_ND, atol=1e-5)
    out = capsys.readouterr().out
    assert exported.recipe.hash in out
    assert "sslsearch.load('tiny-best')" in out


def test_again_replaces_and_elsewhere_is_made(study: Path) -> None:
    for _ in range(2):
        assert enter("export", ["tiny", "--to", "models/mine"]) == 0
    assert [p.name for p in Path("models").iterdir()] == ["mine"]


def fails(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert enter("export", words) == 2
    error = capsys.readouterr().err
    assert error.startswith("sslsearch export: ")
    assert said in error
    assert error.count("\n") == 1


def test_an_unfinished_study(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(study / "best")
    cure = "python -m sslsearch.run runs/tiny/space.yaml --out runs/tiny"
    fails(["tiny"], cure, capsys)
    assert not Path("tiny-best").exists()


def test_no_study(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fails(["tini"], "did you mean 'tiny'", capsys)


def test_a_damaged_best_is_not_handed_over(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = study / "best" / "encoder.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    fails(["tiny"], "is damaged", capsys)
    assert not Path("tiny-best").exists()


def test_never_over_other_things(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fails(["tiny", "--to", "."], "holds other things (runs", capsys)
    fails(["tiny", "--to", "runs/tiny/best"], "already", capsys)
    assert (study / "best" / "probe.json").exists()


def test_formats_in_folders_of_their_own(
    study: Path, exported: Exported, capsys: pytest.CaptureFixture[str]
) -> None:
    assert enter("export", ["tiny", "--format", "huggingface", "best", "--to", "out"]) == 0
    assert sorted(path.name for path in Path("out").iterdir()) == ["best", "huggingface"]
    x_NCT = np.load(exported.root / "waves.npz")["X_test"]
    for name in ("best", "huggingface"):
        found = sslsearch.load(f"out/{name}").embed(x_NCT)
        np.testing.assert_allclose(found, exported.test_ND, atol=1e-5)
    assert "sslsearch.load('out/huggingface')" in capsys.readouterr().out


def test_one_format_is_the_folder_itself(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):  # the second replaces the first
        assert enter("export", ["tiny", "--format", "torch_export"]) == 0
    assert {path.name for path in Path("tiny-torch_export").iterdir()} == {"model.pt2", "README.md"}
    assert "differs from the encoder by at most" in capsys.readouterr().out


def test_a_folder_of_another_format_is_left_alone(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert enter("export", ["tiny", "--to", "out"]) == 0
    fails(["tiny", "--format", "torch_export", "--to", "out"], "holds other things", capsys)
    assert sslsearch.load("out").width


def test_what_a_format_needs(
    study: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(formats, "find_spec", lambda name: None)
    cure = "needs onnx, onnxscript, onnxruntime: pip install 'sslsearch[onnx]'"
    fails(["tiny", "--format", "best", "onnx"], cure, capsys)
    assert not Path("tiny-best").exists(), "all are looked at before any is written"
    assert set(Onnx.libraries) == {"onnx", "onnxscript", "onnxruntime"}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("onx", "did you mean 'onnx'"),
        ("timm", "encoder conv1d is no model of timm's"),
        ("torchvision", "encoder conv1d is no network of torchvision's"),
    ],
)
def test_what_cannot_be_had(
    study: Path, name: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    fails(["tiny", "--format", name], said, capsys)
    assert not Path(f"tiny-{name}").exists()
