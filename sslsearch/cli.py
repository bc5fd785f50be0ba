"""The console script: `sslsearch run …` is `python -m sslsearch.run …`, and so are the others."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from sslsearch import __version__
from sslsearch.doors import DOORS, enter


def main(argv: Sequence[str] | None = None) -> int:
    words = list(sys.argv[1:] if argv is None else argv)
    first = words[0] if words else ""
    if first in DOORS:
        return enter(first, words[1:])
    if first in ("--version", "-V"):
        print(f"sslsearch {__version__}")
        return 0
    if first in ("--help", "-h"):
        print(usage())
        return 0
    if first == "--completion":
        return _complete(words[1:])
    if not first:
        sys.stderr.write(usage() + "\n")
        return 2
    from sslsearch.registry import did_you_mean

    sys.stderr.write(f"sslsearch: there is no {first!r}{did_you_mean(first, DOORS)}\n")
    return 2


def _complete(words: Sequence[str]) -> int:
    from sslsearch.completion import script

    try:
        print(script(" ".join(words)))
    except ValueError as fault:
        sys.stderr.write(f"sslsearch: {fault}\n")
        return 2
    return 0


def usage() -> str:
    """One line for each door."""
    lines = [f"  {name:<10}{purpose}" for name, (_, purpose) in DOORS.items()]
    return "\n".join(
        (
            "usage: sslsearch DOOR …     (`sslsearch DOOR --help` says more)",
            "",
            *lines,
            "",
            "  --version  --help  --completion bash|zsh|fish",
        )
    )


if __name__ == "__main__":
    raise SystemExit(main())
