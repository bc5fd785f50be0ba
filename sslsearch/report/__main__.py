"""`python -m sslsearch.report STUDY`: write the study's report.html and print where it is."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from sslsearch.report.page import build
from sslsearch.search.lessons import refresh
from sslsearch.space import SpaceError


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0, or 2 when the folder is no study."""
    folder = arguments().parse_args(argv).study
    try:
        refresh(folder)
    except SpaceError as error:  # of another version: the report leaves out what it cannot know
        print(error, file=sys.stderr)
    try:
        print(build(folder))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sslsearch report", description=__doc__)
    parser.add_argument("study", type=Path, help="a study folder, such as runs/timeseries")
    return parser


if __name__ == "__main__":
    sys.exit(main())
