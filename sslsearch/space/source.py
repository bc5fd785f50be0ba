"""YAML text -> a tree of nodes that know their line. Nothing but the shape is read here.

PyYAML's own reading of scalars is switched off (`1e-4` would be text, `12:30` the number 750 and
`on` a boolean): every scalar arrives as it was written and `grammar` says what it means.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from sslsearch.space.errors import Faults, SpaceError, mark
from sslsearch.space.shipped import names

TEXT = "tag:yaml.org,2002:str"
EMPTY = "null"  # how a value that was left out is written


class _Reader(yaml.BaseLoader):
    """Composes nodes; refuses what has no place in a space: tags, anchors and aliases."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise _marked(
                "anchors (&) and aliases (*) are not part of a space: write it out", event
            )
        if getattr(event, "tag", None):
            tag = str(event.tag).replace("tag:yaml.org,2002:", "!!")
            raise _marked(f"tags such as {tag} are not part of a space: leave it out", event)
        return super().compose_node(parent, index)


def _marked(problem: str, event: yaml.Event) -> yaml.MarkedYAMLError:
    at = event.start_mark
    assert isinstance(at, yaml.Mark)
    return yaml.MarkedYAMLError(problem=problem, problem_mark=at)


def read(path: Path) -> str:
    """The file's text; SpaceError when there is none."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise SpaceError(f"{path}: there is no such file; shipped: {', '.join(names())}") from error
    except OSError as error:
        raise SpaceError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SpaceError(f"{path}: is not UTF-8 text (byte {error.start})") from error


def compose(text: str, name: str, faults: Faults) -> yaml.Node | None:
    """The tree of `text`; None after a fault of syntax. `name` is how messages call the file."""
    try:
        reader = _Reader(text)
        reader.name = name
        node = reader.get_single_node()
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, int(error.position))
        faults.add(mark(name, line), f"{error.reason}: remove it")
        return None
    except yaml.MarkedYAMLError as error:
        at = error.problem_mark or error.context_mark or mark(name)
        if at.line >= len(text.splitlines()):  # it broke off: say where it began
            at = error.context_mark or at
        faults.add(at, _syntax(text, at, error))
        return None
    if node is None:
        faults.add(mark(name), "nothing is written here")
        return None
    _check_shape(node, faults)
    return node


def _syntax(text: str, at: yaml.Mark, error: yaml.MarkedYAMLError) -> str:
    lines = text.splitlines()
    line = lines[at.line] if at.line < len(lines) else ""
    if "\t" in line[: len(line) - len(line.lstrip())] or "'\\t'" in (error.problem or ""):
        return "a tab: indent and separate with spaces"
    problem = error.problem or "not YAML"
    known = problem.endswith(("write it out", "leave it out"))
    context = f" {error.context}" if error.context else ""
    return problem if known else f"not YAML: {problem}{context}; got {line.strip()!r}"


def _check_shape(node: yaml.Node, faults: Faults) -> None:
    if isinstance(node, yaml.ScalarNode):
        if node.style is None and node.value == "":
            node.value = EMPTY
        if node.style in ("|", ">"):
            faults.add(node, f"a block of text ({node.style}): write the value on one line")
    elif isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                faults.add(key, "a key must be a word")
            elif key.value in seen:
                faults.add(key, f"{key.value!r} is written twice, first in line {seen[key.value]}")
            else:
                seen[key.value] = key.start_mark.line + 1
            _check_shape(value, faults)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _check_shape(item, faults)


def is_empty(node: yaml.Node) -> bool:
    """Whether a value was left out (`smooth:`), written as null, or is an empty mapping."""
    if isinstance(node, yaml.ScalarNode):
        return node.style is None and node.value == EMPTY
    return isinstance(node, yaml.MappingNode) and not node.value


def entries(node: yaml.MappingNode) -> dict[str, tuple[yaml.ScalarNode, yaml.Node]]:
    """The mapping by word: its key (for the line) and its value. The first of doubles counts."""
    found: dict[str, tuple[yaml.ScalarNode, yaml.Node]] = {}
    for key, value in node.value:
        if isinstance(key, yaml.ScalarNode):
            found.setdefault(key.value, (key, value))
    return found


def written(node: yaml.Node) -> str:
    """What stands there, on one line, for a message."""
    if isinstance(node, yaml.ScalarNode):
        return repr(node.value) if node.style else str(node.value)
    text = yaml.serialize(node, Dumper=yaml.BaseDumper, width=10_000)
    flat = " ".join(str(text).split())
    return flat if len(flat) <= 60 else flat[:57] + "..."


def to_text(node: yaml.Node) -> str:
    """The tree as YAML again (without its comments)."""
    return str(yaml.serialize(node, Dumper=yaml.BaseDumper, width=100, allow_unicode=True))


def with_name(text: str, root: yaml.MappingNode, name: str) -> str:
    """`text` with a first line `name: …`: a copy in another file keeps its name."""
    at = root.start_mark.index
    if root.flow_style:
        return f"{text[: at + 1]}name: {name}, {text[at + 1 :]}"
    return f"{text[:at]}name: {name}\n{' ' * root.start_mark.column}{text[at:]}"
