"""report.html: what a study has learnt, as one page that needs nothing else."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import matplotlib as mpl
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from sslsearch import plots
from sslsearch.probe.metrics import as_score, sign
from sslsearch.report import study as files
from sslsearch.report.effects import effects, levels
from sslsearch.report.study import StudyFiles

TEMPLATE = "page.html.jinja"
LOSS_TRIALS = 60  # losses of more trials than this are no picture but a cloud


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
    for show in (fixed, signed, percent, took, whole):
        environment.filters[show.__name__] = show
    environment.tests["known"] = lambda value: math.isfinite(files.number(value))
    result = study.result
    metric = as_score(str(result.get("judge_by") or result.get("metric") or "score"))
    return environment.get_template(TEMPLATE).render(
        name=study.folder.resolve().name,
        answer=answer(study),
        metric=metric,
        test_metric=_test_metric(study),
        result=result,
        study=study,
        contenders=files.contenders(study),
        less_is_better=_less(study),
        augments=effects(files.compared(study, "augment")),
        pretexts=levels(files.compared(study, "pretext")),
        encoders=levels(files.compared(study, "encoder")),
        common_rung=files.scores_at_common_rung(study)[1],
        costs=files.costs(study),
        weighed=list(files.fronts(study)),
        statuses=sorted({line["status"] for line in study.of_kind("trial")}),
        notes=[str(note) for note in result.get("notes") or ()],
        pictures=pictures(study, metric),
    )


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
        f"{fixed(best['score'])} while searching. Run the study again to let it finish."
    )


def pictures(study: StudyFiles, metric: str) -> dict[str, Markup]:
    """The page's figures as inline SVG, only those that there is something to show in."""
    floors = {line["id"]: files.number(line["score"]) for line in study.of_kind("floor")}
    scores = files.learning_curves(study, study.scores)
    losses = files.learning_curves(study, study.losses)
    bars = files.contenders(study)
    drawn: dict[str, Markup] = {}
    if bars:
        drawn["bars"] = svg(plots.leaderboard_bars(bars, "", _test_metric(study), _less(study)))
    if scores:
        drawn["curves"] = svg(plots.curves(scores, floors, title="", metric=metric))
    for objective, points in files.fronts(study).items():
        drawn[objective] = svg(plots.front(points, objective, metric))
    if losses:
        drawn["losses"] = svg(plots.loss_curve(losses[:LOSS_TRIALS], title=""))
    return drawn


def svg(figure: Figure) -> Markup:
    """A figure as SVG on a clear ground; its ink follows the page's colour."""
    page = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "sslsearch"}):
        figure.savefig(page, format="svg", transparent=True, metadata={"Date": None})
    text = page.getvalue()
    text = text[text.index("<svg") :]  # without the XML header, which HTML does not know
    return Markup(text.replace(plots.INK.lower(), "currentColor"))


def fixed(value: Any) -> str:
    figure = files.number(value)
    return f"{figure:.3f}" if math.isfinite(figure) else "–"


def signed(value: Any) -> str:
    figure = files.number(value)
    return f"{figure:+.3f}".replace("-", "−") if math.isfinite(figure) else "–"


def whole(value: Any) -> str:
    figure = files.number(value)
    return f"{figure:,.0f}" if math.isfinite(figure) else "–"


def percent(value: Any) -> str:
    figure = files.number(value)
    return f"{100 * figure:.0f} %" if math.isfinite(figure) else "–"


def took(value: Any) -> str:
    seconds = files.number(value)
    if not math.isfinite(seconds):
        return "–"
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.1f} min"


def _less(study: StudyFiles) -> bool:
    """Is the test metric a loss?"""
    return sign(_test_metric(study).removeprefix("test ")) < 0


def _test_metric(study: StudyFiles) -> str:
    metric = str(study.result.get("metric") or "accuracy").removeprefix("probe/")
    return f"test {metric}"
