"""The app's charts, in Altair: it comes with Streamlit and follows its light and dark theme."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from sslsearch.dashboard.seen import Study, Trial
from sslsearch.plots import HUES, hues_of

GREY = "#9AA0A6"
FINE = ".3f"
EVERY = alt.Axis(labelOverlap=False, labelFlush=False, labelLimit=320)  # row has its name
MOST_POINTS = 5_000  # drawn in one chart


def curves(study: Study, bright: Sequence[str], families: Iterable[str]) -> Any:
    """Score against samples seen: trials in `bright` thick, the others thin; floors dashed."""
    trials = study.of_kind("trial")
    rows: list[dict[str, Any]] = [
        {
            "trial": trial.id,
            "pretext": trial.pretext,
            "samples seen": point.samples,
            study.metric: point.score,
            "status": trial.status,
            "bright": trial.id in bright,
        }
        for trial in trials
        for point in trial.points
        if math.isfinite(point.score)
    ][-MOST_POINTS:]
    columns = ["trial", "pretext", "samples seen", study.metric, "status", "bright"]
    lines = (
        alt.Chart(pd.DataFrame(rows, columns=columns))
        .mark_line(point=alt.OverlayMarkDef(size=24))
        .encode(
            x=alt.X("samples seen:Q", scale=_samples_scale([row["samples seen"] for row in rows])),
            y=_score(study.metric),
            color=_hue(families),
            detail="trial:N",
            opacity=alt.condition("datum.bright", alt.value(1.0), alt.value(0.45)),
            strokeWidth=alt.condition("datum.bright", alt.value(3), alt.value(1.2)),
            tooltip=["trial", "pretext", "status", "samples seen", _figure(study.metric)],
        )
    )
    return (lines + _floors(study)).properties(height=380)


def intervals(study: Study, trials: Sequence[Trial], families: Iterable[str]) -> Any:
    """A dot with its 95 % interval for each row, in the order given; floors dashed."""
    rows = [
        {
            "id": trial.id,
            "pretext": trial.pretext,
            study.metric: trial.last.score,
            "low": trial.last.low,
            "high": trial.last.high,
            "samples seen": trial.last.samples,
        }
        for trial in trials
        if math.isfinite(trial.last.score)
    ]
    columns = ["id", "pretext", study.metric, "low", "high", "samples seen"]
    base = alt.Chart(pd.DataFrame(rows, columns=columns)).encode(
        y=alt.Y("id:N", sort=None, title=None, axis=EVERY), color=_hue(families)
    )
    dots = base.mark_point(filled=True, size=70, opacity=1).encode(
        x=_score(study.metric, alt.X),
        tooltip=["id", "pretext", "samples seen", *map(_figure, (study.metric, "low", "high"))],
    )
    bands = base.mark_rule(strokeWidth=4, opacity=0.35).encode(
        x=alt.X("low:Q", title=study.metric), x2="high:Q"
    )
    return (bands + dots + _floors(study, upright=True)).properties(height=60 + 20 * len(rows))


def weights(rows: Sequence[Mapping[str, Any]]) -> Any:
    """A bar for each axis with its interval, pale where it does not pass what chance explains."""
    frame = pd.DataFrame(rows)
    y = alt.Y("axis:N", sort=None, title=None, axis=EVERY)
    x = alt.X("share:Q", axis=alt.Axis(format="%"), title="share of the scores' variance")
    tips: list[Any] = [
        "axis",
        "asked",
        "trials",
        *(alt.Tooltip(f"{k}:Q", format=".1%") for k in _SHARES),
    ]
    base = alt.Chart(frame).encode(y=y, tooltip=tips)
    hue = alt.condition("datum.share > datum.chance", alt.value("#0072B2"), alt.value("#9BB8CC"))
    bars = base.mark_bar(height=12).encode(x=x, color=hue)
    bands = base.mark_rule(strokeWidth=2, color=GREY).encode(x="low:Q", x2="high:Q")
    chance = base.mark_tick(thickness=3, color="#D55E00").encode(x="chance:Q")
    return (bars + bands + chance).properties(height=60 + 22 * len(frame))


_SHARES = ("share", "low", "high", "chance")


def heat(cells: pd.DataFrame, metric: str) -> Any:
    """Mean score (colour, upper figure) and number of trials (lower) by augmentation, pretext."""
    x = alt.X("pretext:N", title=None, axis=alt.Axis(orient="top", labelAngle=0, labelLimit=120))
    base = alt.Chart(cells).encode(x=x, y=alt.Y("augmentation:N", title=None, sort=None))
    tips = ["augmentation", "pretext", "trials", _figure("mean")]
    colour = alt.Color(
        "mean:Q",
        scale=alt.Scale(scheme="viridis"),
        legend=alt.Legend(title=f"mean {metric}", gradientLength=100, format=".2f"),
    )
    tiles = base.mark_rect(cornerRadius=3).encode(color=colour, tooltip=tips)
    low, high = cells["mean"].min(), cells["mean"].max()
    dark = alt.condition(f"datum.mean > {(low + high) / 2}", alt.value("black"), alt.value("white"))
    means = base.mark_text(dy=-6, fontSize=13).encode(text=_text("mean"), color=dark)
    counts = base.mark_text(dy=9, fontSize=10).encode(text="label:N", color=dark)
    return (tiles + means + counts).properties(
        height=max(180, 44 + 44 * cells["augmentation"].nunique())
    )


def strength(
    dots: pd.DataFrame, bins: pd.DataFrame, axes: tuple[str, str], log: bool, families: list[str]
) -> Any:
    """Score against an augmentation's strength: a dot a trial, the means of neighbours a line."""
    knob, metric = axes
    scale = alt.Scale(type="log") if log else alt.Scale(zero=False)
    x = alt.X("strength:Q", scale=scale, title=knob)
    points = (
        alt.Chart(dots)
        .mark_circle(size=60, opacity=0.7)
        .encode(
            x=x,
            y=_score(metric),
            color=_hue(families),
            tooltip=["trial", "pretext", alt.Tooltip("strength:Q", format=".3g"), _figure(metric)],
        )
    )
    base = alt.Chart(bins).encode(x=x)
    band = base.mark_area(opacity=0.18, color=GREY).encode(y="low:Q", y2="high:Q")
    line = base.mark_line(color=GREY, point=alt.OverlayMarkDef(color=GREY)).encode(y="mean:Q")
    return (band + line + points).properties(height=340)


def side_by_side(rows: pd.DataFrame, names: Sequence[str], metric: str) -> Any:
    """The best score of each pretext with its interval, one study below another."""
    scale = alt.Scale(domain=list(names), range=list(HUES[: len(names)]))
    legend = alt.Legend(orient="top", title=None, symbolOpacity=1, columns=2, labelLimit=320)
    base = alt.Chart(rows).encode(
        y=alt.Y("pretext:N", title=None, axis=EVERY),
        yOffset=alt.YOffset("study:N", sort=list(names)),
        color=alt.Color("study:N", scale=scale, legend=legend),
    )
    tips = ["study", "pretext", "trial", *(_figure(k) for k in ("score", "low", "high"))]
    dots = base.mark_point(filled=True, size=80, opacity=1).encode(
        x=alt.X("score:Q", scale=alt.Scale(zero=False), title=metric), tooltip=tips
    )
    bands = base.mark_rule(strokeWidth=5, opacity=0.35).encode(
        x=alt.X("low:Q", title=metric), x2="high:Q"
    )
    tall = 80 + 20 * (1 + len(names)) * rows["pretext"].nunique()
    return (bands + dots).properties(height=tall)


def _hue(families: Iterable[str]) -> Any:
    """The hue of each pretext: the same names have the same hues in every chart of a study."""
    hues = hues_of(families)
    scale = alt.Scale(domain=list(hues), range=list(hues.values()))
    legend = alt.Legend(orient="top", title=None, symbolOpacity=1)
    return alt.Color("pretext:N", scale=scale, legend=legend)


def _score(metric: str, axis: Any = alt.Y) -> Any:
    return axis(f"{metric}:Q", scale=alt.Scale(zero=False), title=metric)


def _figure(name: str) -> Any:
    return alt.Tooltip(f"{name}:Q", format=FINE)


def _text(name: str) -> Any:
    return alt.Text(f"{name}:Q", format=FINE)


def _samples_scale(samples: Sequence[int]) -> Any:
    """Rungs grow by a factor: equal steps on a logarithmic axis."""
    low, high = min(samples, default=1), max(samples, default=1)
    return alt.Scale(type="log", nice=False) if low > 0 and high >= 8 * low else alt.Scale()


def _floors(study: Study, upright: bool = False) -> Any:
    """A dashed line for each floor, with its name."""
    rows = [
        {"floor": floor.id, "score": floor.last.score}
        for floor in study.of_kind("floor")
        if math.isfinite(floor.last.score)
    ]
    base = alt.Chart(pd.DataFrame(rows, columns=["floor", "score"]))
    tips: list[Any] = ["floor:N", _figure("score")]
    rules = base.mark_rule(strokeDash=[5, 4], color=GREY, strokeWidth=1.5)
    if upright:
        names = base.mark_text(angle=270, align="right", dy=-6, fontSize=11, color=GREY)
        return rules.encode(x="score:Q", tooltip=tips) + names.encode(
            x="score:Q", y=alt.value(4), text="floor:N"
        )
    names = base.mark_text(align="right", dx=-4, dy=-6, fontSize=11, color=GREY)
    return rules.encode(y="score:Q", tooltip=tips) + names.encode(
        y="score:Q", x=alt.value("width"), text="floor:N"
    )
