"""What is wrong with a space, all of it: one line per fault, each starting with `file:line:`."""

from __future__ import annotations

import yaml

SET = "--set "  # the name of the "file" that an override comes from


class SpaceError(ValueError):
    """A space that cannot be read; the text is one line per fault, in the order of the file."""


def where(mark: yaml.Mark) -> str:
    """`file:line`, or `--set path` for what was written on the command line."""
    return mark.name if mark.name.startswith(SET) else f"{mark.name}:{mark.line + 1}"


def mark(name: str, line: int = 0) -> yaml.Mark:
    """A place that no node stands at."""
    return yaml.Mark(name, 0, line, 0, "", 0)


class Faults:
    """Collects faults while reading goes on, so that a user meets all of them at once."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[bool, int]] = {}

    def add(self, at: yaml.Node | yaml.Mark, message: str) -> None:
        place = at if isinstance(at, yaml.Mark) else at.start_mark
        self._found[f"{where(place)}: {message}"] = (place.name.startswith(SET), place.line)

    def __bool__(self) -> bool:
        return bool(self._found)

    def raise_if_any(self) -> None:
        if self._found:
            raise SpaceError("\n".join(sorted(self._found, key=self._found.__getitem__)))
