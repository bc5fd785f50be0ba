"""Two workers that share nothing but a storage hand a trial on; what is lost of it is made anew."""

from pathlib import Path
from typing import Any

import pytest
import ray
import ray.train.torch
import torch

from sslsearch.data.prepare import Prepared
from sslsearch.search import mailbag, program, shelf
from sslsearch.search.confirm import without_labels
from sslsearch.search.program import TrialProgram
from sslsearch.space import Space
from sslsearch.train import remains
from sslsearch.train.storage import storage_of
from sslsearch.values import Recipe

RUNGS = [32, 96]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "storage"


@pytest.fixture
def worker(prepared: Prepared, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes workers: no Ray, the tables are handed over as they are."""
    tables = {"train": prepared.train, "test": without_labels(prepared.test)}
    monkeypatch.setattr(ray, "get", tables.get)
    monkeypatch.setattr(ray.train.torch, "get_device", lambda: torch.device("cpu"))
    monkeypatch.setattr(shelf.tempfile, "gettempdir", lambda: str(tmp_path))
    setup = {"train": "train", "test": "test", "folder": "/nowhere", "threads": 1}
    return lambda: TrialProgram({**setup, "storage": str(place)}, 0, 1)


def command(recipe: Recipe, rung: int, trial: str = "t0000") -> dict[str, Any]:
    return mailbag.commands(trial, recipe, 0, RUNGS, 60, keep=True)[rung]


def wait_for(made: TrialProgram) -> None:
    """Until what it puts in the background is there."""
    made.shelf._background.shutdown(wait=True)


def test_another_worker_goes_on(space: Space, worker: Any, place: Path) -> None:
    recipe = space.default()
    first, second, alone = worker(), worker(), worker()
    assert len({str(one.shelf.folder) for one in (first, second, alone)}) == 3
    begun = mailbag.unpack(first.obey(command(recipe, 0)))
    wait_for(first)
    ended = mailbag.unpack(second.obey(command(recipe, 1)))
    assert second.trial is not None
    assert second.trial.reports[0] == begun  # got, not trained again
    alone.obey(command(recipe, 0))
    assert ended.score == mailbag.unpack(alone.obey(command(recipe, 1))).score
    kept = {f"trials/t0000/{name}" for name in (remains.ENCODER, remains.FEATURES)}
    assert kept <= set(storage_of(place).names())
    second.free()
    assert not (second.shelf.folder / "trials" / "t0000").exists()
    assert kept <= set(storage_of(place).names())


def test_a_damaged_checkpoint_there_costs_a_new_start(
    space: Space, worker: Any, place: Path
) -> None:
    recipe, first, second = space.default(), worker(), worker()
    first.obey(command(recipe, 0))
    wait_for(first)
    saved = place / mailbag.checkpoint_name("t0000")
    saved.write_bytes(saved.read_bytes()[:1000])
    report = mailbag.unpack(second.obey(command(recipe, 1)))
    assert report.status == "ok"
    assert (
        "started over; its checkpoint is set aside as trials/t0000/rung.damaged" in report.message
    )
    assert saved.with_suffix(".damaged").exists()


def test_a_checkpoint_that_cannot_be_got_costs_a_new_start(
    space: Space, worker: Any, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "RESUME_SECONDS", 0.1)
    second = worker()

    def silent(name: str, local: Path) -> None:
        raise OSError("no answer")

    monkeypatch.setattr(second.shelf.storage, "get", silent)
    report = mailbag.unpack(second.obey(command(space.default(), 1)))
    assert report.status == "ok"
    assert "started over; the storage has not answered: no answer" in report.message


def test_folders_of_killed_workers_are_removed(worker: Any, tmp_path: Path) -> None:
    killed = tmp_path / f"{shelf.OURS}999999999-x"
    killed.mkdir()
    living = worker()
    worker()
    assert not killed.exists()
    assert living.shelf.folder.exists()


def test_a_worker_that_cannot_write_there_does_not_start(
    worker: Any, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shelf, "START_SECONDS", 0.1)
    place.touch()
    with pytest.raises(ValueError, match="cannot be written"):
        worker()
