"""The console script: it finds every door, and every door ends as it should."""

from __future__ import annotations

import importlib.util
import subprocess
import types
from pathlib import Path

import pytest

import sslsearch
from sslsearch import cli, completion, doors


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


def test_every_door_can_be_completed() -> None:
    for module, _ in doors.DOORS.values():
        assert importlib.import_module(module).arguments().prog


def test_bash_completes_doors_options_and_words(tmp_path: Path) -> None:
    """The script is sourced by a real bash, which is asked as a terminal would ask it."""
    assert cli.main(["--completion", "tcsh"]) == 2
    script = tmp_path / "sslsearch.bash"
    script.write_text(completion.script("bash"))

    def completed(*words: str) -> set[str]:
        line = " ".join(words)
        ask = (
            f"source {script}; COMP_WORDS=({line} ''); COMP_CWORD={len(words) - 1}; "
            "_shtab_sslsearch; echo ${COMPREPLY[@]}"
        )
        done = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, check=True)
        return set(done.stdout.split())

    assert completed("sslsearch", "exp") == {"explain", "export"}
    assert {"--trials", "--minutes"} <= completed("sslsearch", "run", "--")
    assert completed("sslsearch", "catalog", "pre") == {"pretext"}
    assert "fish" in completion.script("fish")
