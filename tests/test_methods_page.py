"""docs/methods.md is what the registry and docs/methods/ say, and every method is in it."""

import sys
from pathlib import Path

import pytest

from sslsearch import registry

sys.path.insert(0, str(Path(__file__).parent / "benchmarks"))

import methods
import methods_page

RECORD = methods.record()
METHODS = [n for n, p in registry.parts("pretext").items() if "untrained" not in p.traits]


def test_the_page_is_current() -> None:
    written = methods.PAGE.read_text(encoding="utf-8")
    assert written == methods_page.page(RECORD), "python tests/benchmarks/methods.py --page"


@pytest.mark.parametrize("name", METHODS)
def test_every_method_has_its_paper_and_its_oracle(name: str) -> None:
    assert registry.get("pretext", name).paper
    assert methods_page.oracles()[name], f"no test_{name}_… in tests/oracles"


def test_what_was_measured_can_be_measured_again() -> None:
    cases = {(*case.key, case.seen): case for case in methods.cases()}
    for row in RECORD:
        case = cases[*methods.key(row), row["samples"]]
        assert len(row["before"]) == len(row["after"]) == case.seeds >= 3
        assert case.lost is (sum(row["after"]) <= sum(row["before"])), methods.key(row)
        assert row.get("metric", "accuracy") == case.metric
        assert row.get("note", "") == case.note


def test_a_loss_is_shown_as_one() -> None:
    row = {"method": "simclr", "modality": "timeseries", "data": "D", "labels": "all"}
    row |= {"samples": 100, "before": [0.5, 0.6, 0.7], "after": [0.5, 0.5, 0.6], "note": "lr."}
    text = methods_page.page([row])
    assert "*not better: -6.7 ± 3.3*" in text
    assert "- simclr on D: lr." in text
    assert "**+10.0 ± 0.0**" in methods_page.page([row | {"after": [0.6, 0.7, 0.8]}])
    assert "**" not in methods_page.change(row | {"after": [0.6, 0.6, 0.8]})  # 4.3 errors is wanted
