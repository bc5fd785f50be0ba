"""Which figures a study has something to show in: each with the words that stand for it."""

from __future__ import annotations

from matplotlib.figure import Figure

from sslsearch import plots
from sslsearch.report import figures
from sslsearch.report import study as files
from sslsearch.report.strength import strengths as knobs
from sslsearch.report.study import StudyFiles

LOSS_TRIALS = 60  # losses of more trials than this are no picture but a cloud
PANELS, POINTS = 18, 4  # knobs that are drawn, those of most trials; points that a panel needs

Drawn = tuple[Figure, str] | None


def curves(study: StudyFiles, metric: str) -> Drawn:
    scores = files.learning_curves(study, study.scores)
    if not scores:
        return None
    floors = {line["id"]: files.number(line["score"]) for line in study.of_kind("floor")}
    figure = figures.curve_panels(scores, floors, metric)
    return figure, f"{metric} against samples seen, a panel for each pretext family"


def strengths(study: StudyFiles, metric: str) -> Drawn:
    known = [one for one in knobs(study.lessons, study.best) if len(one.points) >= POINTS]
    if len(known) > PANELS:
        most = sorted(known, key=lambda one: -len(one.points))[:PANELS]
        known = [one for one in known if one in most]
    if not known:
        return None
    figure = figures.strength_panels(known, metric)
    return figure, f"{metric} against the value of each knob, a panel for each"


def maps(study: StudyFiles) -> Drawn:
    known = study.insight.get("map")
    if not known:
        return None
    figure = figures.maps(known, study.insight.get("classes") or [])
    return figure, "two maps of the embeddings of the training labels, trained and untrained"


def invariance(study: StudyFiles) -> Drawn:
    known = study.insight.get("invariance") or {}
    if not known.get("augments"):
        return None
    figure = figures.invariance_panels(known)
    return figure, "similarity of samples and their views against the strength of augmentations"


def steps(study: StudyFiles) -> Drawn:
    """The error of each step told; of forecasts and the like."""
    errors = study.insight.get("errors") or {}
    chosen = study.insight.get("encoder")
    order = sorted(errors, key=lambda name: (name != chosen, name))
    known = {name: errors[name]["steps"] for name in order if errors[name].get("steps")}
    if chosen not in known or len(known[chosen]) < 2:
        return None
    return figures.steps(known, "test mse"), "test error of each step that is told"


def losses(study: StudyFiles) -> Drawn:
    known = files.learning_curves(study, study.losses)[:LOSS_TRIALS]
    if not known:
        return None
    return plots.loss_curve(known, title=""), "pretext losses, a panel for each pretext family"


def fronts(study: StudyFiles, metric: str) -> dict[str, Drawn]:
    return {
        objective: (plots.front(points, objective, metric), f"{metric} against {objective}")
        for objective, points in files.fronts(study).items()
    }
