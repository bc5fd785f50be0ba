"""The spaces and recipes that come with sslsearch, in a checkout and once it is installed."""

from __future__ import annotations

from pathlib import Path

BESIDE, WITHIN = (Path(__file__).parents[level] / "search_spaces" for level in (2, 1))
FOLDER = BESIDE if BESIDE.is_dir() else WITHIN
RECIPES = FOLDER / "recipes"


def found(path: Path) -> Path:
    """The file of that name; where there is none, the shipped one: search_spaces/timeseries.yaml,
    timeseries.yaml and timeseries mean the same then."""
    if path.exists():
        return path
    for folder in (FOLDER, RECIPES):
        shipped = folder / f"{path.name.removesuffix('.yaml')}.yaml"
        if path.parent.name in ("", folder.name) and shipped.is_file():
            return shipped
    return path


def names() -> list[str]:
    """Of the shipped spaces."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))
