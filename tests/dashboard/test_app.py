"""The app's views on made-up studies, without a browser."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from made_study import SPACE, VERDICT, make
from streamlit.testing.v1 import AppTest

import sslsearch.dashboard.app as app
from sslsearch.space import Space, parse

VIEWS = list(app.VIEWS)
Run = Callable[..., AppTest]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two finished studies, of which the second knows one pretext less, and one that runs."""
    root = tmp_path_factory.mktemp("app") / "runs"
    make(root / "first", parse(SPACE), 12)
    make(root / "second", parse(SPACE.replace("    vicreg: {}\n", "")), 6)
    make(root / "third", parse(SPACE), 2, running=2, finished=False)
    return root


@pytest.fixture
def run(runs: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    def opened(view: str, study: str = "first", root: Path = runs) -> AppTest:
        monkeypatch.setattr(sys, "argv", ["app.py", str(root), "--mlflow", "none"])
        page = AppTest.from_file(app.__file__, default_timeout=60)
        page.query_params["view"], page.query_params["study"] = view, study
        page.run()
        assert not page.exception
        return page

    return opened


def said(page: AppTest) -> str:
    """All words on the page, tables left out."""
    kinds = ("markdown", "caption", "info", "warning", "title")
    return "\n".join(str(element.value) for kind in kinds for element in page.get(kind))


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("study", ["first", "third"])
def test_every_view_opens(run: Run, view: str, study: str) -> None:
    page = run(view, study)
    assert page.selectbox(key="study").value == study
    assert not page.warning


def test_studies(run: Run) -> None:
    page = run("Studies")
    table = page.dataframe[0].value.set_index("study")
    assert set(table.index) == {"first", "second", "third"}
    assert table.loc["first", "verdict"] == VERDICT
    assert table.loc["first", "trials"] == "12 of 4"
    assert table.loc["third", "state"] == "running"
    assert "winner 0.800" in said(page)


def test_leaderboard_filters(run: Run) -> None:
    page = run("Leaderboard")
    table = page.dataframe[0].value
    assert set(table["kind"]) == {"trial", "floor"}
    trials = table[table["kind"] == "trial"]
    assert trials["rungs"].is_monotonic_decreasing
    for _, same_rung in trials.groupby("rungs"):
        assert same_rung["score"].is_monotonic_decreasing
    page.multiselect(key="statuses").set_value(["stopped"]).run()
    assert set(page.dataframe[0].value["status"]) == {"stopped"}
    page.multiselect(key="pretexts").set_value(["simclr"]).run()
    assert set(page.dataframe[0].value["pretext"]) == {"simclr"}
    page.multiselect(key="statuses").set_value([]).run()
    page.multiselect(key="pretexts").set_value([]).run()
    page.get("button_group")[-1].set_value(["floor"]).run()
    assert list(page.dataframe[0].value["id"]) == ["untrained", "majority"]
    assert not page.exception


def test_live(run: Run) -> None:
    page = run("Live", "third")
    assert len(page.dataframe[0].value) == 2
    cells = {metric.label: metric.value for metric in page.metric}
    assert (cells["state"], cells["running now"], cells["trials"]) == ("running", "2", "4 of 4")
    assert "finished" in said(run("Live", "first"))


def test_composition(run: Run) -> None:
    page = run("Composition")
    page.multiselect(key="wanted").set_value(["jitter"]).run()
    assert page.dataframe[0].value["augment"].str.contains("jitter").all()
    page.toggle(key="alone").set_value(True).run()
    assert not page.exception
    if len(page.dataframe[0].value):
        assert set(page.dataframe[0].value["augment"]) == {"jitter"}


def test_compare(run: Run) -> None:
    page = run("Compare")
    assert "Choose two" in said(page)
    page.multiselect(key="compared").set_value(["first", "second"]).run()
    assert not page.exception
    facts, apart = (table.value for table in page.dataframe)
    assert list(facts.columns) == ["first", "second"]
    assert facts.loc["trials", "first"] == "12 of 4"
    assert [path for path in apart.index if path.startswith("pretext")]


def test_no_study_says_what_to_type(run: Run, tmp_path: Path) -> None:
    assert "python -m sslsearch.run" in said(run("Studies", root=tmp_path))


def test_a_study_that_was_just_made(run: Run, space: Space, tmp_path: Path) -> None:
    """No trial, no rung, no leaderboard: every view has something to say."""
    make(tmp_path / "new", space, 0, finished=False)
    for view in VIEWS:
        page = run(view, "new", tmp_path)
        assert said(page)


def test_a_study_that_has_gone(run: Run, space: Space, tmp_path: Path) -> None:
    make(tmp_path / "new", space, 1)
    page = run("Leaderboard", "new", tmp_path)
    (tmp_path / "new" / "events.jsonl").unlink()
    page.run()
    assert not page.exception
    assert "No study here" in said(page)
