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


def test_what_was_measured_is_what_would_be() -> None:
    assert {(*case.key, case.seen) for case in methods.CASES} == {
        (r["method"], r["modality"], r["data"], r["samples"]) for r in RECORD
    }
    assert all(len(r["before"]) == len(r["after"]) == methods.SEEDS for r in RECORD)
