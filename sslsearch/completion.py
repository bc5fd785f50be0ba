"""`sslsearch --completion SHELL`: a script by which a shell completes doors, options and files."""

from __future__ import annotations

import argparse
import importlib

import shtab

from sslsearch import registry
from sslsearch.doors import DOORS

SHELLS = ("bash", "zsh", "fish")
FILES = {"space", "recipe", "data", "to"}  # words of the doors that name a file …
FOLDERS = {"study", "best", "out", "source"}  # … or a folder


def script(shell: str) -> str:
    """What the shell is to source. ValueError for a shell that is not among SHELLS."""
    if shell not in SHELLS:
        raise ValueError(f"--completion {shell}: one of {', '.join(SHELLS)}")
    return str(shtab.complete(whole(), shell))


def whole() -> argparse.ArgumentParser:
    """All doors as one parser, told which of their words are files and which come from a list."""
    parser = argparse.ArgumentParser(prog="sslsearch")
    parser.add_argument("--version", "-V", action="store_true", help="which release this is")
    parser.add_argument("--completion", choices=SHELLS, help="a script for your shell")
    doors = parser.add_subparsers()
    for name, (module, purpose) in DOORS.items():
        door = importlib.import_module(module).arguments()
        for action in door._actions:
            _describe(action)
        doors.add_parser(name, parents=[door], add_help=False, help=purpose)
    return parser


def _describe(action: argparse.Action) -> None:
    if action.dest == "kind":
        action.choices = list(registry.ROOMS)
    elif action.dest == "modality":
        action.choices = sorted(registry.parts("modality"))
    elif action.dest in FOLDERS:
        action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
    elif action.dest in FILES:
        action.complete = shtab.FILE  # type: ignore[attr-defined]
