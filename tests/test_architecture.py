"""The house holds: imports run downhill, rooms on one floor do not import each other."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "sslsearch"
BELOW = {"values", "registry", "distributed", "plots", "graph"}
PARTS = {"modalities", "data", "augment", "masking", "encoders"}
HEADS = {"pretext", "probe"}
FLOORS = [BELOW, PARTS, HEADS, {"train"}, {"track", "report", "space", "formats"}, {"search"}]
MAY = {  # the exceptions, each with its reason
    ("modalities", "data"): "a modality writes the table layout that data reads",
}
FILES = sorted(PACKAGE.rglob("*.py"))


def room(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[-1] if parts[-1] == "__main__" else parts[0]  # a door, wherever it lies


def imported(path: Path) -> set[str]:
    """Names right below `sslsearch` that the file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sslsearch"):
            steps = (node.module or "").split(".")
            found |= {steps[1]} if len(steps) > 1 else {name.name for name in node.names}
        if isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
            found |= {n[1] for n in names if n[0] == "sslsearch" and len(n) > 1}
    return found


def floor(name: str) -> int:
    return next((i for i, rooms in enumerate(FLOORS) if name in rooms), len(FLOORS))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_run_downhill(path: Path) -> None:
    here = room(path)
    for there in imported(path) - {here}:
        lower = floor(there) < floor(here) or floor(here) == len(FLOORS)
        assert lower or (here, there) in MAY, f"{here} imports {there}"


@pytest.mark.parametrize(
    ("rooms", "banned"),
    [
        ({"space"}, {"torch", "ray"}),
        ({"train", "pretext", "probe", "encoders", "augment", "masking"}, {"ray", "mlflow"}),
        ({"track", "report"}, {"ray", "optuna"}),
    ],
)
def test_only_some_rooms_know(rooms: set[str], banned: set[str]) -> None:
    for path in FILES:
        if room(path) in rooms:
            for node in ast.walk(ast.parse(path.read_text())):
                names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                assert not {n.split(".")[0] for n in names} & banned, path


def test_nothing_unpickles_from_disk() -> None:
    for path in FILES:
        text = path.read_text()
        for call in ("pickle.load", "torch.load(", "yaml.load(", "allow_pickle=True"):
            assert call not in text, f"{path.name} calls {call}"


def test_no_file_is_nameless_or_endless() -> None:
    for path in FILES:
        assert path.stem not in {"utils", "helpers", "misc", "common"}, path
        text = path.read_text()
        assert len(text.splitlines()) <= 300, f"{path}: is there a second idea inside?"
        assert ast.get_docstring(ast.parse(text)), f"{path} does not say what it holds"
