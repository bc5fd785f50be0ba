"""best/: what is saved is what is loaded, in any process, and nothing half-written is ever seen."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
import torch
from safetensors.torch import load_file, save_file

import sslsearch
from sslsearch.train import bundle
from sslsearch.train.trained import TrainedEncoder

if TYPE_CHECKING:
    from exported import Exported

COLD = """
import json, sys
import numpy as np
import sslsearch
light = [name for name in ("torch", "ray", "pyarrow") if name in sys.modules]
trained = sslsearch.load(sys.argv[1])
waves = np.load(sys.argv[2])
np.save(sys.argv[3], trained.embed(waves["X_test"]))
right = np.array(trained.predict(waves["X_test"])) == waves["y_test"].astype(str)
heavy = [name for name in ("ray", "mlflow", "optuna") if name in sys.modules]
print(json.dumps({"light": light, "heavy": heavy, "accuracy": right.mean()}))
"""


@pytest.fixture
def best(exported: Exported, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(exported.folder, tmp_path / "best"))


@pytest.fixture(scope="module")
def trained(exported: Exported) -> TrainedEncoder:
    return sslsearch.load(exported.folder)


@pytest.fixture(scope="module")
def x_NCT(exported: Exported) -> np.ndarray:
    return np.load(exported.root / "waves.npz")["X_test"]


def save_again(exported: Exported, to: Path) -> None:
    bundle.save(
        to,
        recipe=exported.recipe,
        weights=exported.folder / bundle.WEIGHTS,
        probe=exported.probe,
        spec=exported.prepared.spec,
        preprocess=exported.prepared.preprocess,
        classes=exported.prepared.classes,
        scores={"run_score": float("nan")},
    )


def test_a_fresh_process_sees_what_the_training_saw(exported: Exported, tmp_path: Path) -> None:
    """From another working directory, of a folder that was moved."""
    waves, out = exported.root / "waves.npz", tmp_path / "seen.npy"
    shutil.copytree(exported.folder, tmp_path / "moved")
    home = str(Path(sslsearch.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", COLD, "moved", str(waves), str(out)],
        env={**os.environ, "PYTHONPATH": home, "OMP_NUM_THREADS": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    said = json.loads(done.stdout)
    assert said["light"] == [], "`import sslsearch` alone must stay light"
    assert said["heavy"] == [], "loading an encoder needs no cluster"
    np.testing.assert_allclose(np.load(out), exported.test_ND, atol=1e-5, rtol=0)
    assert exported.accuracy > 0.6, "an encoder at chance would prove nothing"
    assert said["accuracy"] == pytest.approx(exported.accuracy, abs=1e-12)


def test_the_folder(exported: Exported) -> None:
    assert sorted(p.name for p in exported.folder.iterdir()) == sorted(bundle.FILES)
    about = json.loads((exported.folder / "probe.json").read_text())
    assert about["recipe_hash"] == exported.recipe.hash
    assert about["libraries"]["torch"] == torch.__version__.split("+")[0]
    assert about["scores"]["default"]["test_low"] is None, "nan is no JSON"
    assert not [p for p in exported.folder.parent.iterdir() if p.name.startswith(".")]


def test_weights_and_recipe_come_back(exported: Exported, trained: TrainedEncoder) -> None:
    assert trained.recipe == exported.recipe
    assert not trained.encoder.training
    for name, tensor in trained.encoder.state_dict().items():
        assert torch.equal(tensor, exported.weights[name]), name


def test_the_readme_says_scores_floors_and_use(exported: Exported) -> None:
    text = (exported.folder / "README.md").read_text()
    for words in (
        "pretext: simclr (temperature 0.2, projection",
        "jitter (sigma 0.1) → scaling (sigma 0.2)",
        f"{exported.accuracy:.3f}",
        "| floor: majority | 0.000 | 0.333 |",
        "sslsearch.load(",
        "python -m sslsearch.embed",
        "licence",
    ):
        assert words in text, text
    assert "None" not in text
    assert max(map(len, text.splitlines())) <= 120


def test_arrays_of_all_forms_are_the_same_samples(
    trained: TrainedEncoder, x_NCT: np.ndarray, exported: Exported
) -> None:
    whole_ND = trained.embed(x_NCT)
    assert whole_ND.shape == (30, trained.width)
    assert whole_ND.dtype == np.float32
    np.testing.assert_allclose(trained.embed(list(x_NCT)), whole_ND, atol=1e-6)
    np.testing.assert_allclose(trained.embed(x_NCT[3:4]), whole_ND[3:4], atol=1e-5)
    raw = trained.read("npz:waves.npz", root=exported.root)
    np.testing.assert_allclose(trained.embed(raw)[60:], whole_ND, atol=1e-6)


def test_series_of_unequal_length(trained: TrainedEncoder, x_NCT: np.ndarray) -> None:
    short, missing = x_NCT[0, :, :25], x_NCT[0].copy()
    missing[:, 25:] = np.nan  # missing up to the end is padding
    seen_ND = trained.embed([x_NCT[1], short, missing])
    np.testing.assert_allclose(seen_ND[1], seen_ND[2], atol=1e-6)
    assert not np.allclose(seen_ND[0], seen_ND[1], atol=1e-3)


def test_probabilities_and_names(trained: TrainedEncoder, x_NCT: np.ndarray) -> None:
    proba_NK = trained.predict_proba(x_NCT)
    assert proba_NK.shape == (30, 3)
    np.testing.assert_allclose(proba_NK.sum(1), 1)
    names = trained.predict(x_NCT)
    assert [trained.classes.index(name) for name in names] == proba_NK.argmax(1).tolist()


def test_a_class_without_labels_has_its_column(exported: Exported, tmp_path: Path) -> None:
    """The probe knows classes 0 and 2 only; columns keep their names."""
    save_again(exported, tmp_path / "best")
    path = tmp_path / "best" / "probe.json"
    about = json.loads(path.read_text())
    for key in ("coef", "bias"):
        rows = np.array(about["probe"][key])
        about["probe"][key] = rows[..., [0, 2]].tolist()
    about["probe"]["classes"] = [0, 2]
    path.write_text(json.dumps(about))
    proba_NK = sslsearch.load(tmp_path / "best").predict_proba(np.ones((4, 2, 40)))
    assert (proba_NK[:, 1] == 0).all()
    np.testing.assert_allclose(proba_NK.sum(1), 1)


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        (np.zeros((5, 3, 40)), "not (series, 2 channels, steps)"),
        (np.zeros((2, 40)), "write array[None]"),
        ([np.zeros((2, 9)), np.zeros((3, 9))], "series 1"),
        (np.array(["a", "b"]), "holds no numbers"),
        ([], "at least one"),
        (np.full((3, 2, 40), np.inf), "infinite"),
        ([np.ones((2, 9)), np.full((2, 9), np.nan)], "1 samples hold nothing"),
        (pa.table({"a": [1.0]}), "let .read"),
    ],
)
def test_samples_that_cannot_be_embedded(
    trained: TrainedEncoder, samples: object, words: str
) -> None:
    with pytest.raises(ValueError) as error:
        trained.embed(samples)
    assert words in str(error.value)


@pytest.mark.parametrize("name", ["recipe.yaml", "encoder.safetensors", "probe.json"])
def test_a_missing_or_truncated_file(best: Path, name: str) -> None:
    content = (best / name).read_bytes()
    (best / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=name):
        bundle.load(best)
    (best / name).unlink()
    with pytest.raises(ValueError, match=f"has no {name}"):
        bundle.load(best)


def test_flipped_bits_in_the_weights(best: Path) -> None:
    content = bytearray((best / "encoder.safetensors").read_bytes())
    content[-3] ^= 1
    (best / "encoder.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match=r"sha256.*export it again"):
        bundle.load(best)


def test_weights_of_another_encoder(best: Path) -> None:
    tensors = load_file(best / "encoder.safetensors")
    tensors.pop(next(iter(tensors)))
    save_file(tensors, best / "encoder.safetensors")
    with pytest.raises(ValueError, match="another encoder than"):
        bundle.load(best)


def test_an_encoder_that_is_not_there(best: Path) -> None:
    text = (best / "recipe.yaml").read_text().replace("conv1d", "conv1e")
    (best / "recipe.yaml").write_text(text)
    with pytest.raises(ValueError, match="did you mean 'conv1d'"):
        bundle.load(best)


def test_a_newer_schema(best: Path) -> None:
    about = json.loads((best / "probe.json").read_text())
    (best / "probe.json").write_text(json.dumps(about | {"schema": 99, "sslsearch": "7.0"}))
    with pytest.raises(ValueError, match=r"written by sslsearch 7\.0 .*upgrade"):
        bundle.load(best)


def test_the_study_instead_of_its_best(exported: Exported, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"did you mean .*best"):
        bundle.load(exported.folder.parent)
    with pytest.raises(ValueError, match="is not a folder"):
        bundle.load(tmp_path / "nothing")


def test_an_older_bundle_is_replaced_whole(exported: Exported, best: Path) -> None:
    (best / "notes.txt").write_text("mine")
    save_again(exported, best)
    about = json.loads((best / "probe.json").read_text())
    assert about["scores"] == {"run_score": None}
    assert (best / "notes.txt").read_text() == "mine", "what people put there stays"
    assert [p.name for p in best.parent.iterdir()] == ["best"]


def test_a_save_that_fails_leaves_the_older_one(exported: Exported, best: Path) -> None:
    before = (best / "probe.json").read_bytes()
    with pytest.raises(ValueError, match="another encoder"):
        bundle.save(
            best,
            recipe=exported.recipe,
            weights={"wrong": torch.zeros(1)},
            probe=exported.probe,
            spec=exported.prepared.spec,
            preprocess=exported.prepared.preprocess,
            classes=exported.prepared.classes,
            scores={},
        )
    assert (best / "probe.json").read_bytes() == before
    assert [p.name for p in best.parent.iterdir()] == ["best"]


def test_killed_between_the_two_renames(exported: Exported, best: Path) -> None:
    (best / "notes.txt").write_text("mine")
    best.rename(best.with_name(".best.old"))
    save_again(exported, best)
    assert (best / "notes.txt").exists()
    assert [p.name for p in best.parent.iterdir()] == ["best"]


def test_a_folder_of_other_things_is_never_replaced(exported: Exported, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ValueError, match=r"holds other things \(thesis.tex"):
        save_again(exported, tmp_path)
    assert (tmp_path / "thesis.tex").exists()
