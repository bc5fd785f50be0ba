"""What a study cost, and whether its early rungs could be trusted."""

import pytest

from sslsearch.search.cost import cost, rung_agreement, saved
from sslsearch.search.record import Row
from sslsearch.values import Recipe, Report


def row(number: int, family: str, status: str, scores: list[float], wait: float = 0.5) -> Row:
    recipe = Recipe({"pretext": {family: {}}, "encoder": {"conv1d": {}}})
    seconds = {"train": 2.0, "probe": 1.0, "wait": wait}
    reports = tuple(
        Report(i, 100 * 2**i, "ok", score, seconds=seconds) for i, score in enumerate(scores)
    )
    return Row(f"t{number:04d}", "trial", "sampler", recipe, 0, status, reports)


ROWS = [
    row(0, "simclr", "ok", [0.1, 0.2, 0.3]),
    row(1, "simclr", "stopped", [0.1]),
    row(2, "mae", "nan", [0.1], wait=4.5),
]


def test_hours_add_up() -> None:
    spent = cost(ROWS, "GPU", devices=2)
    assert spent["device_hours"] == pytest.approx(2 * (3 * 3.5 + 3.5 + 7.5) / 3600)
    for by in ("by_stage", "by_pretext", "by_status", "by_kind"):
        assert sum(spent[by].values()) == pytest.approx(spent["device_hours"])
    assert spent["by_pretext"]["mae"] == pytest.approx(2 * 7.5 / 3600)
    assert spent["overhead_fraction"] == pytest.approx((4 * 0.5 + 4.5) / 21.5)


def test_what_early_stopping_saved() -> None:
    rest = saved(ROWS, last=400, devices=1)
    assert rest["trials"] == 1
    assert rest["device_hours"] == pytest.approx(3 * 3.0 / 3600)  # 3 s for 100 of 400 samples


def test_agreement_of_rungs() -> None:
    late = [0.1, 0.2, 0.3, 0.4, 0.5]
    rows = [row(i, "mae", "ok", [s, -s, s]) for i, s in enumerate(late)]
    first, second = rung_agreement(rows, [100, 200, 400])
    assert (first["samples"], first["trials"]) == (100, 5)
    assert first["rho"] == pytest.approx(1.0)
    assert second["rho"] == pytest.approx(-1.0)
    assert first["low"] <= first["rho"]
    assert rung_agreement(rows[:3], [100, 200, 400]) == []
