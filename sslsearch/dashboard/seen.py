"""A study as the views see it, whether a study folder or an MLflow tells of it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from sslsearch.track.shipping import Pending
from sslsearch.track.told import SCORES, Told

NAN = math.nan
SILENT_SECONDS = 120.0  # of a study that says it runs: then it was killed, or a rung takes long
WAIT = "seconds/wait"


@dataclass(frozen=True)
class Point:
    """What a rung said."""

    samples: int
    score: float
    low: float = NAN
    high: float = NAN


@dataclass(frozen=True)
class Trial:
    """A trial, a finalist's run or a floor. Times are seconds since 1970."""

    id: str
    kind: str
    status: str
    params: Mapping[str, str] = field(default_factory=dict)
    points: Sequence[Point] = ()
    seconds: float = NAN
    began: float = NAN
    heard: float = NAN
    test: float = NAN
    recipe: str = ""
    message: str = ""

    @property
    def pretext(self) -> str:
        return self.params.get("pretext", "")

    @property
    def augments(self) -> tuple[str, ...]:
        written = self.params.get("augment", "none")
        return () if written == "none" else tuple(written.split("+"))

    @property
    def last(self) -> Point:
        return self.points[-1] if self.points else Point(0, NAN)


@dataclass(frozen=True)
class Study:
    """A study.

    Attributes:
        place: its folder, or where MLflow has it.
        state: running, paused, finished.
        metric: what scores are.
        space: its YAML.
        spent: seconds that it has run, pauses left out.
    """

    name: str
    place: str
    id: str = ""
    state: str = "running"
    goal: str = ""
    metric: str = "score"
    verdict: str = ""
    space: str = ""
    trials: Sequence[Trial] = ()
    results: Mapping[str, float] = field(default_factory=dict)
    began: float = NAN
    heard: float = NAN
    spent: float = NAN

    def of_kind(self, *kinds: str) -> list[Trial]:
        return [trial for trial in self.trials if trial.kind in kinds]

    @property
    def live(self) -> list[Trial]:
        return [t for t in self.of_kind("trial", "finalist") if t.status == "running"]

    @property
    def counts(self) -> Counter[str]:
        return Counter(trial.status for trial in self.of_kind("trial"))

    @property
    def best(self) -> Trial | None:
        """The best of the trials that came furthest."""
        known = [t for t in self.of_kind("trial") if math.isfinite(t.last.score)]
        known = [t for t in known if t.status != "outside"] or known
        return max(known, key=lambda t: (len(t.points), t.last.score), default=None)

    def settings(self) -> dict[str, str]:
        """The space as flat names, as it is written."""
        try:
            body = yaml.safe_load(self.space)
        except yaml.YAMLError:
            return {}
        return dict(_paths("", body)) if isinstance(body, dict) else {}

    def silent(self, now: float) -> bool:
        """Does it say that it runs, and yet tells nothing?"""
        return self.state == "running" and now - self.heard > SILENT_SECONDS


def at_common_rung(trials: Sequence[Trial]) -> tuple[dict[str, float], int]:
    """Each trial's score at the deepest rung that at least half of them reached, for scores of
    different rungs do not compare; and that rung's samples (the median, for batches round them)."""
    known = [t for t in trials if any(math.isfinite(point.score) for point in t.points)]
    reached = Counter(rung for t in known for rung in range(len(t.points)))
    deep = max((rung for rung, n in reached.items() if 2 * n >= len(known)), default=-1)
    at = {t.id: t.points[deep] for t in known if deep >= 0 and len(t.points) > deep}
    samples = sorted(point.samples for point in at.values())
    middle = samples[len(samples) // 2] if samples else 0
    return {t: p.score for t, p in at.items() if math.isfinite(p.score)}, middle


def study_of(
    told: Told,
    name: str,
    place: str,
    space: str = "",
    board: Mapping[str, Mapping[str, Any]] | None = None,
) -> Study:
    """The study out of what was told; `board` is its leaderboard by id, if there is one."""
    rows = board or {}
    own = told.runs.get(None, Pending(told.heard))
    finished = told.state == "finished"
    results = {key: value for (key, _, _), value in own.metrics.items()} if finished else {}
    floors = {key: {"test_score": results.get(f"floor/{key}/test")} for key in told.runs}
    trials = [
        _trial(trial, one, told.messages.get(trial, ""), rows.get(trial, floors[trial]))
        for trial, one in told.runs.items()
        if trial is not None
    ]
    judged = next((t.params["probe.judge_by"] for t in trials if "probe.judge_by" in t.params), "")
    return Study(
        name=name,
        place=place,
        id=told.study,
        state=told.state,
        goal=own.tags.get("sslsearch.goal", ""),
        metric=judged or "score",
        verdict=own.tags.get("sslsearch.verdict", "") if finished else "",
        space=space or own.texts.get("space.yaml", ""),
        trials=sorted(trials, key=lambda t: t.began),
        results=results,
        began=own.started / 1000,
        heard=told.heard / 1000,
        spent=told.spent / 1000,
    )


def _trial(trial: str, one: Pending, message: str, line: Mapping[str, Any]) -> Trial:
    rungs: dict[int, dict[str, float]] = {}
    stages: dict[tuple[str, int], float] = {}
    for (key, _, step), value in one.metrics.items():
        if key in SCORES:
            rungs.setdefault(step, {})[key] = value
        elif key.startswith("seconds/") and key != WAIT:
            stages[key, step] = value
    kind = one.tags.get("sslsearch.kind", "trial")
    total = [value for (key, _), value in stages.items() if key == "seconds/total"]
    # only the leaderboard knows the interval of a floor
    known = {key: number(line.get(key)) for key in SCORES[1:]} if kind == "floor" else {}
    points = [
        Point(step, *({**known, **said}.get(key, NAN) for key in SCORES))
        for step, said in sorted(rungs.items())
    ]
    outside = line.get("status") == "outside"
    return Trial(
        id=trial,
        kind=kind,
        status="outside" if outside else one.tags.get("sslsearch.status", "running"),
        params=one.params,
        points=points,
        seconds=total[-1] if total else sum(stages.values()),
        began=one.started / 1000,
        heard=max([one.started, one.ended or 0, *(time for _, time, _ in one.metrics)]) / 1000,
        test=number(line.get("test_score")),
        recipe=one.tags.get("sslsearch.recipe", ""),
        message=message,
    )


def _paths(path: str, body: Any) -> Iterator[tuple[str, str]]:
    """Each leaf of a nested mapping with its dotted path; a part without knobs is a leaf too."""
    if isinstance(body, dict) and body:
        for key, value in body.items():
            yield from _paths(f"{path}.{key}" if path else str(key), value)
    else:
        yield path, "defaults" if body in ({}, None) else str(body)


def number(text: Any) -> float:
    """A figure out of a text; nan where there is none."""
    try:
        return float(text)
    except (TypeError, ValueError):
        return NAN
