"""A training whose folder is gone with its machine is found in the storage."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sslsearch.search.kept import Kept

STATE = "state.safetensors"


@pytest.fixture
def place(tmp_path: Path) -> str:
    return str(tmp_path / "store")


def test_a_lost_folder_comes_back(tmp_path: Path, place: str) -> None:
    out = tmp_path / "long"
    (out / "best").mkdir(parents=True)
    for name in ("recipe.yaml", STATE, "best/probe.json"):
        (out / name).write_text(name)
    Kept(out, place).keep("recipe.yaml", STATE, "best")
    shutil.rmtree(out)
    Kept(out, place).recall(STATE)
    assert (out / STATE).read_text() == STATE
    assert (out / "best" / "probe.json").read_text() == "best/probe.json"


def test_what_workers_have_put_is_newer(tmp_path: Path, place: str) -> None:
    out = tmp_path / "long"
    kept = Kept(out, place)
    out.mkdir()
    (out / STATE).write_text("of a run without the storage")
    kept.recall(STATE)
    assert (tmp_path / "store" / "long" / STATE).exists(), "workers will look for it there"
    (tmp_path / "store" / "long" / STATE).write_text("newer")
    kept.recall(STATE)
    assert (out / STATE).read_text() == "newer"
    kept.forget(STATE)
    kept.fetch(STATE)
    assert not (out / STATE).exists()


def test_two_trainings_share_a_storage(tmp_path: Path, place: str) -> None:
    a, b = Kept(tmp_path / "a", place), Kept(tmp_path / "b", place)
    assert a.uri != b.uri
    assert a.study_id != b.study_id
    assert a.study_id == Kept(tmp_path / "elsewhere" / "a", place).study_id
    assert Kept(tmp_path / "a", None).study_id is None


def test_options_of_the_address_stay_behind_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sslsearch.train.storage.Storage.check", lambda storage: None)
    place = "s3://bucket/deep?endpoint_override=http://127.0.0.1:9&region=us-east-1"
    uri = Kept(Path("runs/long"), place).uri
    assert uri is not None
    assert uri.startswith("s3://bucket/deep/long?")


def test_a_storage_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(ValueError, match="cannot be written"):
        Kept(tmp_path / "out", str(tmp_path / "file"))
