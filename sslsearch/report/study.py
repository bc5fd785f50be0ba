"""A study folder as the report needs it: what is on disk, and nothing that is not there."""

from __future__ import annotations

import csv
import json
import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sslsearch.plots import Bar, Curve, Point

NAN = math.nan
SIGNS = ("leaderboard.csv", "events.jsonl", "study.db")  # one of them makes a folder a study


@dataclass(frozen=True)
class Effect:
    """Trials with a part against trials without it, at the deepest rung all of them reached.

    low and high: 95 % interval of the difference (Welch), nan with fewer than two on a side.
    """

    name: str
    trials_with: int
    trials_without: int
    mean_with: float
    mean_without: float
    low: float = NAN
    high: float = NAN

    @property
    def difference(self) -> float:
        return self.mean_with - self.mean_without


@dataclass(frozen=True)
class StudyFiles:
    """All files of a study, read."""

    folder: Path
    lines: Sequence[Mapping[str, str]] = ()  # leaderboard.csv
    result: Mapping[str, Any] = field(default_factory=dict)
    scores: Mapping[str, Sequence[tuple[int, float]]] = field(default_factory=dict)
    losses: Mapping[str, Sequence[tuple[int, float]]] = field(default_factory=dict)
    messages: Mapping[str, str] = field(default_factory=dict)
    recipe: str = ""
    space: str = ""

    def of_kind(self, *kinds: str) -> list[Mapping[str, str]]:
        return [line for line in self.lines if line.get("kind") in kinds]

    @property
    def best(self) -> str:
        """The id of the leading trial."""
        trials = self.of_kind("trial")
        return trials[0]["id"] if trials else ""


def read(folder: Path) -> StudyFiles:
    """Read a study; ValueError if the folder is none."""
    if not folder.is_dir():
        raise ValueError(f"{folder}: there is no such folder")
    if not any((folder / name).exists() for name in SIGNS):
        raise ValueError(f"{folder} is not a study: it has none of {', '.join(SIGNS)}")
    scores, losses, messages = _reports(folder / "events.jsonl")
    result = _text(folder / "result.json")
    return StudyFiles(
        folder=folder,
        lines=_board(folder / "leaderboard.csv"),
        result=json.loads(result) if result else {},
        scores=scores,
        losses=losses,
        messages=messages,
        recipe=_text(folder / "best" / "recipe.yaml"),
        space=_text(folder / "space.yaml"),
    )


def learning_curves(study: StudyFiles, points: Mapping[str, Any]) -> list[Curve]:
    """The search's trials as curves; finalists repeat their trial and would hide it."""
    return [
        Curve(line["id"], line["pretext"], points[line["id"]], line["id"] == study.best)
        for line in study.of_kind("trial")
        if points.get(line["id"])
    ]


def contenders(study: StudyFiles) -> list[Bar]:
    """Winner, default and floors with their test figures."""
    bars: list[Bar] = []
    for kind in ("winner", "default"):
        one = study.result.get(kind) or {}
        name = str(one.get("name", kind))
        if kind == "winner" or name != bars[0].name:
            name = name if kind in name else f"{name} ({kind})"
            bars.append(_bar(name, kind, one))
    for name, one in (study.result.get("floors") or {}).items():
        bars.append(_bar(name, "floor", one))
    return [bar for bar in bars if math.isfinite(bar.value)]


def fronts(study: StudyFiles) -> dict[str, list[Point]]:
    """By objective after the first: every full-length trial's score against it."""
    first: Mapping[str, Any] = next(iter(study.result.get("front") or ()), {})
    return {
        metric: [
            Point(
                line["id"],
                line["pretext"],
                number(line[metric]),
                number(line["score"]),
                line["front"] == "1",
            )
            for line in study.of_kind("trial")
            if line["status"] == "ok"
        ]
        for metric in first
        if "/" in metric
    }


def effects(study: StudyFiles, column: str) -> list[Effect]:
    """What each augmentation (or pretext, or encoder) did to the score, best first.

    Scores of different rungs do not compare, so all trials are read at one rung: the deepest that
    at least half of them reached. The sampler prefers what works, so this is a hint and no proof.
    """
    at, _ = scores_at_common_rung(study)
    trials = [line for line in study.of_kind("trial") if line["id"] in at]
    parts = {line["id"]: set(filter(None, line[column].split("+"))) for line in trials}
    if column != "augment":
        parts = {line["id"]: {line[column]} for line in trials}
    found = []
    for name in sorted(set().union(*parts.values())):
        inside = [at[trial] for trial, names in parts.items() if name in names]
        outside = [at[trial] for trial, names in parts.items() if name not in names]
        low, high = _welch(inside, outside)
        found.append(
            Effect(name, len(inside), len(outside), _mean(inside), _mean(outside), low, high)
        )
    return sorted(found, key=lambda effect: -_or(effect.difference, -math.inf))


def scores_at_common_rung(study: StudyFiles) -> tuple[dict[str, float], int]:
    """Each trial's score at the deepest number of samples that at least half of them reached."""
    known = {
        line["id"]: {x: y for x, y in study.scores.get(line["id"], ()) if math.isfinite(y)}
        for line in study.of_kind("trial")
    }
    known = {trial: points for trial, points in known.items() if points}
    reached = Counter(x for points in known.values() for x in points)
    deep = max((x for x, n in reached.items() if 2 * n >= len(known)), default=0)
    return {trial: points[deep] for trial, points in known.items() if deep in points}, deep


def costs(study: StudyFiles) -> list[dict[str, Any]]:
    """Per pretext: trials, seconds, best score and how its trials ended."""
    groups: dict[str, list[Mapping[str, str]]] = defaultdict(list)
    for line in study.of_kind("trial"):
        groups[line["pretext"]].append(line)
    rows = [
        {
            "name": name,
            "trials": len(lines),
            "seconds": sum(_or(number(line["seconds"]), 0.0) for line in lines),
            "best": max((s for x in lines if math.isfinite(s := number(x["score"]))), default=NAN),
            "statuses": Counter(line["status"] for line in lines),
        }
        for name, lines in groups.items()
    ]
    return sorted(rows, key=lambda row: -row["seconds"])


def number(text: Any) -> float:
    """A figure from CSV or JSON; nan where there is none."""
    try:
        return float(text)
    except (TypeError, ValueError):
        return NAN


def _bar(name: str, kind: str, one: Mapping[str, Any]) -> Bar:
    value = one.get("test_mean", one.get("test"))
    return Bar(name, kind, number(value), number(one.get("test_low")), number(one.get("test_high")))


def _board(path: Path) -> list[Mapping[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [defaultdict(str, line) for line in csv.DictReader(file)]


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def _reports(path: Path) -> tuple[Any, Any, dict[str, str]]:
    """Scores and losses by trial, sorted by samples seen; a line that was torn is skipped."""
    scores: dict[str, dict[int, float]] = defaultdict(dict)
    losses: dict[str, dict[int, float]] = defaultdict(dict)
    messages: dict[str, str] = {}
    for line in _text(path).splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if event.get("kind") != "report":
            continue
        for key, value, step in event["metrics"]:
            if value is not None and key in ("score", "loss"):
                (scores if key == "score" else losses)[event["trial"]][step] = value
        if event.get("message"):
            messages[event["trial"]] = event["message"]
    return _sorted(scores), _sorted(losses), messages


def _sorted(points: Mapping[str, Mapping[int, float]]) -> dict[str, list[tuple[int, float]]]:
    return {trial: sorted(known.items()) for trial, known in points.items()}


def _mean(values: Sequence[float]) -> float:
    return statistics.fmean(values) if values else NAN


def _or(value: float, other: float) -> float:
    return value if math.isfinite(value) else other


def _welch(first: Sequence[float], second: Sequence[float]) -> tuple[float, float]:
    """95 % interval of the difference of two means (Welch 1947)."""
    if len(first) < 2 or len(second) < 2:
        return NAN, NAN
    from scipy.stats import ttest_ind  # slow to import, and only here

    if max(first) == min(first) and max(second) == min(second):
        return NAN, NAN
    interval = ttest_ind(first, second, equal_var=False).confidence_interval(0.95)
    return float(interval.low), float(interval.high)
