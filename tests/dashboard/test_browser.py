"""The app in a real browser: every view with its figures, nothing written, live without reload."""

import hashlib
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from made_study import make
from real_runs import begin, door, kill_tree, until
from test_prometheus import free_port

from sslsearch.dashboard.app import VIEWS
from sslsearch.space import Space

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]
DONE = '[data-testid="stApp"][data-test-script-state="notRunning"]'
FIGURES = {"Live": 1, "Leaderboard": 1, "Importance": 1, "Composition": 2, "Compare": 1}
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]


@contextmanager
def served(runs: Path) -> Iterator[str]:
    """The door on a free loopback port; its address."""
    port = free_port()
    command = [sys.executable, "-m", "sslsearch.dashboard", str(runs), "--port", str(port)]
    process = subprocess.Popen(
        [*command, "--mlflow", "none"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    address = f"http://127.0.0.1:{port}"
    try:
        until(lambda: answers(address), 60)
        yield address
    finally:
        kill_tree(process)


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/_stcore/health", timeout=1) as page:
            return bool(page.status == 200)
    except OSError:
        return False


@contextmanager
def page_of(address: str, **words: str) -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1400, "height": 1200})
        page.goto(f"{address}/?" + "&".join(f"{k}={v}" for k, v in words.items()))
        page.wait_for_selector(DONE, timeout=60_000)
        yield page
        browser.close()


def files(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def settled(page: Any) -> None:
    page.wait_for_timeout(400)
    page.wait_for_selector(DONE, timeout=60_000)
    assert page.locator('[data-testid="stException"]').count() == 0


def test_every_view_and_nothing_is_written(space: Space, tmp_path: Path) -> None:
    make(tmp_path / "runs" / "first", space, 30)
    make(tmp_path / "runs" / "second", space, 6)
    before = files(tmp_path / "runs")
    with served(tmp_path / "runs") as address, page_of(address, study="first") as page:
        for view in VIEWS:
            page.get_by_role("radio", name=view, exact=True).click()
            settled(page)
            if view == "Compare":
                page.get_by_label("Studies", exact=True).last.click()
                page.get_by_role("option", name="second", exact=True).click()
                page.keyboard.press("Escape")
                settled(page)
            charts = page.locator('[data-testid="stVegaLiteChart"]')
            if view in FIGURES:
                charts.first.locator("svg, canvas").first.wait_for(timeout=20_000)
            assert charts.count() >= FIGURES.get(view, 0), view
            tables = page.locator('[data-testid="stDataFrame"]').count()
            assert tables or view in ("Live", "Importance"), view  # the study is finished
    assert files(tmp_path / "runs") == before


def test_looking_again_does_not_flicker(space: Space, tmp_path: Path) -> None:
    """The chart stays the same element, and drawn, when the live view looks again."""
    make(tmp_path / "runs" / "first", space, 4, running=2, finished=False)
    with served(tmp_path / "runs") as address, page_of(address, view="Live") as page:
        chart = page.locator('[data-testid="stVegaLiteChart"]')
        drawn = chart.locator("svg, canvas").first
        drawn.wait_for(timeout=20_000)
        drawn.evaluate("element => { element.dataset.kept = 'yes' }")
        for _ in range(50):  # 5 s: one look at least
            assert drawn.is_visible()
            page.wait_for_timeout(100)
        assert drawn.evaluate("element => element.dataset.kept") == "yes"


def test_a_real_search_is_followed_without_reload(space_file: Path, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    search = begin(door(space_file, tmp_path / "runs" / "mine"))
    try:
        until((tmp_path / "runs" / "mine" / "events.jsonl").exists, 90)
        with served(tmp_path / "runs") as address, page_of(address, view="Live") as page:
            page.evaluate("window.notReloaded = true")
            seen = []
            deadline = time.monotonic() + 90
            while time.monotonic() < deadline and "4 of 4" not in seen:
                values = page.locator('[data-testid="stMetricValue"]').all_inner_texts()
                if len(values) == 5:
                    state, trials = values[0].strip(), values[1].strip()
                    seen += [word for word in (trials, state) if word not in seen]
                page.wait_for_timeout(300)
            assert page.evaluate("window.notReloaded") is True
            assert page.locator('[data-testid="stException"]').count() == 0
        counts = [int(found[1]) for word in seen if (found := re.match(r"(\d+) of 4", word))]
        assert counts == sorted(counts)
        assert len(counts) >= 2
        assert counts[-1] == 4
        assert "running" in seen
    finally:
        kill_tree(search)
