"""A folder that appears whole: filled beside its place, proven, and swapped in."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection
from pathlib import Path


def swapped(to: Path, write: Callable[[Path], None], files: Collection[str], mark: str) -> None:
    """Let `write` fill a folder beside `to`, and put it in `to`'s place; a reader never finds half.

    Args:
        files: what an earlier one may have written, which goes; what people put beside it stays.
        mark: the file by which an earlier one is known; ValueError where `to` holds other things.
    """
    to = to.resolve()
    part, old = to.with_name(f".{to.name}.part"), to.with_name(f".{to.name}.old")
    if old.exists() and not to.exists():  # an earlier save was killed between its two renames
        old.rename(to)
    others = _others(to, files, mark)
    for leftover in (part, old):
        shutil.rmtree(leftover, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        write(part)
        for path in others:
            keep = shutil.copytree if path.is_dir() else shutil.copy2
            keep(path, part / path.name)
        if to.exists():
            to.rename(old)
        part.rename(to)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)


def _others(to: Path, files: Collection[str], mark: str) -> list[Path]:
    """What people put beside the files; ValueError where `to` is something else altogether."""
    if to.exists() and not to.is_dir():
        raise ValueError(f"{to} is a file; choose another folder")
    others = [p for p in to.iterdir() if p.name not in files] if to.is_dir() else []
    if others and not (to / mark).is_file():
        raise ValueError(f"{to} holds other things ({others[0].name}, …); choose another folder")
    return others
