"""leaderboard.csv: every trial, finalist and floor of a study in one table.

A study of several objectives has more columns, after those that every study has: the other
objectives, in their own units, and `front`: 1 for a full-length trial that no other beats in all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pandas as pd

from sslsearch.search import pareto
from sslsearch.search.record import Row
from sslsearch.space import Goal

COLUMNS = [
    *("rank", "kind", "id", "status", "score", "score_low", "score_high", "test_score"),
    *("pretext", "augment", "encoder", "batch_size", "samples_seen", "seconds", "recipe_hash"),
]
OUTSIDE = "outside"  # the status of a trial that an earlier form of the space drew
KINDS = {"finalist": 0, "trial": 1, "floor": 2}


@dataclass(frozen=True)
class Line:
    """One line of the leaderboard, rank left out."""

    kind: str
    id: str
    status: str
    score: float
    score_low: float = math.nan
    score_high: float = math.nan
    test_score: float = math.nan
    pretext: str = ""
    augment: str = ""
    encoder: str = ""
    batch_size: int | None = None
    samples_seen: int = 0
    seconds: float = 0.0
    recipe_hash: str = ""
    rung: int = -1  # for the order only: scores of different rungs do not compare
    others: Mapping[str, float] = field(default_factory=dict)  # objectives after the first


def line_of(row: Row, goal: Goal, test_score: float = math.nan) -> Line:
    """A trial or a finalist's run as a line."""
    last = row.reports[-1] if row.reports else None
    return Line(
        kind=row.kind,
        id=row.name,
        status=row.status if row.fits else OUTSIDE,
        score=row.score,
        score_low=last.low if last else math.nan,
        score_high=last.high if last else math.nan,
        test_score=test_score,
        pretext=row.recipe.family,
        augment="+".join(row.recipe["augment"] or {}),
        encoder=row.recipe.part("encoder")[0],
        batch_size=row.recipe["optim"]["batch_size"],
        samples_seen=row.samples_seen,
        seconds=round(row.seconds, 3),
        recipe_hash=row.recipe.hash,
        rung=len(row.reports),
        others=pareto.others(last, row.seconds, goal) if last else {},
    )


def write_board(path: Path, lines: list[Line], goal: Goal) -> None:
    """Write the leaderboard: finalists, then trials, then floors; in each the longest-trained
    first, and the best of those. The file is replaced whole."""
    frame = pd.DataFrame([asdict(line) for line in lines], columns=[*COLUMNS[1:], "rung"])
    more = [metric for metric, _ in goal.others]
    for metric in more:
        frame[metric] = [line.others.get(metric, math.nan) for line in lines]
    if more:
        on_front = {line.id for line in front(lines, goal)}
        frame["front"] = [int(line.id in on_front) for line in lines]
        more.append("front")
    frame["order"] = frame["kind"].map(KINDS)
    frame = frame.sort_values(
        ["order", "rung", "score"], ascending=[True, False, False], na_position="last"
    ).reset_index(drop=True)
    frame.insert(0, "rank", frame.index + 1)
    part = path.with_suffix(".part")
    frame[[*COLUMNS, *more]].to_csv(part, index=False, float_format="%.6g")
    part.replace(path)


def front(lines: list[Line], goal: Goal) -> list[Line]:
    """The full-length trials that no other beats in all objectives, the best score first."""
    trials = [line for line in lines if line.kind == "trial" and line.status == "ok"]
    values = [
        (line.score, *(sign * line.others.get(metric, math.nan) for metric, sign in goal.others))
        for line in trials
    ]
    best = [line for line, layer in zip(trials, pareto.layers(values), strict=True) if layer == 0]
    return sorted(best, key=lambda line: -line.score)
