"""What worker 0 of a long training does between steps: saves, tells, leaves when asked."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import torch

from sslsearch.data.mapped import Mapped
from sslsearch.data.prepare import Prepared
from sslsearch.data.samples import Samples
from sslsearch.search import pretraining
from sslsearch.search.pretraining import Keeper, Leaving, rungs_of, seen_from_here
from sslsearch.search.shelf import Shelf
from sslsearch.search.wire import News, Wire
from sslsearch.space import Space
from sslsearch.train import checkpoint
from sslsearch.train.loop import Trial

STATE = "state.safetensors"
MARKS = [64, 160, 288]


class Line:
    """A wire that is called as its actor would be."""

    def __init__(self) -> None:
        self._wire = Wire()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._wire, name)
        return type("Method", (), {"remote": staticmethod(method)})

    @property
    def news(self) -> News:
        return self._wire.look()


@pytest.fixture
def trial(space: Space, prepared: Prepared) -> Trial:
    samples = Samples.from_table(prepared.train)
    return Trial(space.default(), samples, 0, torch.device("cpu"), MARKS)


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> Line:
    monkeypatch.setattr(pretraining.ray, "get", lambda answer: answer)
    monkeypatch.setattr(pretraining, "TELL_SECONDS", 0.0)
    return Line()


def test_the_state_is_saved_when_it_has_not_been_for_a_while(
    trial: Trial, line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    keeper = Keeper(trial, Shelf(tmp_path, None), STATE, line, save_seconds=1.5)
    steps: list[int] = []

    def between() -> None:
        clock[0] += 1
        keeper.between()
        if (tmp_path / STATE).exists():
            steps.append(checkpoint.peek(tmp_path / STATE)["step"])

    keeper.at_rung(trial.advance(between))
    assert sorted(set(steps)) == list(range(2, trial.step + 1, 2))
    assert line.news.saved == line.news.samples_seen == trial.samples_seen
    assert [values["rung"] for values in line.news.reports] == [0]


def test_asked_to_leave_it_saves_and_goes(trial: Trial, line: Line, tmp_path: Path) -> None:
    keeper = Keeper(trial, Shelf(tmp_path, None), STATE, line, save_seconds=1e9)
    line.ask_to_leave.remote()
    with pytest.raises(Leaving):
        trial.advance(keeper.between)
    assert trial.step == 1
    assert line.news.left
    assert checkpoint.peek(tmp_path / STATE)["step"] == 1
    again = Keeper(trial, Shelf(tmp_path, None), STATE, line, save_seconds=1e9)
    assert not line.news.left
    trial.advance(again.between)  # the wish was for the group before
    assert line.news.group == 2


def test_what_is_not_finite_is_not_saved(trial: Trial, line: Line, tmp_path: Path) -> None:
    keeper = Keeper(trial, Shelf(tmp_path, None), STATE, line, save_seconds=0)
    keeper.save()
    before = (tmp_path / STATE).read_bytes()
    trial.curve.add(torch.tensor(float("inf")))
    keeper.save()
    assert (tmp_path / STATE).read_bytes() == before


def test_a_storage_that_is_away_holds_nobody_up(
    trial: Trial, line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = Shelf(tmp_path / "here", str(tmp_path / "there"))
    keeper = Keeper(trial, shelf, STATE, line, save_seconds=0)
    keeper.save()
    assert (tmp_path / "there" / STATE).exists()

    def away(self: Any, local: Path, name: str) -> None:
        raise OSError("nobody answers")

    monkeypatch.setattr("sslsearch.train.storage.Storage.put", away)
    trial.advance()
    keeper.save()
    assert "nobody answers" in line.news.trouble
    assert line.news.saved == 0


def test_looks_may_be_others_when_it_goes_on(trial: Trial) -> None:
    assert rungs_of(trial, MARKS) == MARKS
    trial.advance()
    seen = trial.samples_seen
    assert rungs_of(trial, MARKS) == [seen, 160, 288]
    assert rungs_of(trial, [32, 64, 224, 288]) == [seen, 224, 288]

    def between() -> None:
        if trial.samples_seen >= 112:
            raise Leaving

    with pytest.raises(Leaving):
        trial.advance(between)
    here = trial.samples_seen
    assert rungs_of(trial, [64, 80, 160, 288]) == [seen, 160, 288], "80 lies behind"
    assert rungs_of(trial, [here, 288]) == [seen, here, 288], "not judged yet"


def test_files_that_a_node_does_not_see(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretraining.ray.util, "get_node_ip_address", lambda: "10.0.0.7")
    with pytest.raises(ValueError, match=r"10\.0\.0\.7 does not see: give an --out on storage"):
        seen_from_here(Mapped(tmp_path / "samples"))
