"""answers.json: what trials were asked, from the record alone, at the end or on demand."""

import errno
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sslsearch.report.__main__ import main
from sslsearch.report.answers import among, read
from sslsearch.search import lessons, outcome
from sslsearch.search.record import Record
from sslsearch.space import Space
from sslsearch.values import Report


@pytest.fixture
def record(space: Space, tmp_path: Path) -> Record:
    """A study under way: three trials over, one running, one that fails."""
    record = Record(tmp_path, space)
    (tmp_path / "space.yaml").write_text(space.text)
    for number, score in enumerate([0.5, 0.6, 0.4, float("nan")]):
        row = record.ask()
        for rung in range(3 if number == 1 else 1):
            status = "ok" if score == score else "nan"
            record.report(row.name, Report(rung, 32 * 3**rung, status, score + 0.1 * rung))
        record.finish(row.name, "nan" if score != score else "ok" if number == 1 else "stopped")
    record.ask()
    return record


def test_what_was_asked_and_answered(record: Record, space: Space) -> None:
    found = lessons.gathered(space, record.rows())
    assert [one["id"] for one in found["trials"]] == ["t0000", "t0001", "t0002", "t0003"]
    assert found["trials"][1]["scores"] == pytest.approx([0.6, 0.7, 0.8])
    for one, row in zip(found["trials"], record.rows(), strict=False):
        assert one["answers"]["pretext.kind"] == row.recipe.family
        on = one["answers"]["augment.jitter.on"]
        assert ("jitter" in row.recipe["augment"]) is on
        assert ("augment.jitter.sigma" in one["answers"]) is on
    assert {one["name"] for one in found["importance"]} == {q.name for q in space.questions()}
    assert found["default"] in found["recipes"]
    json.dumps(lessons.plain(found), allow_nan=False)


def test_the_door_tells_of_a_study_that_has_not_ended(
    record: Record, space: Space, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path)]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "report.html")
    known, insight = read(tmp_path)
    assert len(known.trials) == 4
    assert insight == {}
    assert known.levelled["t0000"] == pytest.approx(0.5 + 0.2)  # what t0001 gained from there
    assert "t0003" not in known.levelled
    record.finish("t0004", "error")
    assert main([str(tmp_path)]) == 0
    assert len(read(tmp_path)[0].trials) == 5  # told anew
    (tmp_path / "result.json").write_text("{}")
    before = (tmp_path / "answers.json").stat().st_mtime_ns
    assert main([str(tmp_path)]) == 0  # what has ended is not reckoned again
    assert (tmp_path / "answers.json").stat().st_mtime_ns == before


def test_a_space_that_is_no_longer_understood_is_no_fault(record: Record, tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text("name: old\npretext: {gone: {}}\n")
    assert main([str(tmp_path)]) == 0
    assert not (tmp_path / "answers.json").exists()


def test_conditions_in_words() -> None:
    assert among([]) == ""
    assert among([("pretext.kind", "mae"), ("pretext.mae.masking.kind", "span")]) == "of mae, span"
    assert among([("augment.jitter.on", True)]) == "with jitter"


def test_a_fault_in_what_the_report_adds_costs_no_answer(
    record: Record, space: Space, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told; but a disk without room is a fault of the study."""
    told: list[str] = []
    console = SimpleNamespace(note=told.append)
    study: Any = SimpleNamespace(
        folder=tmp_path, space=space, record=record, train=None, console=console
    )
    answer: Any = SimpleNamespace(confirmed=[], verdict=SimpleNamespace(chosen=None))
    fault: Exception = RuntimeError("no gradient for this encoder")

    def fail(*args: object) -> None:
        raise fault

    monkeypatch.setattr(outcome.insight, "write", fail)
    outcome.learn(study, answer)
    assert (tmp_path / "answers.json").exists()
    assert told == ["the report will say less: RuntimeError: no gradient for this encoder"]
    fault = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(OSError, match="No space"):
        outcome.learn(study, answer)
