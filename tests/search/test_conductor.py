"""The conductor: what comes next, and when searching gives way to confirming."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sslsearch.search import mailbag
from sslsearch.search.conductor import MOST_ERRORS, Clock, Conductor
from sslsearch.search.confirm import finalists
from sslsearch.search.record import Record, Row
from sslsearch.space import Space
from sslsearch.values import Report


class Quiet:
    """A listener that remembers the phases."""

    def __init__(self) -> None:
        self.phases: list[str] = []

    def began(self, row: Row) -> None:
        """Not of interest here."""

    def reported(self, row: Row, report: Report) -> None:
        """Not of interest here."""

    def ended(self, row: Row) -> None:
        """Not of interest here."""

    def phase(self, text: str) -> None:
        self.phases.append(text)


class Hands:
    """Plays Tune: asks for trials and tells their results."""

    def __init__(self, space: Space, folder: Path, minutes: float = 60) -> None:
        self.record, self.listener = Record(folder, space), Quiet()
        self.clock = Clock(minutes, 0.0)
        self.conductor = Conductor(
            space,
            self.record,
            folder,
            None,
            1,
            self.clock,
            self.listener,
            space.default(),
            lambda rows: finalists(rows, space.confirm.top),
        )
        self.asked = 0

    def ask(self) -> Any:
        self.asked += 1
        return f"tune-{self.asked}", self.conductor.suggest(f"tune-{self.asked}")

    def tell(self, tune: str, scores: list[float], status: Any = "ok") -> None:
        for rung, score in enumerate(scores):
            report = Report(rung, 32 * 3**rung, status, score, seconds={"train": 0.01})
            told = self.conductor.on_trial_result
            if rung == len(scores) - 1:
                told = self.conductor.on_trial_complete
            told(tune, mailbag.pack(report))


def test_search_then_default_then_finalists(space: Space, tmp_path: Path) -> None:
    hands = Hands(space, tmp_path)
    kinds = []
    while (asked := hands.ask())[1] != "FINISHED":
        tune, config = asked
        kinds.append(config["kind"])
        hands.tell(tune, [0.1, 0.2, 0.3 + len(kinds) / 100])
    assert kinds == ["trial"] * 4 + ["finalist"] * 4  # 2 seeds of the default, 2 of the best
    assert hands.listener.phases == ["search", "confirm"]
    rows = hands.record.rows("finalist")
    assert {row.seed for row in rows} == {1000, 1001}  # never the search's own seed
    assert {row.recipe.hash for row in rows} >= {space.default().hash}


def test_finalists_wait_for_the_last_trials(space: Space, tmp_path: Path) -> None:
    hands = Hands(replace(space, confirm=space.confirm.model_copy(update={"seeds": 1})), tmp_path)
    live = [hands.ask() for _ in range(4)]
    tune, config = hands.ask()
    assert config["kind"] == "finalist"  # the default's seeds need not wait
    hands.tell(tune, [0.1, 0.2, 0.3])
    assert hands.ask()[1] is None  # not now
    for name, _ in live:
        hands.tell(name, [0.1, 0.2, 0.4])
    assert hands.ask()[1]["kind"] == "finalist"


def test_once_confirming_never_searching_again(space: Space, tmp_path: Path) -> None:
    hands = Hands(space, tmp_path, minutes=1e-9)
    assert hands.ask()[1]["kind"] == "finalist"
    hands.clock.minutes = 60
    assert hands.ask()[1]["kind"] == "finalist"


def test_minutes_that_are_over_leave_two_seeds(space: Space, tmp_path: Path) -> None:
    three = replace(space, confirm=space.confirm.model_copy(update={"seeds": 3}))
    hands = Hands(three, tmp_path, minutes=1e-9)
    while (asked := hands.ask())[1] != "FINISHED":
        hands.tell(asked[0], [0.1, 0.2, 0.3])
    assert [row.seed for row in hands.record.rows("finalist")] == [1000, 1001]


@pytest.mark.parametrize(
    ("scores", "status", "ended"),
    [
        ([0.1, 0.2, 0.3], "ok", "ok"),
        ([0.1], "ok", "stopped"),
        ([float("nan")], "nan", "nan"),
        ([float("nan")], "oom", "oom"),
    ],
)
def test_how_trials_end(
    space: Space, tmp_path: Path, scores: list[float], status: str, ended: str
) -> None:
    hands = Hands(space, tmp_path)
    tune, _ = hands.ask()
    hands.tell(tune, scores, status)
    assert hands.record.rows("trial")[0].status == ended


def test_a_trial_under_way_in_a_crash_comes_first(space: Space, tmp_path: Path) -> None:
    first = Hands(space, tmp_path)
    _, config = first.ask()
    again = Hands(space, tmp_path)
    assert again.ask()[1]["commands"] == config["commands"]


def test_only_errors_end_the_study(space: Space, tmp_path: Path) -> None:
    hands = Hands(space, tmp_path)
    for _ in range(MOST_ERRORS - 1):
        hands.conductor.on_trial_complete(hands.ask()[0], mailbag.failure("error", "broken"))
    last = hands.ask()[0]
    with pytest.raises(RuntimeError, match="the first 4 trials all failed: broken"):
        hands.conductor.on_trial_complete(last, mailbag.failure("error", "broken"))
