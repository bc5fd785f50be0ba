"""`--set PATH=VALUE`: any path of the YAML overridden, with the same grammar and checks.

The words `one_of`, `subset_of` … may be left out of a path: `pretext.simclr.temperature`.
"""

from __future__ import annotations

import yaml

from sslsearch.registry import did_you_mean
from sslsearch.space.errors import SET, Faults, mark
from sslsearch.space.source import EMPTY, TEXT, compose, entries, is_empty

STRUCTURE = ("one_of", "subset_of", "sequence_of", "mix_of")


def override(root: yaml.MappingNode, assignment: str, faults: Faults) -> None:
    """Put the value of `PATH=VALUE` in its place in the tree."""
    path, equals, text = assignment.partition("=")
    words = path.strip().split(".")
    name = SET + path.strip()
    start = mark(name)
    if not equals or not all(words):
        faults.add(mark(SET + assignment), "write PATH=VALUE")
        return
    value = compose(text.strip() or EMPTY, name, faults)
    if value is None:
        return
    node = root
    for i, word in enumerate(words[:-1]):
        node, is_branches = _inside(node, word)
        inner = _child(node, word, start)
        if inner is None and is_branches:
            here = entries(node)
            said = ".".join(words[: i + 1])
            faults.add(start, f"there is no {said} in this space{did_you_mean(word, here)}")
            return
        if inner is None:
            inner = yaml.MappingNode("tag:yaml.org,2002:map", [], start, start, flow_style=True)
            _put(node, word, inner, start)
        if not isinstance(inner, yaml.MappingNode):
            faults.add(start, f"{'.'.join(words[: i + 1])} holds a value, nothing is inside it")
            return
        node = inner
    node, _ = _inside(node, words[-1])
    _put(node, words[-1], value, start)


def _inside(node: yaml.MappingNode, word: str) -> tuple[yaml.MappingNode, bool]:
    """Look through `one_of:` and the like; whether the node then holds branches."""
    here = entries(node)
    if len(here) == 1 and word not in here:
        ((key, (_, value)),) = here.items()
        if key in STRUCTURE and isinstance(value, yaml.MappingNode):
            return value, True
    return node, False


def _child(node: yaml.MappingNode, word: str, start: yaml.Mark) -> yaml.Node | None:
    """The value under `word`; what was left empty becomes a mapping to write into."""
    found = entries(node).get(word)
    if found is None:
        return None
    key, value = found
    if is_empty(value) and isinstance(value, yaml.ScalarNode):
        value = yaml.MappingNode("tag:yaml.org,2002:map", [], start, start, flow_style=True)
        _put(node, word, value, key.start_mark)
    return value


def _put(node: yaml.MappingNode, word: str, value: yaml.Node, start: yaml.Mark) -> None:
    for i, (key, _) in enumerate(node.value):
        if key.value == word:
            node.value[i] = (yaml.ScalarNode(TEXT, word, start, start), value)
            return
    node.value.append((yaml.ScalarNode(TEXT, word, start, start), value))
