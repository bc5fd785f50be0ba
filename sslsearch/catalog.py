"""`python -m sslsearch.catalog [KIND] [--modality M]`: the parts, their knobs, units and papers.

Below them: which pretext and which masking fit which kind of data, and why not.
"""

from __future__ import annotations

import argparse
import json
import sys
from itertools import zip_longest
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sslsearch import registry
from sslsearch.registry import Identity, Part, did_you_mean
from sslsearch.space import laws
from sslsearch.space.fit import partners, why_not
from sslsearch.space.grammar import show
from sslsearch.space.schema import schema

FITTED = ("masking", "pretext")  # whose fit is a question of what data and encoders offer
WIDTH = 120  # columns, when the output is piped


def main(argv: list[str] | None = None) -> int:
    args = arguments().parse_args(argv)
    if args.schema:
        sys.stdout.write(json.dumps(schema(), indent=1, ensure_ascii=False) + "\n")
        return 0
    fault = _unknown(args.kind, registry.ROOMS, "kind") or _unknown(
        args.modality, registry.parts("modality"), "modality"
    )
    if fault:
        sys.stderr.write(fault + "\n")
        return 2
    kinds = [kind for kind in registry.ROOMS if args.kind in (None, kind)]
    found = {kind: _fitting(kind, args.modality) for kind in kinds}
    if args.json:
        rows = [describe(part) for parts in found.values() for part in parts]
        sys.stdout.write(json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
        return 0
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    for kind, parts in found.items():
        if parts:
            console.print(_table(kind, parts))
    for kind in kinds:
        if kind in FITTED:
            console.print(_fits(kind, [args.modality] if args.modality else None))
    return 0


def _fitting(kind: str, modality: str | None) -> list[Part]:
    """The parts of a kind; with a modality, those that can be used on it."""
    parts = registry.parts(kind, modality).values()
    if modality is None or kind not in FITTED:
        return list(parts)
    return [part for part in parts if not why_not(part, modality)]


def describe(part: Part) -> dict[str, Any]:
    """One part as plain data."""
    return {
        "kind": part.kind,
        "name": part.name,
        "summary": part.summary,
        "paper": part.paper,
        "modality": None if part.modality is None else sorted(part.modality),
        "needs": sorted(part.needs),
        "gives": sorted(part.gives),
        "fits": _fit_of(part) if part.kind in FITTED else None,
        "knobs": [_knob(name, info) for name, info in part.knobs.model_fields.items()],
    }


def _knob(name: str, info: FieldInfo) -> dict[str, Any]:
    slot = laws.slot(info)
    identity = registry.marker(info, Identity)
    default = info.get_default(call_default_factory=True)
    return {
        "name": name,
        "range": f"one {slot.kind}" if slot else laws.law(info, unit_too=False),
        "unit": laws.unit(info),
        "default": None if default is PydanticUndefined else default,
        "required": info.is_required(),
        "changes_nothing_at": identity.value if identity else None,
    }


def _table(kind: str, parts: list[Part]) -> Table:
    table = Table(title=f"{kind} ({len(parts)})", title_justify="left", expand=False)
    for column in ("part", "knob", "legal", "default", "unit"):
        table.add_column(column, overflow="fold")
    for part in parts:
        knobs = [_knob(name, info) for name, info in part.knobs.model_fields.items()]
        left = [Text(part.name, style="bold")]
        left += [Text(part.paper, style="dim")] if part.paper else []
        rows = list(zip_longest(left, knobs))  # a row for each knob: what wraps stays beside it
        for number, (name, knob) in enumerate(rows, 1):
            table.add_row(name, *_cells(knob), end_section=number == len(rows))
    return table


def _cells(knob: dict[str, Any] | None) -> list[Text]:
    if knob is None:
        return []
    default = "needed" if knob["required"] else show(knob["default"])
    return [Text(str(word)) for word in (knob["name"], knob["range"], default, knob["unit"])]


def _fit_of(part: Part) -> dict[str, str]:
    """Modality -> "yes", the encoders with which it can be used, or why it cannot."""
    said = {}
    for modality in registry.parts("modality"):
        reason, encoders = why_not(part, modality), partners(part, modality)
        everyone = len(encoders) == len(registry.parts("encoder", modality))
        said[modality] = f"no: {reason}" if reason else "yes"
        if not reason and not everyone:
            said[modality] = f"with {', '.join(encoders)}"
    return said


def _fits(kind: str, modalities: list[str] | None) -> Table:
    """Which part fits which kind of data, and why not."""
    columns = modalities or list(registry.parts("modality"))
    title = f"which {kind} fits {columns[0] if modalities else 'which data'}"
    table = Table(title=title, title_justify="left", expand=False)
    for column in (kind, *columns):
        table.add_column(column, overflow="fold")
    for name, part in registry.parts(kind).items():
        fit = _fit_of(part)
        table.add_row(Text(name, style="bold"), *(Text(fit[column]) for column in columns))
    return table


def _unknown(word: str | None, known: Any, what: str) -> str:
    if word is None or word in known:
        return ""
    return f"unknown {what} {word!r}{did_you_mean(word, known)}"


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sslsearch catalog", description=__doc__)
    parser.add_argument("kind", nargs="?", help=f"one of {', '.join(registry.ROOMS)}")
    parser.add_argument("--modality", help="only parts that fit this kind of data")
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.add_argument("--schema", action="store_true", help="the JSON schema of a space")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
