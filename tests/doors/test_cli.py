"""The console script: it finds every door, and every door ends as it should."""

from __future__ import annotations

import importlib.util
import types

import pytest

import sslsearch
from sslsearch import cli, doors


def test_every_door_has_its_line_and_its_module(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for name, (module, purpose) in doors.DOORS.items():
        assert f"  {name:<10}{purpose}" in lines
        assert importlib.util.find_spec(module), module
    assert max(map(len, lines)) <= 100


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"sslsearch {sslsearch.__version__}\n"


def test_an_unknown_door(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["exprot", "x"]) == 2
    assert "did you mean 'export'" in capsys.readouterr().err
    assert cli.main([]) == 2


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch) -> types.SimpleNamespace:
    """A door `export` whose main the test sets."""
    made = types.SimpleNamespace()
    monkeypatch.setattr(doors.importlib, "import_module", lambda name: made)
    return made


def test_words_and_code_pass_through(door: types.SimpleNamespace) -> None:
    door.main = lambda argv: len(argv)
    assert cli.main(["export", "a", "b", "--help"]) == 3


def test_interrupted_is_130(
    door: types.SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(argv: list[str]) -> int:
        raise KeyboardInterrupt

    door.main = interrupted
    assert cli.main(["export"]) == 130
    assert "interrupted" in capsys.readouterr().err


def test_a_librarys_value_error_is_our_fault(door: types.SimpleNamespace) -> None:
    """Only what sslsearch itself raises is a word to the user."""
    door.main = lambda argv: int("no number")
    with pytest.raises(ValueError, match="no number"):
        cli.main(["export"])
