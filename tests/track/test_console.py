"""The console: plain lines without a terminal, a live table on one, a closing summary."""

import io
import math

import pytest

from sslsearch.track.console import Console
from sslsearch.track.summary import Row, Summary, clock, figure, render_summary


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def run(file: io.StringIO) -> None:
    with Console("leaf", 60, 5, "loo_r2", file) as console:
        console.phase("searching")
        console.phase("searching")
        console.floor("untrained", 0.612)
        console.slots(2, 2)
        console.trial_report("t0001", "mae", 1, 6000, 0.7)
        console.trial_done("t0000", "simclr", "ok", 0.71, 12.0)
        for number in range(1, 30):
            console.trial_done(f"t{number:04d}", "byol", "stopped", 0.5, 1.0)
        console.trial_done("t0030", "vicreg", "nan", float("nan"), 3.0)
        console.trial_done("t0031", "mae", "ok", 0.75, 9.0)
        console.note("MLflow [answers] again")
        console.error("slot 1 restarted")


def test_plain_lines_tell_what_matters_and_no_more():
    file = io.StringIO()
    run(file)
    lines = file.getvalue().splitlines()
    assert lines[0] == "leaf: 60 trials, 5 minutes"
    assert lines.count("-- searching") == 1
    assert "floor untrained: loo_r2 0.612" in lines
    assert [line for line in lines if "best so far" in line] == [lines[3], lines[-3]]
    assert len([line for line in lines if "byol" in line]) <= 2  # 29 came within a second
    assert "more since the last line" in file.getvalue()
    assert "vicreg" in lines[-4]
    assert lines[-2:] == ["MLflow [answers] again", "slot 1 restarted"]
    assert "\x1b" not in file.getvalue()


def test_a_terminal_shows_the_state_of_the_search(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    file = Terminal()
    run(file)
    text = file.getvalue()
    assert "\x1b[" in text
    for words in ("32/60 trials", "29 stopped", "slots 2/2 busy", "untrained 0.612", "of 5 min"):
        assert words in text


def test_a_resumed_search_counts_what_was_done():
    file = io.StringIO()
    with Console("leaf", 60, 5, metric="r2", file=file) as console:
        earlier = [("t0000", "simclr", "ok", 0.4), ("t0001", "mae", "stopped", 0.6)]
        console.goes_on(earlier, 92.0)
        console.trial_done("t0002", "mae", "nan", math.nan, 5.0)
        console.trial_done("t0003", "mae", "ok", 0.3, 5.0)
        console.trial_done("t0004", "mae", "ok", 0.5, 5.0)
    text = file.getvalue()
    assert "going on after 2 of 60 trials and 1 min 32 s" in text
    assert "  3/60  t0002" in text
    assert text.count("best so far") == 1  # 0.4 of the earlier run is better than 0.3


def test_an_interruption_leaves_the_terminal_whole(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    file = Terminal()
    with pytest.raises(KeyboardInterrupt), Console("leaf", None, None, file=file):
        raise KeyboardInterrupt
    assert file.getvalue().count("\x1b[?25l") == file.getvalue().count("\x1b[?25h")  # the cursor


def test_the_summary_answers():
    summary = Summary(
        title="leaf",
        verdict="The winner beats the default beyond noise.",
        metric="loo_r2",
        recipe_text="pretext:\n  simclr: {temperature: 0.1}\n",
        rows=[
            Row("t0012 simclr", "winner", 0.71, 0.69, 0.73, 0.83, 0.81, 0.85, 3),
            Row("untrained", "floor", 0.5, test=0.7, seeds=1),
        ],
        optimism=0.021,
        counts={"ok": 20, "stopped": 38, "nan": 0},
        families=[("mae", 9, float("nan")), ("simclr", 20, 0.71)],
        notes=["14 test samples also lie in the pool"],
        files={"best": "runs/leaf/best"},
        commands=["mlflow ui"],
        seconds=301,
    )
    file = io.StringIO()
    Console("leaf", None, None, file=file).summary(summary)
    text = file.getvalue()
    assert "0.830 [0.810, 0.850]" in text
    assert "Search optimism +0.021" in text
    assert "  simclr: {temperature: 0.1}" in text
    assert "58 trials in 5 min 01 s: 20 ok, 38 stopped" in text
    assert text.index("simclr       20") < text.index("mae           9")
    assert "runs/leaf/best" in text
    assert "mlflow ui" in text
    render_summary(Summary("leaf", "No trial finished."))  # everything else may be missing


def test_words_for_figures():
    assert figure(float("nan")) == "–"
    assert figure(0.5) == "0.500"
    assert [clock(s) for s in (48, 245, 7800)] == ["48 s", "4 min 05 s", "2 h 10 min"]
