"""report.html: what a study has learnt, as one page that needs nothing else."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from sslsearch import plots
from sslsearch.probe.metrics import as_score
from sslsearch.report import classes, drawn, ranks, recipe, show, unseen
from sslsearch.report import study as files
from sslsearch.report.answers import among, words
from sslsearch.report.effects import effects, levels
from sslsearch.report.health import warnings
from sslsearch.report.study import StudyFiles

TEMPLATE = "page.html.jinja"


def build(study: Path) -> Path:
    """Write `<study>/report.html` from what is on disk; returns its path."""
    known = files.read(study)
    path = study / "report.html"
    draft = path.with_suffix(".part")
    draft.write_text(render(known))
    draft.replace(path)
    return path


def render(study: StudyFiles) -> str:
    """The page as text."""
    environment = Environment(
        loader=PackageLoader("sslsearch.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for form in (*show.FILTERS, among, words):
        environment.filters[form.__name__] = form
    environment.filters["differences"] = lambda by: [one.difference for one in by.values()]
    environment.tests["known"] = lambda value: math.isfinite(files.number(value))
    return environment.get_template(TEMPLATE).render(**contents(study))


def contents(study: StudyFiles) -> dict[str, Any]:
    """Everything that the template shows."""
    result, lessons = study.result, study.lessons
    metric = as_score(str(result.get("judge_by") or result.get("metric") or "score"))
    trials = study.of_kind("trial")
    parts = {part: files.compared(study, part) for part in ("augment", "pretext", "encoder")}
    hues = plots.hues_of(line["pretext"] for line in trials)
    shown = files.exported(study)
    return {
        "name": study.folder.resolve().name,
        "answer": answer(study),
        "metric": metric,
        "test_metric": test_metric(study),
        "result": result,
        "study": study,
        "lessons": lessons,
        "insight": study.insight,
        "scale": show.Scale,
        "hues": hues,
        "warnings": warnings(study),
        "contest": files.contest(study),
        "knobs": recipe.compared(lessons, *files.recipes(study)) if shown else [],
        "steps": recipe.pipeline(lessons, shown),
        "shown": shown,
        "effects": effects(parts["augment"]),
        "choices": {part: levels(parts[part]) for part in ("pretext", "encoder")},
        "tried": unseen.tried(lessons),
        "pairs": unseen.pairs(lessons),
        "ranks": ranks.agreement(lessons),
        "classes": classes.lines(errors(study), study.insight.get("classes") or []),
        "costs": files.costs(study),
        "weighed": list(files.fronts(study)),
        "statuses": sorted({line["status"] for line in trials}),
        "notes": [str(note) for note in result.get("notes") or ()],
        "views": show.png(study.folder / "views.png"),
        "steps_sheet": show.png(study.folder / "steps.png"),
        "pictures": pictures(study, metric),
    }


def answer(study: StudyFiles) -> str:
    """The answer in one sentence, or how far the study is."""
    if study.result.get("verdict"):
        return str(study.result["verdict"])
    trials = study.of_kind("trial")
    if not trials:
        return "No trial has finished yet."
    best = trials[0]
    return (
        f"Not confirmed yet: of {len(trials)} trials {best['id']} ({best['pretext']}) leads with "
        f"{show.fixed(best['score'])} while searching. Run the study again to let it finish."
    )


def errors(study: StudyFiles) -> dict[str, Any]:
    """Where the exported encoder's probe errs on the test split."""
    known = (study.insight.get("errors") or {}).get(study.insight.get("encoder")) or {}
    return dict(known)


def pictures(study: StudyFiles, metric: str) -> dict[str, Markup]:
    """The page's figures as inline SVG, only those that there is something to show in."""
    made = {
        "curves": drawn.curves(study, metric),
        "strengths": drawn.strengths(study, metric),
        "map": drawn.maps(study),
        "invariance": drawn.invariance(study),
        "steps": drawn.steps(study),
        "losses": drawn.losses(study),
        **{f"front:{name}": figure for name, figure in drawn.fronts(study, metric).items()},
    }
    return {name: show.svg(*figure) for name, figure in made.items() if figure is not None}


def test_metric(study: StudyFiles) -> str:
    metric = str(study.result.get("metric") or "accuracy").removeprefix("probe/")
    return f"test {metric}"
