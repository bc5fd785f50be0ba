"""The grammar of one scalar: `0.05`, `0.3..0.9`, `2..6`, `1e-4..1e-2 log`, `raw | normalised`.

Numbers are as in JSON, plus `1e-4`, `.5`, `+3` and `54_000`; `true`, `false` and `null` are the
only special words. Everything else is text: `on`, `yes`, `12:30`. Text in quotes stays text.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from sslsearch.space.nodes import Choice, Fixed, Node, Real, Scalar, Whole

_DIGITS = r"\d+(?:_\d+)*"
_EXPONENT = r"(?:[eE][+-]?\d+)"
WHOLE = re.compile(rf"[+-]?{_DIGITS}")
REAL = re.compile(rf"[+-]?(?:{_DIGITS}\.(?:{_DIGITS})?|\.{_DIGITS}|{_DIGITS}){_EXPONENT}?")
_END = rf"[+-]?{_DIGITS}(?:\.{_DIGITS})?{_EXPONENT}?"  # in a range digits stand on both sides
RANGE = re.compile(rf"({_END})\s*\.\.\s*({_END})(\s+log)?")
# What was meant as a range: it starts like one, or is a function of another tool's grammar.
_MEANT = re.compile(r"[+-]?\.?\d\S*\s*\.\.|\.\.\s*[+-]?\.?\d|[+-]?\.?\d\S*\s+log$")
_CALL = re.compile(r"(log|loguniform|uniform|randint|quniform|choice|range)\(")
_WORDS: dict[str, Scalar] = {"true": True, "false": False, "null": None}


class GrammarError(ValueError):
    """A scalar that looks open but is not written in the grammar; the text is the law."""


def scalar(text: str) -> Scalar:
    """What a plain scalar means when it is not open."""
    if text in _WORDS:
        return _WORDS[text]
    if WHOLE.fullmatch(text):
        return int(text)
    if REAL.fullmatch(text):
        value = float(text)
        if not math.isfinite(value):
            raise GrammarError("a number this large cannot be stored")
        return value
    return text


def parse(text: str, quoted: bool = False) -> Node:
    """A scalar as written -> Fixed, Real, Whole or Choice."""
    if quoted:
        return Fixed(text)
    if "|" in text:
        return _choice([option.strip() for option in text.split("|")])
    if match := RANGE.fullmatch(text):
        return _range(match[1], match[2], log=bool(match[3]))
    if _CALL.match(text):
        raise GrammarError("a range is written low..high or low..high log, a choice a | b | c")
    if _MEANT.match(text):
        raise GrammarError("a range is written low..high or low..high log, as in 0.3..0.9")
    return Fixed(scalar(text))


def _choice(words: list[str]) -> Choice:
    if "" in words:
        raise GrammarError("a choice is written a | b | c, without an empty option")
    if any(not isinstance(parse(word), Fixed) for word in words):
        raise GrammarError("the options of a choice are fixed values, not ranges")
    options = tuple(scalar(word) for word in words)
    twice = next((o for i, o in enumerate(options) if o in options[:i]), None)
    if twice is not None:
        raise GrammarError(f"the option {twice} stands there twice")
    return Choice(options)


def _range(first: str, second: str, log: bool) -> Real | Whole:
    low, high = scalar(first), scalar(second)
    assert isinstance(low, int | float)
    assert isinstance(high, int | float)
    if low > high:
        raise GrammarError(f"a range goes from low to high: write {second}..{first}")
    if low == high:
        raise GrammarError(f"a range of one value is a fixed value: write {first}")
    if log and low <= 0:
        raise GrammarError(f"orders of magnitude (log) need low > 0, got {first}")
    if isinstance(low, int) and isinstance(high, int):
        return Whole(low, high, log)
    return Real(float(low), float(high), log)


def write(node: Node) -> str:
    """The scalar of a node, as a space writes it: `parse(write(node)) == node`."""
    match node:
        case Real(low, high, log) | Whole(low, high, log):
            return f"{low!r}..{high!r}{' log' if log else ''}"
        case Choice(options):
            return " | ".join(_word(option) for option in options)
        case Fixed(value):
            return show(value)
    raise AssertionError(f"{type(node).__name__} is not a scalar")


def show(value: Any) -> str:
    """A fixed value as YAML; text that would read as something else is quoted."""
    if isinstance(value, list | tuple):
        return "[" + ", ".join(show(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {show(item)}" for key, item in value.items()) + "}"
    if not isinstance(value, str):
        return _word(value)
    try:
        plain = bool(value) and parse(value) == Fixed(value)
    except GrammarError:
        plain = False
    return (
        value
        if plain and re.fullmatch(r"(?!- )[\w./+%-](?:[\w./+% -]|:(?=[^ ]))*(?<! )", value)
        else json.dumps(value, ensure_ascii=False)
    )


def _word(value: Scalar) -> str:
    return (
        {True: "true", False: "false"}[value]
        if isinstance(value, bool)
        else ("null" if value is None else str(value) if isinstance(value, str) else repr(value))
    )
