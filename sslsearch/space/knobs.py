"""Reads one value against the law of its knob: a scalar, open or fixed, a list, a mapping."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from sslsearch.registry import did_you_mean
from sslsearch.space import grammar, laws
from sslsearch.space.errors import Faults
from sslsearch.space.nodes import Choice, Fixed, Node, Real, Whole
from sslsearch.space.source import entries, written

_SWITCHES = {"yes": "true", "on": "true", "no": "false", "off": "false"}  # YAML 1.1's words
BAD = Fixed(None)  # stands where a fault was found; never drawn, for the faults are raised


def read_knob(model: type[BaseModel], word: str, node: yaml.Node, faults: Faults) -> Node:
    """The knob `word` of a part (or a section), its values as the part would store them."""
    said = f"{word}: {written(node)}: "
    try:
        found = read_value(node)
        match found:
            case Fixed(value):
                return Fixed(_lawful(model, word, value))
            case Choice(options):
                values = tuple(_lawful(model, word, option) for option in options)
                return Choice(values, default(model, word))
            case Real() | Whole():
                return _range(model, word, found)
    except grammar.GrammarError as error:
        faults.add(node, f"{said}{error}")
        return BAD
    raise AssertionError(f"{type(found).__name__} is not a value")


def read_fixed(model: type[BaseModel], word: str, node: yaml.Node, faults: Faults) -> Node:
    """As `read_knob`, where nothing may be open. Text fields take numbers as they are written; a
    range of whole numbers is text where a field takes either."""
    said = f"{word}: {written(node)}: "
    try:
        found, kinds = read_value(node), laws.kinds(model.model_fields[word])
        if isinstance(found, Whole) and kinds == {int, str}:
            found = Fixed(grammar.write(found))  # a range that nobody searches: workers 2..8
        if not isinstance(found, Fixed):
            law = "is fixed here; only encoder, pretext, augment and optim may be open"
            raise grammar.GrammarError(law)
        value = found.value
        is_text = str in kinds and not kinds & {int, float, bool}
        if is_text and isinstance(node, yaml.ScalarNode) and value is not None:
            value = node.value
        return Fixed(_lawful(model, word, value))
    except grammar.GrammarError as error:
        faults.add(node, f"{said}{error}")
        return BAD


def read_value(node: yaml.Node) -> Node:
    """What is written, before any law."""
    if isinstance(node, yaml.ScalarNode):
        return grammar.parse(node.value, quoted=node.style is not None)
    if isinstance(node, yaml.SequenceNode):
        return Fixed([_inner(item) for item in node.value])
    assert isinstance(node, yaml.MappingNode)
    return Fixed({word: _inner(value) for word, (_, value) in entries(node).items()})


def default(model: type[BaseModel], word: str) -> Any:
    """The default of a knob; None where it has none."""
    value = model.model_fields[word].get_default(call_default_factory=True)
    return None if value is PydanticUndefined else value


def _range(model: type[BaseModel], word: str, found: Real | Whole) -> Node:
    low, high = (_lawful(model, word, end) for end in (found.low, found.high))
    if isinstance(found, Whole) and type(low) is float:
        cure = grammar.write(Real(low, high, found.log))
        raise grammar.GrammarError(f"{word} is a real number: write {cure}")
    return replace(found, low=low, high=high, start=default(model, word))


def _lawful(model: type[BaseModel], word: str, value: Any) -> Any:
    """The value as the model stores it, or a GrammarError with the law."""
    checked, law = laws.validate(model, word, value)
    if law is None:
        return checked
    info = model.model_fields[word]
    words = [str(option) for option in laws.options(info)]
    near = did_you_mean(value, words) if words and isinstance(value, str) else ""
    near = "" if near.startswith("; known") else near  # the law names them already
    if bool in laws.kinds(info) and isinstance(value, str) and value in _SWITCHES:
        near = f"; did you mean {_SWITCHES[value]}?"
    raise grammar.GrammarError(f"{word} must be {law}, got {grammar.show(value)}{near}")


def _inner(node: yaml.Node) -> Any:
    found = read_value(node)
    if not isinstance(found, Fixed):
        raise grammar.GrammarError("what stands inside a list or a mapping is fixed, not open")
    return found.value
