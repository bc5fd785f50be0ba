"""A study folder as the report needs it: what is on disk, and nothing that is not there."""

from __future__ import annotations

import csv
import json
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sslsearch.plots import Curve, Point
from sslsearch.probe.metrics import sign
from sslsearch.report import answers
from sslsearch.report.answers import Lessons
from sslsearch.report.effects import Trial, levelled

NAN = math.nan
SIGNS = ("leaderboard.csv", "events.jsonl", "study.db")  # one of them makes a folder a study


@dataclass(frozen=True)
class Contestant:
    """One line of the confirmation; nan where a figure or its interval is not known."""

    name: str
    kind: str  # winner, default, finalist, floor
    pretext: str
    seeds: int
    score: float
    score_low: float
    score_high: float
    test: float
    test_low: float
    test_high: float


@dataclass(frozen=True)
class StudyFiles:
    """All files of a study, read."""

    folder: Path
    lines: Sequence[Mapping[str, str]] = ()  # leaderboard.csv
    result: Mapping[str, Any] = field(default_factory=dict)
    scores: Mapping[str, Sequence[tuple[int, float]]] = field(default_factory=dict)
    losses: Mapping[str, Sequence[tuple[int, float]]] = field(default_factory=dict)
    messages: Mapping[str, str] = field(default_factory=dict)
    rungs: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    lessons: Lessons = field(default_factory=Lessons)
    insight: Mapping[str, Any] = field(default_factory=dict)
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
    scores, losses, messages, rungs = _reports(folder / "events.jsonl")
    result = _text(folder / "result.json")
    lessons, insight = answers.read(folder)
    return StudyFiles(
        folder=folder,
        lines=_board(folder / "leaderboard.csv"),
        result=json.loads(result) if result else {},
        scores=scores,
        losses=losses,
        messages=messages,
        rungs=rungs,
        lessons=lessons,
        insight=insight,
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


def contest(study: StudyFiles) -> list[Contestant]:
    """Winner, default, other finalists and floors with their scores, the best test figure first."""
    result, made = study.result, []
    winner, default = (result.get(kind) or {} for kind in ("winner", "default"))
    named = {id(winner): "winner", id(default): "default"}
    shown = [winner] if winner.get("name") == default.get("name") else [winner, default]
    others = (result.get("finalists") or {}).values()
    shown += [one for one in others if one.get("name") not in {one.get("name") for one in shown}]
    for one in shown:
        made.append(_contestant(one, named.get(id(one), "finalist")))
    for name, one in (result.get("floors") or {}).items():
        made.append(_contestant({"name": name, **one}, "floor"))
    better = sign(str(result.get("metric") or "accuracy").removeprefix("probe/"))
    known = [one for one in made if math.isfinite(one.test)]
    return sorted(known, key=lambda one: -better * one.test)


def recipes(study: StudyFiles) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The winner's recipe and the default's; empty where they are not known."""
    known = study.lessons.recipes
    default = known.get(study.lessons.default) or {}
    winner = known.get(str((study.result.get("winner") or {}).get("recipe_hash"))) or {}
    return winner or default, default


def exported(study: StudyFiles) -> Mapping[str, Any]:
    """The recipe that is exported; empty in a study that has not ended."""
    recipe: Mapping[str, Any] = study.result.get("recipe") or {}
    return recipe


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


def compared(study: StudyFiles, column: str) -> list[Trial]:
    """Every trial's levelled score, with its parts in a column of the leaderboard."""
    at = comparable(study)
    lines = [line for line in study.of_kind("trial") if line["id"] in at]
    return [
        Trial(
            line["pretext"],
            frozenset(filter(None, line[column].split("+")))
            if column == "augment"
            else frozenset([line[column]]),
            at[line["id"]],
        )
        for line in lines
    ]


def comparable(study: StudyFiles) -> dict[str, float]:
    """Each trial's levelled score, of those that have one: see `effects.levelled`."""
    trials = [line["id"] for line in study.of_kind("trial")]
    scores = levelled([study.rungs.get(trial, {}) for trial in trials])
    return {trial: y for trial, y in zip(trials, scores, strict=True) if math.isfinite(y)}


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


def _contestant(one: Mapping[str, Any], kind: str) -> Contestant:
    return Contestant(
        name=str(one.get("name", kind)),
        kind=kind,
        pretext=str(one.get("pretext") or ""),
        seeds=int(one.get("seeds") or 1),
        score=number(one.get("score")),
        score_low=number(one.get("score_low")),
        score_high=number(one.get("score_high")),
        test=number(one.get("test_mean", one.get("test"))),
        test_low=number(one.get("test_low")),
        test_high=number(one.get("test_high")),
    )


def _board(path: Path) -> list[Mapping[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [defaultdict(str, line) for line in csv.DictReader(file)]


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def _reports(path: Path) -> tuple[Any, Any, dict[str, str], Any]:
    """Scores and losses by trial, sorted by samples seen, messages, and scores by rung; a line that
    was torn is skipped."""
    scores: dict[str, dict[int, float]] = defaultdict(dict)
    losses: dict[str, dict[int, float]] = defaultdict(dict)
    rungs: dict[str, dict[int, float]] = defaultdict(dict)
    messages: dict[str, str] = {}
    for line in _text(path).splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if event.get("kind") != "report":
            continue
        trial = event["trial"]
        rung = event.get("rung", len(rungs[trial]))
        for key, value, step in event["metrics"]:
            if value is not None and key in ("score", "loss"):
                (scores if key == "score" else losses)[trial][step] = value
            if value is not None and key == "score":
                rungs[trial][rung] = value
        if event.get("message"):
            messages[trial] = event["message"]
    return _sorted(scores), _sorted(losses), messages, rungs


def _sorted(points: Mapping[str, Mapping[int, float]]) -> dict[str, list[tuple[int, float]]]:
    return {trial: sorted(known.items()) for trial, known in points.items()}


def _or(value: float, other: float) -> float:
    return value if math.isfinite(value) else other
