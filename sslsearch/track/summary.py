"""The closing words of a study: what won, by how much, and where to look."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rich.console import Group, RenderableType
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

NAN = float("nan")


@dataclass(frozen=True)
class Row:
    """One line of the table; nan where a figure is not known."""

    name: str
    kind: str  # winner, default, floor
    score: float = NAN
    low: float = NAN
    high: float = NAN
    test: float = NAN
    test_low: float = NAN
    test_high: float = NAN
    seeds: int = 0


@dataclass(frozen=True)
class Summary:
    """All that the end of a study has to say.

    Attributes:
        verdict: one sentence: does the winner beat the default beyond noise?
        metric: what `score` is.
        recipe_text: the best recipe, as YAML.
        rows: winner, default and floors.
        optimism: the winner's score while searching minus its score on fresh seeds.
        counts: trials by status.
        families: pretext, its trials, its best score.
        remarks: sentences on ties, cost and early stopping.
        files: what it is -> path.
        commands: how to look at it.
    """

    title: str
    verdict: str
    metric: str = "score"
    test_metric: str = "test accuracy"
    recipe_text: str = ""
    rows: Sequence[Row] = ()
    optimism: float = NAN
    counts: Mapping[str, int] = field(default_factory=dict)
    families: Sequence[tuple[str, int, float]] = ()
    notes: Sequence[str] = ()
    remarks: Sequence[str] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    commands: Sequence[str] = ()
    seconds: float = NAN


def render_summary(summary: Summary) -> RenderableType:
    """The summary for a rich console, any width from 80 on."""
    blocks: list[RenderableType] = [
        Text(),
        Rule(Text(summary.title, "bold"), style="dim", align="left"),
        Text(summary.verdict, "bold"),
    ]
    if summary.rows:
        blocks += [Text(), _contest(summary)]
    if math.isfinite(summary.optimism):
        words = f"Search optimism {summary.optimism:+.3f}: {summary.metric} while searching minus "
        blocks += [Text(words + "on fresh seeds.", "dim")]
    blocks += [Text(remark, "dim") for remark in summary.remarks]
    if summary.recipe_text:
        text = textwrap.indent(summary.recipe_text.rstrip("\n"), "  ")
        blocks += [Text(), Text("Exported recipe", "bold"), Text(text)]
    blocks += [Text(), Text(_counted(summary))]
    if summary.families:
        blocks += [Text(), _families(summary)]
    for note in summary.notes:
        blocks.append(Text(f"Note: {note}", "yellow"))
    if summary.files or summary.commands:
        blocks += [Text(), _places(summary)]
    return Group(*blocks)


def clock(seconds: float) -> str:
    """`48 s`, `4 min 05 s`, `2 h 10 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def figure(value: float, low: float = NAN, high: float = NAN) -> str:
    """`0.812 [0.790, 0.834]`, as much of it as is known."""
    if not math.isfinite(value):
        return "–"
    known = math.isfinite(low) and math.isfinite(high)
    return f"{value:.3f} [{low:.3f}, {high:.3f}]" if known else f"{value:.3f}"


def _contest(summary: Summary) -> Table:
    table = _table()
    table.add_column("")
    table.add_column("kind")
    table.add_column(summary.metric)
    table.add_column(summary.test_metric)
    table.add_column("seeds", justify="right")
    for row in summary.rows:
        table.add_row(
            row.name,
            row.kind,
            figure(row.score, row.low, row.high),
            figure(row.test, row.test_low, row.test_high),
            str(row.seeds) if row.seeds else "–",
            style={"winner": "bold green", "default": "bold"}.get(row.kind, ""),
        )
    return table


def _counted(summary: Summary) -> str:
    total = sum(summary.counts.values())
    took = f" in {clock(summary.seconds)}" if math.isfinite(summary.seconds) else ""
    each = ", ".join(f"{count} {status}" for status, count in summary.counts.items() if count)
    noun = "trial" if total == 1 else "trials"
    return f"{total} {noun}{took}: {each}" if total else "No trial was run."


def _families(summary: Summary) -> Table:
    table = _table()
    table.add_column("pretext")
    table.add_column("trials", justify="right")
    table.add_column(f"best {summary.metric}", justify="right")
    for name, trials, best in sorted(summary.families, key=lambda f: _falling(f[2])):
        table.add_row(name, str(trials), figure(best))
    return table


def _places(summary: Summary) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for what, path in summary.files.items():
        table.add_row(what, Text(path, overflow="fold"))
    for index, command in enumerate(summary.commands):
        table.add_row("look" if index == 0 else "", Text(command, "cyan", overflow="fold"))
    return table


def _table() -> Table:
    return Table(box=None, padding=(0, 2, 0, 0), header_style="dim")


def _falling(value: float) -> float:
    return -value if math.isfinite(value) else math.inf
