"""Which column of a source plays which role: label, group, split, id and those of a modality."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from sslsearch.registry import did_you_mean

ROLES = ("label", "group", "split", "id")  # the roles that every modality knows
ABSENT_IN_POOL = ("label", "group", "split")


def place(source: str, schemes: Iterable[str]) -> tuple[str, str]:
    """`scheme:rest` -> both, or a ValueError that names the schemes there are."""
    scheme, colon, rest = source.partition(":")
    if not colon or not rest:
        known = ", ".join(f"{s}:…" for s in schemes)
        raise ValueError(
            f"data.source {source!r} is not written scheme:place; write one of {known}"
        )
    if scheme not in schemes:
        raise ValueError(f"data.source: unknown scheme {scheme!r}{did_you_mean(scheme, schemes)}")
    return scheme, rest


def file_at(rest: str, root: Path) -> Path:
    """The file a source names, or a ValueError that says where it was looked for."""
    path = root / Path(rest).expanduser()
    if not path.is_file():
        beside = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        hint = did_you_mean(path.name, beside) if beside else f"; relative to {root}"
        raise ValueError(f"data.source: there is no file {path}{hint}")
    return path


def column(names: Iterable[str], role: str, wanted: str, where: str) -> str:
    """`wanted`, if it is there; else a ValueError with the nearest column and all of them."""
    names = list(names)
    if wanted in names:
        return wanted
    near = did_you_mean(wanted, names)
    there = "" if near.startswith("; known") else f" columns there: {', '.join(names)}"
    raise ValueError(
        f"{where}: no column {wanted!r} for data.columns.{role}"
        f"{near.replace('known', 'columns there')}{there}"
    )


def common_roles(
    names: Iterable[str], columns: Mapping[str, Any], where: str, unlabelled: bool
) -> dict[str, str]:
    """role -> column name for label, group, split and id.

    A role that is not mapped takes the column of its own name if there is one; a group is only
    ever what the user says, because it changes the splits.
    """
    names = list(names)
    found = {}
    for role in ROLES:
        wanted = columns.get(role)
        if wanted is None:
            if role in names and role != "group":
                found[role] = role
        elif wanted in names or not (unlabelled and role in ABSENT_IN_POOL):
            found[role] = column(names, role, wanted, where)
    return found


def with_roles(content: pa.Table, table: pa.Table, roles: Mapping[str, str]) -> pa.Table:
    """The content's columns, and beside them the source's columns that play a common role."""
    for role, name in roles.items():
        content = content.append_column(role, table[name])
    return content


def with_labels(table: pa.Table, labels: Sequence[str | None] | None) -> pa.Table:
    """The table with a column `label` beside its own, where there are labels."""
    if labels is None:
        return table
    return table.append_column("label", pa.array(list(labels), pa.string()))
