"""docs/tutorial.md, run from its first line to its last as a reader would, with smaller budgets."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import sslsearch

PAGE = Path(__file__).parents[1] / "docs" / "tutorial.md"
SMALLER = {  # what the test does not wait for
    "--minutes 3": "--minutes 1 --trials 3 --set confirm.seeds=1 --set confirm.top=1",
    "--samples 100000": "--samples 4000",
    "first: 4_000, last: 16_000": "first: 500, last: 1_000",
    "budget: {trials: 30, minutes: 4}": "budget: {trials: 3}\nconfirm: {top: 1, seeds: 1}",
}


def steps() -> list[tuple[str, str]]:
    """(language, text) of every block that a reader runs or writes."""
    fenced = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)
    return [(language, text) for language, text in fenced]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_tutorial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = "\n".join(text for _, text in steps())
    assert all(said in found for said in SMALLER), "the page has changed: smaller what?"
    monkeypatch.chdir(tmp_path)
    place = {**os.environ, "PYTHONPATH": str(PAGE.parents[1])}
    for language, text in steps():
        for said, smaller in SMALLER.items():
            text = text.replace(said, smaller)
        if language == "yaml":
            named = re.match(r"# (\S+\.yaml)\n", text)
            assert named, "the block says which file it is"
            Path(named[1]).write_text(text)
            continue
        text = text.replace("python -m", f"{sys.executable} -m")
        command = ["bash", "-ec", text] if language == "bash" else [sys.executable, "-c", text]
        done = subprocess.run(command, env=place, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
    assert pq.read_metadata("scans.parquet").num_rows == 1797 - 600
    assert sslsearch.load(tmp_path / "runs/long/best").recipe["data"]["pool"]
    for study in ("scans", "scans2"):
        assert (tmp_path / "runs" / study / "report.html").is_file()
