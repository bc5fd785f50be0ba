"""The report: from what is on disk, complete or not, as one page that needs nothing else."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from made_studies import AXES, lessons, random_trials, told, write

from sslsearch import plots
from sslsearch.plots import Bar
from sslsearch.report.__main__ import main
from sslsearch.report.answers import Axis
from sslsearch.report.page import answer, build
from sslsearch.report.study import learning_curves, read

HEAD = (
    "rank,kind,id,status,score,score_low,score_high,test_score,pretext,augment,encoder,"
    "batch_size,samples_seen,seconds,recipe_hash"
)
BOARD = f"""{HEAD}
1,finalist,f-1-s1,ok,0.70,0.68,0.72,0.81,simclr,jitter,conv1d,32,300,9.0,abc
2,trial,t0000,ok,0.71,0.69,0.73,,simclr,crop_resize+jitter,conv1d,32,300,9.0,abc
3,trial,t0001,stopped,0.50,0.48,0.52,,mae,,conv1d,16,100,3.0,def
4,trial,t0002,stopped,0.52,0.5,0.54,,mae,jitter,transformer,16,100,3.5,fed
5,trial,t0003,nan,,,,,byol,crop_resize,conv1d,16,100,1.0,fee
6,floor,untrained,ok,0.55,,,0.70,,,,,0,1.0,
"""
SCORES = {
    "t0000": [(100, 0.6), (300, 0.71)],
    "t0001": [(100, 0.5)],
    "t0002": [(100, 0.52)],
    "t0003": [(100, None)],
}
RESULT = {
    "verdict": "The winner beats the <default> beyond noise.",
    "metric": "probe/accuracy",
    "judge_by": "loo_r2",
    "winner": {"name": "t0000", "test_mean": 0.81, "test_low": 0.79, "test_high": 0.83},
    "default": {"name": "simclr", "test": 0.78},
    "floors": {"untrained": {"score": 0.55, "test": 0.7}, "raw": {"score": float("nan")}},
    "optimism": 0.02,
    "ties": ["finalist 2"],
    "cost": {
        "device": "CPU",
        "device_hours": 0.01,
        "by_stage": {"train": 0.008, "wait": 0.002},
        "by_status": {"ok": 0.01},
        "by_kind": {"trial": 0.01},
        "overhead_fraction": 0.2,
    },
    "early_stopping": {
        "trials": 2,
        "share": 0.5,
        "agreement": [{"samples": 100, "rho": 0.62, "low": 0.1, "high": 0.9, "trials": 12}],
    },
    "notes": ["14 test samples also lie in the pool"],
}


@pytest.fixture
def study(tmp_path):
    (tmp_path / "leaderboard.csv").write_text(BOARD)
    with (tmp_path / "events.jsonl").open("w") as file:
        for trial, points in SCORES.items():
            for samples, score in points:
                metrics = [["score", score, samples], ["loss", 1 / samples, samples]]
                event = {"kind": "report", "time": 1, "trial": trial, "metrics": metrics}
                event["message"] = "loss is nan" if score is None else ""
                file.write(json.dumps(event) + "\n")
        file.write('{"kind": "report", "tri')
    (tmp_path / "result.json").write_text(json.dumps(RESULT))
    (tmp_path / "best").mkdir()
    (tmp_path / "best" / "recipe.yaml").write_text("pretext:\n  simclr: {temperature: 0.1}\n")
    (tmp_path / "space.yaml").write_text("name: leaf\n")
    return tmp_path


class Tags(HTMLParser):
    """Counts elements and checks that those that must be closed are."""

    VOID = frozenset({"meta", "br", "path", "use", "rect", "img"})

    def __init__(self):
        super().__init__()
        self.open, self.seen = [], {}

    def handle_starttag(self, tag, attrs):
        self.seen[tag] = self.seen.get(tag, 0) + 1
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen[tag] = self.seen.get(tag, 0) + 1

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag


def test_the_page_is_whole_and_needs_nothing_else(study):
    path = build(study)
    assert path == study / "report.html"
    text = path.read_text()
    tags = Tags()
    tags.feed(text)
    assert tags.open == []
    assert tags.seen["svg"] > 5
    assert not re.search(r'(src|href)="(?!#|data:)', text)  # nothing is fetched
    assert not re.search(r"url\((?!#)|@import|fetch\(|XMLHttpRequest", text)
    assert "The winner beats the &lt;default&gt; beyond noise." in text
    for words in (
        "<td>t0000 (winner)",
        "14 test samples",
        "temperature: 0.1",
        "loss is nan",
        "loo_r2",
    ):
        assert words in text
    assert 'class="floor"' in text
    assert "[0.790, 0.830]" in text
    assert "nan</td>" not in text.replace('class="bad">nan</td>', "")  # no figure reads nan
    ids = set(re.findall(r'<h2 id="(\w+)"', text))
    assert set(re.findall(r'<li><a href="#(\w+)"', text)) == ids  # the contents lead somewhere
    assert len(ids) >= 12


def test_the_same_study_gives_the_same_page(study):
    first = build(study).read_bytes()
    assert build(study).read_bytes() == first


def test_only_the_leading_trial_is_marked(study):
    known = read(study)
    curves = learning_curves(known, known.scores)
    assert [curve.trial for curve in curves if curve.best] == ["t0000"]


def test_an_unfinished_study_says_how_far_it_is(study):
    for name in ("result.json", "best/recipe.yaml"):
        (study / name).unlink()
    assert answer(read(study)).startswith("Not confirmed yet: of 4 trials t0000 (simclr) leads")
    build(study)


@pytest.mark.parametrize("content", ["", HEAD + "\n"])
def test_a_study_that_has_only_begun_has_a_page(tmp_path, content):
    (tmp_path / "leaderboard.csv").write_text(content)
    assert "No trial has finished yet." in build(tmp_path).read_text()


def test_the_door_prints_the_path_or_one_clear_line(study, tmp_path_factory, capsys):
    door = [sys.executable, "-m", "sslsearch.report"]
    good = subprocess.run([*door, str(study)], capture_output=True, text=True)
    assert (good.returncode, good.stdout.strip()) == (0, str(study / "report.html"))
    empty = tmp_path_factory.mktemp("empty")
    for folder in (empty, empty / "nowhere"):
        assert main([str(folder)]) == 2
        said = capsys.readouterr().err
        assert said.startswith(str(folder))
        assert len(said.splitlines()) == 1


def test_of_a_loss_the_least_is_on_top() -> None:
    bars = [Bar("linear", "floor", 0.4), Bar("winner", "winner", 0.5), Bar("raw", "floor", 0.9)]
    for less, top in ((True, "linear"), (False, "raw")):
        axes = plots.leaderboard_bars(bars, less_is_better=less).axes[0]
        assert axes.get_yticklabels()[-1].get_text() == top


def test_everything_that_a_study_can_leave_is_shown(study):
    trials = random_trials(40)
    axes = [one.name for one in AXES]
    weight = {"among": [], "trials": 40, "share": 0.5, "low": 0.2, "high": 0.8, "chance": 0.1}
    weights = [{**weight, "name": name} for name in axes[:3]]
    weights += [{**weight, "name": axes[3], "among": [["augment.jitter.on", True]]}]
    weights += [{**weight, "name": axes[4], "share": None, "low": None, "high": None}]
    recipes = {
        "abc": {"pretext": {"simclr": {"temperature": 0.1}}, "augment": {"jitter": {"sigma": 0.2}}},
        "dee": {"pretext": {"simclr": {"temperature": 0.5}}, "augment": {"crop": {"keep": 0.5}}},
    }
    known = replace(lessons(trials), importance=weights, recipes=recipes, default="dee")
    write(study, replace(known, within={"mae": weights}))
    alike = {"trained": [0.9, 0.8, 1], "untrained": [0, 0, 0]}
    level = {"strength": 1.0, "knobs": {}, "alike": alike}
    place = {"xy": [[0, 1], [1, 0]], "spread": [0.4, 0.2], "labels": [0, 1], "knn": 1, "linear": 1}
    insight = {
        "encoder": "t0000",
        "classes": ["a <b>", "c"],
        "map": {"trained": place, "untrained": place},
        "invariance": {
            "samples": 8, "floor": {"trained": 0, "untrained": 0}, "augments": {"jitter": [level]},
            "used": {"jitter": 1.0}, "left_out": ["reverse"],
        },
        "errors": {"t0000": {"classes": [0, 1], "table": [[8, 2], [1, 9]], "runs": 2}},
    }  # fmt: skip
    (study / "insight.json").write_text(json.dumps(insight))
    winner = {**RESULT["winner"], "recipe_hash": "abc", "pretext": "simclr"}
    ended = {**RESULT, "winner": winner, "recipe": recipes["abc"], "exported": "t0000"}
    (study / "result.json").write_text(json.dumps(ended))
    text = build(study).read_text()
    tags = Tags()
    tags.feed(text)
    assert tags.open == []
    assert "a &lt;b&gt;" in text
    assert "a <b>" not in text
    assert text.count("soft missing") == 1  # of losses by rung only: too few ran so far
    for words in (
        "Once the pretext task is mae", "with jitter", "sigma 0.2", "Left out", "What is taken for",
        "What was not tried", "recall", "pairs were never seen", "augment.crop",
    ):  # fmt: skip
        assert words in text, words


NASTY = '"><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7 * 7 }}'


def test_hostile_names_are_text(study):
    """Names of columns, classes, files and messages come from other people's data."""
    board = BOARD.replace("mae", '"' + NASTY.replace('"', '""') + '"')
    (study / "leaderboard.csv").write_text(board)
    trials = [told(f"t000{i}", NASTY, [0.5], **{f"augment__{NASTY}__on": True}) for i in range(3)]
    options = (NASTY, "other")
    axes = [Axis("pretext.kind", "choice", NASTY, options=options)]
    axes += [Axis(f"augment.{NASTY}.on", "choice", True, options=(False, True))]
    write(study, lessons(trials, axes))
    errors = {"t0000": {"classes": [0], "table": [[1]], "runs": 1}}
    place = {"xy": [[0, 1], [1, 0]], "spread": [0.4, 0.2], "labels": [0, 1], "knn": 1, "linear": 1}
    maps = {"trained": place, "untrained": place}
    insight = {"encoder": "t0000", "classes": [NASTY, "b"], "errors": errors, "map": maps}
    (study / "insight.json").write_text(json.dumps(insight))
    notes = {"notes": [NASTY], "verdict": NASTY, "floors": {NASTY: {"score": 0.5, "test": 0.9}}}
    (study / "result.json").write_text(json.dumps({**RESULT, **notes}))
    (study / "space.yaml").write_text(NASTY)
    text = build(study).read_text()
    tags = Tags()
    tags.feed(text)
    assert tags.open == []
    assert tags.seen["script"] == 1  # the page's own
    assert "img" not in tags.seen
    assert "onerror=alert(2)>" not in text
    assert "{{ 7 * 7 }}" in text  # not evaluated


def test_a_study_of_one_trial_has_a_page(tmp_path):
    (tmp_path / "leaderboard.csv").write_text("\n".join(BOARD.splitlines()[:3]) + "\n")
    write(tmp_path, lessons(random_trials(1)))
    text = build(tmp_path).read_text()
    assert "leads with 0.710" in text
    assert "Too few trials for a share of the variance" in text
