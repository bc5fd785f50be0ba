"""The record looked at from outside, while it is open and written to."""

import hashlib
from pathlib import Path

import pytest

from sslsearch.search.peek import peek, studies
from sslsearch.search.record import Record
from sslsearch.space import Space
from sslsearch.values import Report


def test_a_look_sees_all_and_leaves_nothing(space: Space, tmp_path: Path) -> None:
    record = Record(tmp_path, space)
    first, second = record.ask(), record.ask()
    record.report(first.name, Report(0, 32, "ok", 0.5, low=0.4, high=0.6))
    record.finish(first.name, "stopped")
    record.report(second.name, Report(0, 32, "ok", 0.7, low=0.6, high=0.8))
    there = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in tmp_path.iterdir()}
    assert peek(tmp_path) == record.rows()
    with studies(tmp_path) as kept:
        assert record.name in {study.study_name for study in kept}
    assert there == {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in tmp_path.iterdir()}
    record.report(second.name, Report(1, 96, "ok", 0.8, low=0.7, high=0.9))  # nothing is locked
    assert peek(tmp_path)[1].score == 0.8


def test_no_study(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"study\.db: there is no such file"):
        peek(tmp_path)
