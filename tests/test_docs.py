"""Every page tells what there is: its links lead somewhere, its spaces and overrides parse."""

import re
import shlex
from pathlib import Path

import pytest

from sslsearch.search.board import COLUMNS
from sslsearch.space import load, parse

ROOT = Path(__file__).parents[1]
TOP = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
DOCS = sorted((ROOT / "docs").glob("*.md"))
SPACE = "search_spaces/timeseries.yaml"


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def name_of(page: Path) -> str:
    return page.stem


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a language ("" = none named)."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", text_of(page), flags=re.MULTILINE | re.DOTALL)
    return [block for name, block in fenced if name == language]


def sections(page: Path) -> set[str]:
    """The anchors of a page's headings, as hosts of Markdown make them."""
    heads = re.findall(r"^#+ (.*)$", text_of(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head).lower().replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", [*TOP, *DOCS], ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", text_of(page)):
        if not link.startswith(("http", "#")):
            file, _, section = link.partition("#")
            there = page.parent / file
            assert there.exists(), link
            if section:
                heads = re.findall(r"^#+ (.*)$", text_of(there), flags=re.MULTILINE)
                assert section in {
                    re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in heads
                }


def test_the_readme_leads_to_every_page() -> None:
    linked = set(re.findall(r"\]\(docs/(\w+\.md)\)", text_of(ROOT / "README.md")))
    assert {page.name for page in DOCS} <= linked


@pytest.mark.parametrize("page", [TOP[0], *DOCS], ids=name_of)
def test_whole_spaces_parse(page: Path) -> None:
    for block in blocks(page, "yaml"):
        if block.startswith("name:"):
            parse(block)


@pytest.mark.parametrize("page", [TOP[0], *DOCS], ids=name_of)
def test_overrides_parse(page: Path) -> None:
    """Those of a command together, those in prose each by itself; of the space that the line
    names, else of the first one that the page names, else of the series'."""
    text = text_of(page).replace("\\\n", " ")
    first = SPACE if page in TOP else (re.findall(r"search_spaces/\w+\.yaml", text) or [SPACE])[0]
    for line in text.splitlines():
        named = re.search(r"search_spaces/(recipes/)?\w+\.yaml", line)
        written = re.findall(r"--set ((?:[^\s`'\"]|'[^']*'|\"[^\"]*\")+)", line)
        said = [word for found in written for word in shlex.split(found) if "PATH=" not in word]
        for sets in [said] if line.startswith("python") else [[one] for one in said]:
            load(ROOT / (named[0] if named else first), sets)


def test_the_leaderboard_is_explained() -> None:
    page = text_of(ROOT / "docs" / "studies.md")
    start = page.index("`leaderboard.csv`, finalists first")
    rows = re.findall(r"^\| (`.+?) \|", page[start : page.index("\n## ", start)], re.MULTILINE)
    assert [name for row in rows for name in re.findall(r"`(\w+)`", row)] == COLUMNS
