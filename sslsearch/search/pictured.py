"""The pictures of a study: what the views look like, how trials learnt, who won, the front."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch

from sslsearch.augment.compose import Compose
from sslsearch.plots import Bar, Point
from sslsearch.probe.metrics import as_score, sign
from sslsearch.search.board import front, line_of
from sslsearch.search.study import Study
from sslsearch.track import pictures
from sslsearch.train.build import build
from sslsearch.values import Recipe

SHEET_SAMPLES, SHEET_VIEWS, STEP_SAMPLES = 4, 4, 2


def draw(study: Study, chosen: Recipe, result: dict[str, Any]) -> list[Path]:
    """Write them; `chosen` is the recipe that is exported."""
    rows = [row for row in study.record.rows("trial") if row.judged]
    reports = {row.name: [r for r in row.reports if r.status == "ok"] for row in rows}
    families = {row.name: row.recipe.family for row in rows}
    floors = {name: floor["score"] for name, floor in result["floors"].items()}
    known = {name: score for name, score in floors.items() if math.isfinite(score)}
    folder, judge = study.folder, as_score(result["judge_by"])
    less = sign(str(result["metric"]).removeprefix("probe/")) < 0
    made = [
        draw_views(study, chosen),
        *draw_steps(study, chosen),
        pictures.curves(reports, families, folder / "curves.png", floors=known, metric=judge),
        pictures.loss_curve(reports, families, folder / "loss.png"),
        pictures.leaderboard_bars(bars(result), folder / "result.png", test_metric(result), less),
    ]
    return made + [draw_front(study, metric) for metric, _ in study.space.goal.others]


def draw_front(study: Study, metric: str) -> Path:
    """The score of full-length trials against another objective, front-METRIC.png."""
    goal = study.space.goal
    lines = [line_of(row, goal) for row in study.record.rows("trial") if row.status == "ok"]
    best = {line.id for line in front(lines, goal)}
    points = [
        Point(line.id, line.pretext, line.others[metric], line.score, line.id in best)
        for line in lines
    ]
    path = study.folder / f"front-{metric.replace('/', '-')}.png"
    return pictures.front(points, path, metric, as_score(study.space.probe.judge_by))


def bars(result: dict[str, Any]) -> list[Bar]:
    """Winner, default and floors with their test intervals."""
    contest = {result["winner"]["name"]: "winner", result["default"]["name"]: "default"}
    shown = [(result[kind], kind) for kind in contest.values()]
    shown += [(floor, "floor") for floor in result["floors"].values()]
    return [
        Bar(label(one, kind), kind, one["test"], one["test_low"], one["test_high"])
        for one, kind in shown
    ]


def label(one: dict[str, Any], kind: str) -> str:
    return one["name"] if kind == "floor" else f"{kind}: {one['pretext']}"


def test_metric(result: dict[str, Any]) -> str:
    return "test " + str(result["metric"]).removeprefix("probe/")


def draw_views(study: Study, recipe: Recipe) -> Path:
    """The contact sheet: samples of the pool, and what the chosen composition makes of them."""
    _, compose = build(recipe, study.train.spec, 0)
    index = torch.arange(min(SHEET_SAMPLES, len(study.train)))
    batch = study.train.batch(index, torch.device("cpu"))
    rng = torch.Generator().manual_seed(0)
    modality, spec = study.train.modality, study.train.spec
    views = [modality.pictured(compose(batch, rng), batch, spec) for _ in range(SHEET_VIEWS)]
    rows = [[view[i] for view in views] for i in range(len(batch))]
    originals, path = modality.pictured(batch, batch, spec), study.folder / "views.png"
    return pictures.contact_sheet(originals, rows, path, modality.panel)


def draw_steps(study: Study, recipe: Recipe) -> list[Path]:
    """What each augmentation adds to those before it: steps.png, where there are two or more."""
    path, used = study.folder / "steps.png", dict(recipe["augment"] or {})
    path.unlink(missing_ok=True)
    if len(used) < 2:
        return []
    index = torch.arange(min(STEP_SAMPLES, len(study.train)))
    batch = view = study.train.batch(index, torch.device("cpu"))
    rng = torch.Generator().manual_seed(0)
    modality, spec = study.train.modality, study.train.spec
    after = []
    for name, knobs in used.items():
        view = Compose({name: knobs})(view, rng)
        after.append(modality.pictured(view, batch, spec))
    rows = [[step[i] for step in after] for i in range(len(batch))]
    originals, title = modality.pictured(batch, batch, spec), "One augmentation after another"
    headings = [f"+ {name}" for name in used]
    pictures.contact_sheet(originals, rows, path, modality.panel, title, headings=headings)
    return [path]
