"""The README and the code tell the same story: files, doors, commands, and the part it shows."""

import importlib.util
import re
from pathlib import Path

import pytest
import torch

from sslsearch import registry
from sslsearch.doors import DOORS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SEEN = {".py", ".jinja"}  # what the tree lists


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language ("" = none named)."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
    return [text for name, text in fenced if name == language]


def tree() -> dict[str, str]:
    """Path (a room's ends with /) -> its phrase, for all that the README lists of sslsearch/."""
    (block,) = [text for text in blocks("") if text.startswith("sslsearch/\n")]
    found: dict[str, str] = {}
    room = ""
    for line in block.splitlines()[1:]:
        depth = (len(line) - len(line.lstrip())) // 2
        if depth == 0:
            break
        name, _, phrase = line.strip().partition(" ")
        room = "" if depth == 1 else room
        found[room + name] = phrase.strip()
        room = name if name.endswith("/") else room
    return found


def test_the_tree_is_the_package() -> None:
    package = ROOT / "sslsearch"
    files = [p for p in package.rglob("*") if p.suffix in SEEN and p.name != "__init__.py"]
    there = {p.relative_to(package).as_posix() for p in files}
    there |= {f"{p.parent.relative_to(package).as_posix()}/" for p in package.glob("*/__init__.py")}
    listed = tree()
    assert set(listed) == there
    assert all(listed.values()), "a file without its phrase"


def test_every_door_is_shown_and_every_module_exists() -> None:
    named = set(re.findall(r"python -m (sslsearch\.\w+)", README))
    assert named == {f"sslsearch.{door}" for door in DOORS}
    for module in named:
        assert importlib.util.find_spec(module), module


def test_ci_runs_the_readmes_tests() -> None:
    (command,) = [text.strip() for text in blocks("") if text.rstrip().endswith("&& pytest")]
    steps = (ROOT / ".ci" / "run").read_text().splitlines()
    for part in command.split(" && ")[2:]:  # after the environment is made and entered
        assert f"step {part}" in steps


def test_the_result_is_a_real_one() -> None:
    assert "<!-- RESULT -->" not in README
    assert not re.search(r"<!-- bench:begin -->\s*<!-- bench:end -->", README)


def test_the_part_it_shows_works(monkeypatch: pytest.MonkeyPatch) -> None:
    registry.discover()
    monkeypatch.setattr(registry, "_parts", dict(registry._parts))
    (text,) = [block for block in blocks("python") if "@register" in block]
    exec(compile(text, "README.md", "exec"), {"__name__": "sslsearch.augment.shown"})
    part = registry.get("augment", "offset")
    x = torch.randn(4, 2, 9, generator=torch.Generator().manual_seed(0))
    rng = torch.Generator().manual_seed(0)
    assert torch.equal(part.bind({"sigma": 0.0})(x, rng), x)
    moved = part.bind({"sigma": 0.5})(x, rng) - x
    assert torch.allclose(moved, moved[:, :, :1].expand_as(x), atol=1e-5)
    assert moved.abs().max() > 0.01


def test_its_python_names_what_there_is() -> None:
    from sslsearch.train.trained import TrainedEncoder

    (text,) = [block for block in blocks("python") if "sslsearch.load" in block]
    for method in re.findall(r"trained\.(\w+)\(", text):
        assert callable(getattr(TrainedEncoder, method)), method
