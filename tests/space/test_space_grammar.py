"""One scalar at a time: what is written, what it means, and back again."""

from __future__ import annotations

import contextlib

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from sslsearch.space.grammar import GrammarError, parse, show, write
from sslsearch.space.nodes import Choice, Fixed, Real, Whole

PRINTED = st.text(st.characters(min_codepoint=32, max_codepoint=126))
FLOATS = st.floats(allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("5E3", 5000.0),
        ("0.05", 0.05),
        (".5", 0.5),
        ("3.", 3.0),
        ("-2", -2),
        ("+7", 7),
        ("54_000", 54_000),
        ("1_0.5", 10.5),
        ("true", True),
        ("false", False),
        ("null", None),
        # text, whatever YAML 1.1 says
        ("12:30", "12:30"),
        ("on", "on"),
        ("yes", "yes"),
        ("No", "No"),
        ("True", "True"),
        ("~", "~"),
        ("0x1F", "0x1F"),
        ("1_", "1_"),
        ("2020-01-01", "2020-01-01"),
        (".inf", ".inf"),
        ("1.2.3", "1.2.3"),
        ("csv:../a.csv", "csv:../a.csv"),
        ("../a..b", "../a..b"),
        ("10 per class", "10 per class"),
    ],
)
def test_scalar(text: str, value: object) -> None:
    node = parse(text)
    assert node == Fixed(value)
    assert isinstance(node, Fixed)
    assert type(node.value) is type(value)


@pytest.mark.parametrize(
    ("text", "node"),
    [
        ("0.3..0.9", Real(0.3, 0.9)),
        ("2..6", Whole(2, 6)),
        ("2..6.0", Real(2.0, 6.0)),
        ("1e0..10", Real(1.0, 10.0)),
        ("1e-4..1e-2 log", Real(1e-4, 1e-2, log=True)),
        ("16..1_024 log", Whole(16, 1024, log=True)),
        ("-1.5..-0.5", Real(-1.5, -0.5)),
        ("0.1 .. 0.2", Real(0.1, 0.2)),
        ("raw | normalised", Choice(("raw", "normalised"))),
        ("8|16|32", Choice((8, 16, 32))),
        ("none | 0.5 | true", Choice(("none", 0.5, True))),
        ("on | off", Choice(("on", "off"))),
    ],
)
def test_open(text: str, node: object) -> None:
    assert parse(text) == node


@pytest.mark.parametrize("text", ["0.3..0.9", "8 | 16", "1e-4", "true", "log(1)", ""])
def test_quotes_keep_text(text: str) -> None:
    assert parse(text, quoted=True) == Fixed(text)


@pytest.mark.parametrize(
    "text", ["0.1...0.2", "1..", "..2", "1..2..3", "1..2 logs", "2..1", "1e-3 log", "uniform(0,1)",
             "0.5..0.5", "-1..1 log", "a |", "1 | 1", "1 | 2..3", "1e999", "0.1..1e999"]
)  # fmt: skip
def test_almost(text: str) -> None:
    with pytest.raises(GrammarError):
        parse(text)


@given(FLOATS, FLOATS, st.booleans())
def test_real_round_trip(a: float, b: float, log: bool) -> None:
    low, high = sorted((a, b))
    if low < high and (low > 0 or not log):
        node = Real(low, high, log)
        assert parse(write(node)) == node


@given(st.integers(-(10**12), 10**12), st.integers(1, 10**6), st.booleans())
def test_whole_round_trip(low: int, width: int, log: bool) -> None:
    if low > 0 or not log:
        node = Whole(low, low + width, log)
        assert parse(write(node)) == node


WORDS = st.from_regex(r"[a-z][a-z_]{0,8}", fullmatch=True).filter(
    lambda word: word not in ("true", "false", "null")
)


@given(st.lists(st.one_of(FLOATS, st.integers(2), WORDS), min_size=2, max_size=5, unique=True))
def test_choice_round_trip(options: list[object]) -> None:
    node = Choice(tuple(options))  # type: ignore[arg-type]
    assert parse(write(node)) == node


@example("0:")
@example("a: b")
@example("- a")
@example("a ")
@given(st.one_of(FLOATS, st.integers(), st.booleans(), st.none(), PRINTED))
def test_shown_values_read_back(value: object) -> None:
    node = yaml.BaseLoader(f"[{show(value)}]").get_single_node().value[0]
    assert parse(node.value, quoted=node.style is not None) == Fixed(value)


@given(st.text())
def test_never_anything_but_a_grammar_error(text: str) -> None:
    with contextlib.suppress(GrammarError):
        assert isinstance(parse(text), Fixed | Real | Whole | Choice)
