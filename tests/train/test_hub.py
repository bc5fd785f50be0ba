"""The layout of the Hugging Face Hub: loads like best/, is a model card, goes there and back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import huggingface_hub
import numpy as np
import pytest
from fake_hub import fake_hub
from huggingface_hub import ModelCard

import sslsearch
from sslsearch.train import hub
from sslsearch.train.trained import TrainedEncoder

if TYPE_CHECKING:
    from exported import Exported

THERE_AND_BACK = """
import sys
import numpy as np
import sslsearch
trained = sslsearch.load(sys.argv[1])
print(trained.push_to_hub("me/waves", private=True, licence="apache-2.0"))
again = sslsearch.load("hf://me/waves@main")
np.save(sys.argv[3], again.embed(np.load(sys.argv[2])["X_test"]))
for address in ("hf://me/nothing", "hf://me"):
    try:
        sslsearch.load(address)
    except ValueError as error:
        print(error)
"""


@pytest.fixture
def folder(exported: Exported, tmp_path: Path) -> Path:
    sslsearch.load(exported.folder).save_pretrained(tmp_path / "hub", licence="apache-2.0")
    return tmp_path / "hub"


def test_it_loads_like_best(
    exported: Exported, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {path.name for path in folder.iterdir()} == set(hub.FILES)
    moved = folder.rename(folder.parent / "elsewhere")
    monkeypatch.chdir(moved)
    again = TrainedEncoder.from_pretrained(".")
    x_NCT = np.load(exported.root / "waves.npz")["X_test"]
    np.testing.assert_allclose(again.embed(x_NCT), exported.test_ND, atol=1e-5)
    np.testing.assert_allclose(
        again.predict_proba(x_NCT), exported.probe.predict_proba(exported.test_ND), atol=1e-5
    )
    own = sslsearch.load(exported.folder)
    assert (again.recipe, again.spec, again.preprocess) == (own.recipe, own.spec, own.preprocess)
    assert again.scores == own.scores


def test_no_file_says_anything_twice(folder: Path) -> None:
    said: list[str] = []
    for name in (hub.CONFIG, hub.PREPROCESSOR, hub.PROBE):
        said += json.loads((folder / name).read_text())
    assert len(said) == len(set(said))


def test_the_card_is_one_that_the_hub_reads(exported: Exported, folder: Path) -> None:
    card = ModelCard.load(folder / "README.md")
    assert card.data.license == "apache-2.0"
    assert card.data.library_name == "sslsearch"
    assert {"sslsearch", "timeseries", "simclr"} <= set(card.data.tags)
    found = {result.metric_name: result.metric_value for result in card.data.eval_results or []}
    assert found["accuracy, these weights"] == pytest.approx(exported.accuracy, abs=1e-4)
    assert found["accuracy, floor: majority"] == pytest.approx(1 / 3, abs=1e-4)
    assert {r.metric_type for r in card.data.eval_results or []} == {"accuracy"}
    assert {r.dataset_split for r in card.data.eval_results or []} == {"test"}
    assert "sslsearch.load" in card.text


@pytest.mark.parametrize("name", hub.FILES[:-1])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    if name == hub.CONFIG:
        pytest.skip("without it the folder is of the other layout")
    (folder / name).unlink()
    with pytest.raises(ValueError, match=f"has no {name}"):
        sslsearch.load(folder)


def test_a_save_replaces_only_its_own(exported: Exported, folder: Path, tmp_path: Path) -> None:
    trained = sslsearch.load(exported.folder)
    (folder / "notes.txt").write_text("mine")
    trained.save_pretrained(folder)
    assert (folder / "notes.txt").read_text() == "mine"
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thing").touch()
    with pytest.raises(ValueError, match="holds other things"):
        trained.save_pretrained(tmp_path / "other")


def test_fetching_asks_for_the_files_of_a_bundle_alone(
    exported: Exported, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def snapshot(repo: str, **how: Any) -> str:
        asked.append((repo, how["revision"], set(how["allow_patterns"])))
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    assert sslsearch.load("hf://me/waves@v1").recipe == exported.recipe
    assert asked == [("me/waves", "v1", set(hub.FILES))]


@pytest.mark.parametrize(("offline", "said"), [(True, "HF_HUB_OFFLINE"), (False, "hf auth login")])
def test_pushing_needs_a_log_in(
    exported: Exported, offline: bool, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", offline)
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    with pytest.raises(ValueError, match=said):
        sslsearch.load(exported.folder).push_to_hub("me/waves")


def test_without_the_library_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ValueError, match=r"pip install 'sslsearch\[hub\]'"):
        sslsearch.load("hf://me/waves")


@pytest.mark.slow
def test_there_and_back(exported: Exported, tmp_path: Path) -> None:
    """Pushed to a Hub on this machine and loaded from it, in a process of its own."""
    with fake_hub() as server:
        place = {"HF_ENDPOINT": server.address, "HF_HOME": str(tmp_path), "HF_TOKEN": "hf_mine"}
        place |= {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
        words = [str(exported.folder), str(exported.root / "waves.npz"), str(tmp_path / "out.npy")]
        done = subprocess.run(
            [sys.executable, "-c", THERE_AND_BACK, *words],
            env={**os.environ, **place},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        assert set(server.repos["me/waves"]) == set(hub.FILES)
        assert server.private["me/waves"]
        assert "Bearer hf_mine" in server.tokens
    lines = done.stdout.splitlines()
    assert lines[0].startswith(server.address)
    assert lines[1].startswith("hf://me/nothing cannot be had: ")
    assert lines[2] == "hf://me: write hf://owner/name, or hf://owner/name@revision"
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), exported.test_ND, atol=1e-5)
