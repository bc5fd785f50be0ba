"""The conductor: what comes next, and when searching gives way to confirming."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sslsearch.search import mailbag
from sslsearch.search.board import line_of
from sslsearch.search.conductor import MOST_ERRORS, MOST_LOSSES, Clock, Conductor
from sslsearch.search.confirm import finalists
from sslsearch.search.listener import Listener
from sslsearch.search.opening import best_of
from sslsearch.search.record import Record, Row
from sslsearch.search.resources import Fit, Room
from sslsearch.space import Space, parse
from sslsearch.values import Recipe, Report


class Ear(Listener):
    """A listener that remembers the phases, and what a silence was put down to."""

    def __init__(self) -> None:
        self.phases: list[str] = []
        self.silences: list[tuple[int, int]] = []

    def phase(self, text: str) -> None:
        self.phases.append(text)

    def quiet(self, seconds: float, starting: list[Row], training: list[Row]) -> None:
        self.silences.append((len(starting), len(training)))


def room(slots: int) -> Room:
    return Room(Fit(slots, slots, 1, {"CPU": 1.0}, False, 1), lambda: [{"CPU": float(slots)}])


class Hands:
    """Plays Tune: asks for trials and tells their results."""

    def __init__(self, space: Space, folder: Path, minutes: float = 60) -> None:
        self.record, self.listener = Record(folder, space), Ear()
        self.clock = Clock(minutes, 0.0)
        self.conductor = Conductor(
            space,
            self.record,
            folder,
            None,
            room(99),
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


def test_a_silence_is_explained_ever_less_often(space: Space, tmp_path: Path) -> None:
    hands = Hands(space, tmp_path)
    hands.conductor.slots = room(2)
    first, _ = hands.ask(), hands.ask()
    for silence in (10, 21, 22, 39, 41, 79):
        hands.conductor._heard = time.monotonic() - silence
        assert hands.ask()[1] is None
    assert hands.listener.silences == [(2, 0), (2, 0)]  # after 20 s and after 40 s
    hands.conductor.on_trial_result(first[0], mailbag.pack(Report(0, 32, "ok", 0.1)))
    hands.conductor._heard -= 21
    hands.ask()
    assert hands.listener.silences[2:] == [(1, 1)]  # the second's slot still starts
    hands.conductor._heard = time.monotonic() - 30
    hands.conductor.on_trial_result(first[0], mailbag.pack(Report(1, 96, "ok", 0.1)))
    hands.conductor._heard = time.monotonic() - 59  # a rung may take 30 s
    hands.ask()
    assert len(hands.listener.silences) == 3
    hands.conductor._heard = time.monotonic() - 61
    hands.ask()
    assert len(hands.listener.silences) == 4


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


def test_a_trial_that_lost_its_slot_goes_on_where_it_was(space: Space, tmp_path: Path) -> None:
    hands = Hands(space, tmp_path)
    tune, config = hands.ask()
    hands.conductor.on_trial_result(tune, mailbag.pack(Report(0, 32, "ok", 0.1)))
    hands.conductor.on_trial_complete(tune, error=True)  # its slot died
    again, resumed = hands.ask()
    assert resumed["commands"] == config["commands"][1:]
    hands.conductor.on_trial_complete(again, mailbag.no_place("node gone"))
    assert hands.ask()[1] is None  # nothing else runs, and no slot has a place
    hands.conductor.slots._until = 0.0
    last, resumed = hands.ask()
    assert resumed["commands"] == config["commands"][1:]
    hands.conductor.on_trial_result(last, mailbag.pack(Report(1, 96, "ok", 0.2)))
    hands.conductor.on_trial_complete(last, mailbag.pack(Report(2, 288, "ok", 0.3)))
    assert [report.score for report in hands.record.rows()[0].reports] == [0.1, 0.2, 0.3]


def test_a_trial_over_which_slot_after_slot_dies_is_an_error(space: Space, tmp_path: Path) -> None:
    hands = Hands(space, tmp_path)
    for _ in range(MOST_LOSSES + 1):
        assert hands.record.rows()[0].status == "running" if hands.asked else True
        hands.conductor.on_trial_complete(hands.ask()[0], error=True)
    assert [row.status for row in hands.record.rows()] == ["error"]


def test_no_more_trials_than_slots_and_warm_slots_first(space: Space, tmp_path: Path) -> None:
    hands = Hands(space, tmp_path)
    hands.conductor.slots = room(2)
    (first, one), (_, two) = hands.ask(), hands.ask()
    assert (one["slot"], two["slot"]) == (1, 2)
    assert hands.ask()[1] is None
    hands.tell(first, [0.1, 0.2, 0.3])
    assert hands.ask()[1]["slot"] == 1


def test_only_errors_end_the_study(space: Space, tmp_path: Path) -> None:
    hands = Hands(space, tmp_path)
    for _ in range(MOST_ERRORS - 1):
        hands.conductor.on_trial_complete(hands.ask()[0], mailbag.failure("error", "broken"))
    hands.conductor.on_trial_complete(hands.ask()[0], mailbag.failure("error", "broken"))
    with pytest.raises(RuntimeError, match="the first 4 trials all failed: broken"):
        hands.ask()


def test_a_finalist_that_cannot_win_gets_no_third_seed(space: Space, tmp_path: Path) -> None:
    confirm = space.confirm.model_copy(update={"top": 3, "seeds": 4})
    hands = Hands(replace(space, confirm=confirm), tmp_path)
    while (asked := hands.ask())[1]["kind"] == "trial":
        hands.tell(asked[0], [0.1, 0.2, 0.3 + hands.asked / 100])
    runs: dict[str, list[int]] = {}
    while asked[1] != "FINISHED":
        command = asked[1]["commands"][0]
        recipe = Recipe(command["recipe"]).hash
        runs.setdefault(recipe, []).append(command["seed"])
        place = list(runs).index(recipe)  # the default, then the finalists, best first
        hands.tell(asked[0], [0.1, 0.2, 0.9 - 0.3 * place + command["seed"] / 1e6])
        asked = hands.ask()
    assert [len(seeds) for seeds in runs.values()] == [4, 4, 2, 2]


def test_device_hours_end_the_search(space: Space, tmp_path: Path) -> None:
    budget = space.budget.model_copy(update={"trials": 100, "device_hours": 0.05 / 3600})
    hands = Hands(replace(space, budget=budget), tmp_path)
    while (asked := hands.ask())[1]["kind"] == "trial":
        hands.tell(asked[0], [0.1, 0.2, 0.3])
    assert 1 <= len(hands.record.rows("trial")) <= 2  # each trial takes 0.03 s and its waiting


def test_waiting_is_counted(space: Space, tmp_path: Path) -> None:
    hands = Hands(space, tmp_path)
    tune, _ = hands.ask()
    time.sleep(0.2)
    hands.tell(tune, [0.1])
    row = hands.record.rows("trial")[0]
    assert row.stages["wait"] > 0.15
    assert row.seconds == pytest.approx(0.01)


@pytest.mark.parametrize("sampler", ["tpe", "random", "gp", "qmc"])
def test_samplers_by_name(space: Space, tmp_path: Path, sampler: str) -> None:
    search = space.search.model_copy(update={"sampler": sampler})
    budget = space.budget.model_copy(update={"trials": 14})
    hands = Hands(replace(space, search=search, budget=budget), tmp_path)
    drawn = set()
    for number in range(14):
        tune, config = hands.ask()
        drawn.add(Recipe(config["commands"][0]["recipe"]).hash)
        hands.tell(tune, [0.1, 0.2, 0.3 + number / 100][: 1 + number % 3])
    assert len(drawn) == 14


def test_a_narrower_space_keeps_what_does_not_fit_out_of_the_final(
    space: Space, tmp_path: Path
) -> None:
    hands = Hands(space, tmp_path)
    families = []
    for _ in range(4):
        tune, config = hands.ask()
        families.append(config["family"])
        hands.tell(tune, [0.1, 0.2, 0.9 if config["family"] == "simclr" else 0.1])
    assert set(families) == {"simclr", "vicreg"}
    narrow = parse(space.text.replace("    simclr: {temperature: 0.05..1.0 log}\n", ""))
    again = Hands(narrow, tmp_path)
    rows = again.record.rows("trial")
    assert [row.fits for row in rows] == [family == "vicreg" for family in families]
    marked = [line_of(row, narrow.goal).status for row in rows]
    assert marked.count("outside") == families.count("simclr")
    assert {r.family for r in finalists(rows, 3)} == {"vicreg"}


def test_what_another_study_found_comes_first(space: Space, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    hands = Hands(space, tmp_path / "a")
    scores = iter([0.3, 0.9, 0.2, 0.5])
    while (asked := hands.ask())[1]["kind"] == "trial":
        hands.tell(asked[0], [0.1, 0.2, next(scores)])
    while asked[1] != "FINISHED":
        hands.tell(asked[0], [0.1, 0.2, 0.5])
        asked = hands.ask()
    found = best_of(tmp_path / "a")
    rows = hands.record.rows("trial")
    best = {row.recipe.hash for row in rows if row.score == 0.9}
    assert best <= {recipe.hash for recipe in found[:2]}  # with the default, both confirmed
    assert {r.family for r in found} == {row.recipe.family for row in rows}
    (tmp_path / "b").mkdir()
    other = Hands(space, tmp_path / "b")
    for recipe in found:
        other.record.enqueue(recipe, "study")
    first = Recipe(other.ask()[1]["commands"][0]["recipe"])
    assert first.hash == found[0].hash
    with pytest.raises(ValueError, match="is not a study"):
        best_of(tmp_path)
