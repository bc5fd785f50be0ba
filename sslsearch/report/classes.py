"""Where the exported encoder's probe errs: confusion, recall and precision of each class."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

LARGEST = 20  # classes, of a table that is shown


@dataclass(frozen=True)
class Line:
    """One class.

    Attributes:
        support: test samples of it.
        recall: share of them that were called so; low, high: Wilson's 95 % interval.
        precision: share of what was called so that is.
        called: share of its samples that were called each class; empty where there are too many.
    """

    name: str
    support: int
    recall: float
    low: float
    high: float
    precision: float
    called: Sequence[float] = ()


def lines(errors: Mapping[str, Any], names: Sequence[str]) -> list[Line]:
    """Of a confusion table that may be of several runs over the same samples."""
    table, runs = errors.get("table") or [], errors.get("runs", 1)
    said = [sum(row[k] for row in table) for k in range(len(table))]
    made = []
    for k, (code, row) in enumerate(zip(errors.get("classes") or [], table, strict=True)):
        total = sum(row)
        name = names[code] if 0 <= code < len(names) else str(code)
        share = row[k] / total if total else math.nan
        called = [n / total if total else 0.0 for n in row] if len(table) <= LARGEST else []
        precision = row[k] / said[k] if said[k] else math.nan
        support = round(total / runs)
        made.append(Line(str(name), support, share, *_wilson(share, support), precision, called))
    return made


def _wilson(share: float, n: int) -> tuple[float, float]:
    if not n or not math.isfinite(share):
        return math.nan, math.nan
    z = 1.96
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return middle - half, middle + half
