"""ASHA within families: who passes a rung."""

from types import SimpleNamespace
from typing import Any

import pytest

from sslsearch.search import mailbag
from sslsearch.search.scheduler import FamilyHalving, bracket_shares, passes
from sslsearch.values import Report


@pytest.mark.parametrize(
    ("score", "others", "expected"),
    [
        (0.1, [], True),  # the first to arrive
        (0.5, [0.4], True),  # the best so far
        (0.3, [0.4], False),
        (0.3, [0.4, 0.2, 0.1, 0.0, 0.05], True),  # second of six, one in three passes
        (0.2, [0.4, 0.3, 0.1, 0.0, 0.05], False),
        (0.4, [0.4, 0.4], True),  # a tie at the top
    ],
)
def test_passes(score: float, others: list[float], expected: bool) -> None:
    assert passes((score,), [(other,) for other in others], eta=3) is expected


def tell(
    scheduler: FamilyHalving,
    name: str,
    family: str,
    score: float,
    kind: str = "trial",
    rung: int = 0,
) -> Any:
    trial = SimpleNamespace(trial_id=name, config={"kind": kind, "family": family})
    result = mailbag.pack(Report(rung, 32, "ok", score))
    return scheduler.on_trial_result(None, trial, result)


def test_families_do_not_race_each_other() -> None:
    scheduler = FamilyHalving(3, 3)
    assert tell(scheduler, "a", "simclr", 0.9) == "CONTINUE"
    assert tell(scheduler, "b", "mae", 0.1) == "CONTINUE"  # the best of its family
    assert tell(scheduler, "c", "simclr", 0.5) == "STOP"


def test_from_the_middle_rung_on_all_race_together() -> None:
    scheduler = FamilyHalving(3, 5)
    for rung, answer in [(0, "CONTINUE"), (1, "CONTINUE"), (2, "STOP"), (3, "STOP")]:
        assert tell(scheduler, "a", "simclr", 0.9, rung=rung) == "CONTINUE"
        assert tell(scheduler, "b", "mae", 0.1, rung=rung) == answer


def test_trials_of_earlier_runs_count() -> None:
    scheduler = FamilyHalving(3, 3, past=[("simclr", 0, (0.9,))])
    assert tell(scheduler, "a", "simclr", 0.5) == "STOP"


def test_a_result_told_twice_counts_once() -> None:
    scheduler = FamilyHalving(3, 3)
    assert [tell(scheduler, "a", "simclr", 0.5) for _ in range(2)] == ["CONTINUE"] * 2


def test_finalists_and_unhalved_searches_go_on() -> None:
    scheduler = FamilyHalving(3, 3, past=[("simclr", 0, (0.9,))])
    assert tell(scheduler, "f", "simclr", 0.1, kind="finalist") == "CONTINUE"
    assert tell(FamilyHalving(3, 3, [("simclr", 0, 0.9)], "none"), "a", "simclr", 0.1) == "CONTINUE"


def test_one_epoch_stops_everyone_at_the_first_rung() -> None:
    scheduler = FamilyHalving(3, 3, how="one_epoch_top_k")
    assert [tell(scheduler, name, "simclr", 0.9) for name in "ab"] == ["STOP"] * 2
    assert tell(scheduler, "f", "simclr", 0.1, kind="finalist") == "CONTINUE"


def test_hyperband_spares_later_brackets_the_first_rungs() -> None:
    assert bracket_shares(3, 3) == pytest.approx([9 / 17, 5 / 17, 3 / 17])  # 9, 5 and 3 trials
    scheduler = FamilyHalving(3, 3, how="hyperband")
    told = {n: tell(scheduler, f"t{n}", "simclr", -float(n)) for n in range(17)}
    brackets = scheduler.brackets["simclr"]
    assert sorted(brackets.values()) == [0] * 9 + [1] * 5 + [2] * 3
    for number, answer in told.items():  # each is worse than all before it
        spared = brackets[f"t{number}"] > 0 or number == 0
        assert answer == ("CONTINUE" if spared else "STOP")
    second = [n for n in range(17) if brackets[f"t{n}"] == 1]
    at_one = [tell(scheduler, f"t{n}", "simclr", -float(n), rung=1) for n in second]
    assert at_one == ["CONTINUE"] + ["STOP"] * 4
