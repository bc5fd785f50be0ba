"""The app's door: what it refuses, and what it tells Streamlit."""

from pathlib import Path

import pytest

from sslsearch import doors
from sslsearch.dashboard import __main__ as door


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that would have been run."""
    commands: list[list[str]] = []

    def execv(program: str, command: list[str]) -> None:
        commands.append(command)
        raise SystemExit(0)  # Streamlit has the process now

    monkeypatch.setattr(door.os, "execv", execv)
    return commands


def test_loopback_quiet_and_closed(told: list[list[str]], tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        doors.enter("dashboard", [str(tmp_path), "--port", "9000", "--mlflow", "none"])
    (command,) = told
    given = dict(zip(command[5:-4:2], command[6:-4:2], strict=True))
    assert given["--server.address"] == "127.0.0.1"
    assert given["--server.port"] == "9000"
    assert given["--browser.gatherUsageStats"] == "false"
    assert given["--client.showErrorDetails"] == "none"
    assert command[-4:] == ["--", str(tmp_path), "--mlflow", "none"]
    assert Path(command[4]).is_file()


def test_a_folder_that_is_not_there(
    told: list[list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert doors.enter("dashboard", [str(tmp_path / "none")]) == 2
    assert "there is no such folder" in capsys.readouterr().err
    assert not told


def test_without_streamlit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(door.importlib.util, "find_spec", lambda _: None)
    assert doors.enter("dashboard", [str(tmp_path)]) == 2
    assert "pip install 'sslsearch[dashboard]'" in capsys.readouterr().err


def test_the_app_takes_nothing_in() -> None:
    """No upload, no chat, no code of the user's."""
    for path in Path(door.__file__).parent.glob("*.py"):
        text = path.read_text()
        for word in ("file_uploader", "chat_input", "camera_input", "audio_input", "data_editor"):
            assert word not in text, f"{path.name} has {word}"


def test_the_thin_script_is_there() -> None:
    thin = Path(__file__).parents[2] / "dashboards" / "app.py"
    assert "from sslsearch.dashboard.app import main" in thin.read_text()
