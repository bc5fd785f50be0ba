"""The page in a real browser: nothing is fetched, tables sort, no width overflows."""

import shutil

import pytest
from made_studies import lessons, random_trials, write

from sslsearch.report.page import build

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium")
HEAD = (
    "rank,kind,id,status,score,score_low,score_high,test_score,pretext,augment,encoder,"
    "batch_size,samples_seen,seconds,recipe_hash"
)


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1500, "dark")])
def test_it_fetches_nothing_sorts_and_fits(tmp_path, width, scheme):
    known = lessons(random_trials(30))
    lines = [
        f"{i},trial,{one.id},ok,{one.scores[-1]},,,,{one.family},jitter,conv1d,16,900,1.0,x"
        for i, one in enumerate(known.trials)
    ]
    (tmp_path / "leaderboard.csv").write_text("\n".join([HEAD, *lines]))
    write(tmp_path, known)
    page_file, wrong = build(tmp_path), []
    with sync_api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda request: wrong.append(request.url))
        page.goto(page_file.as_uri())
        assert wrong == [page_file.as_uri()]
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        table = "#board ~ details table"
        page.evaluate(f"document.querySelectorAll(`{table} th`)[4].click()")  # the score
        column = page.locator(f"{table} tbody td:nth-child(5)").all_text_contents()
        assert column == sorted(column, key=float, reverse=True)
        browser.close()
