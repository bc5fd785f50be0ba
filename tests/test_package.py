"""What is built and installed holds all that is needed, wherever it is run from."""

import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from sslsearch.space import SpaceError, load
from sslsearch.space.shipped import FOLDER, RECIPES, names

ROOT = Path(__file__).parents[1]


def test_every_room_is_packaged() -> None:
    rooms = {
        ".".join(path.parent.relative_to(ROOT).parts) for path in ROOT.glob("sslsearch/**/*.py")
    }
    told = set(
        tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    )
    assert told == rooms | {"sslsearch.search_spaces", "sslsearch.search_spaces.recipes"}


@pytest.mark.parametrize(
    "word", ["timeseries", "timeseries.yaml", "search_spaces/timeseries.yaml", "simclr_image"]
)
def test_a_shipped_space_is_found_by_its_name(
    word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load(word).name == Path(word).stem


def test_a_file_of_ones_own_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    own = (FOLDER / "timeseries.yaml").read_text().replace("name: timeseries", "name: mine")
    Path("timeseries.yaml").write_text(own)
    assert load("timeseries.yaml").name == "mine"


def test_a_file_that_is_not_there_names_those_that_are() -> None:
    for missing in ("elsewhere/timeseries.yaml", "timeserie.yaml"):
        with pytest.raises(SpaceError, match=f"no such file; shipped: {', '.join(names())}"):
            load(missing)


@pytest.mark.slow
def test_a_wheel_runs_from_anywhere(tmp_path: Path) -> None:
    """Unpacked beside nothing: its spaces, recipes and template are those of the checkout."""
    pip = [sys.executable, "-m", "pip", "wheel", str(ROOT), "--no-deps", "--quiet"]
    subprocess.run([*pip, "--wheel-dir", str(tmp_path)], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    shipped = tmp_path / "site" / "sslsearch" / "search_spaces"
    assert {p.name for p in shipped.glob("*.yaml")} == {p.name for p in FOLDER.glob("*.yaml")}
    assert {p.name for p in shipped.glob("recipes/*")} == {p.name for p in RECIPES.glob("*.yaml")}
    assert (tmp_path / "site/sslsearch/report/page.html.jinja").is_file()
    command = [sys.executable, "-m", "sslsearch.explain", "timeseries"]
    place = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    done = subprocess.run(command, env=place, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "open questions" in done.stdout
