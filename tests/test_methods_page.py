"""docs/methods.md is what the registry and docs/methods.json say, and every method is in it."""

import json
import sys
from pathlib import Path

import pytest

from sslsearch import registry

sys.path.insert(0, str(Path(__file__).parent / "benchmarks"))

import methods

RECORD = json.loads(methods.RECORD.read_text())
METHODS = [n for n, p in registry.parts("pretext").items() if "untrained" not in p.traits]


def test_the_page_is_current() -> None:
    written = methods.PAGE.read_text(encoding="utf-8")
    assert written == methods.page(RECORD), "python tests/benchmarks/methods.py --page"


@pytest.mark.parametrize("name", METHODS)
def test_every_method_has_its_paper_and_its_oracle(name: str) -> None:
    assert registry.get("pretext", name).paper
    assert methods.oracles()[name], f"no test_{name}_… in tests/oracles"


def test_what_was_measured_can_be_measured_again() -> None:
    cases = {(*case.key, case.seen): case.lost for case in methods.CASES}
    for row in RECORD:
        assert len(row["before"]) == len(row["after"]) == methods.SEEDS
        lost = sum(row["after"]) <= sum(row["before"])
        assert cases[row["method"], row["modality"], row["data"], row["samples"]] is lost
