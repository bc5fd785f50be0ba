"""Figures of a study, as matplotlib figures without global state: for MLflow and for the report.

Colours are Okabe and Ito's eight, which colour-blind readers tell apart.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # matplotlib is imported where something is drawn: workers never draw
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HUES = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#B8A800", "#7F3C8D")
BEST, QUIET, INK = "#D55E00", "#9AA0A6", "#3C4043"


CHANNELS = 4  # more lines than this in a panel are not read


@dataclass(frozen=True)
class Curve:
    """A trial's way: points are (samples seen, value)."""

    trial: str
    family: str
    points: Sequence[tuple[int, float]]
    best: bool = False


@dataclass(frozen=True)
class Bar:
    """One contender; nan where the interval is not known."""

    name: str
    kind: str  # winner, default, floor
    value: float
    low: float = float("nan")
    high: float = float("nan")
    note: str = field(default="")


@dataclass(frozen=True)
class Point:
    """A trial where two objectives are weighed."""

    trial: str
    family: str
    x: float
    score: float
    on_front: bool = False


def curves(
    trials: Sequence[Curve],
    floors: Mapping[str, float] | None = None,
    title: str = "How every trial learnt",
    metric: str = "score",
) -> Figure:
    """Score against samples seen: one hue per pretext, the best trial thick, floors dashed."""
    figure, axes = _figure(7.2, 3.9, title)
    hues = hues_of(curve.family for curve in trials)
    for curve in sorted(trials, key=lambda curve: curve.best):
        points = [(x, y) for x, y in curve.points if math.isfinite(y)]
        hue, width, alpha = (
            hues[curve.family],
            2.6 if curve.best else 1.1,
            1 if curve.best else 0.55,
        )
        axes.plot(*_columns(points), color=hue, marker="o", ms=3, lw=width, alpha=alpha)
        if curve.best and points:
            axes.annotate(
                f"best: {curve.trial}", points[-1], color=hue, fontsize=9, weight="bold",
                va="bottom", ha="right", xytext=(0, 5), textcoords="offset points",
            )  # fmt: skip
    for family, hue in hues.items():
        axes.plot([], [], color=hue, marker="o", ms=3, label=family)
    _dashed(axes, floors or {})
    _samples_axis(axes, [x for curve in trials for x, _ in curve.points])
    axes.set_ylabel(metric, fontsize=9, color=INK)
    if hues:
        axes.legend(frameon=False, fontsize=8, loc="lower right", ncols=2)
    return figure


def loss_curve(
    trials: Sequence[Curve], title: str = "Pretext loss (compare only within one pretext)"
) -> Figure:
    """Loss against samples seen, a small panel per pretext: their losses are no common scale."""
    families = list(hues_of(curve.family for curve in trials).items())
    wide = min(3, max(1, len(families)))
    tall = max(1, math.ceil(len(families) / wide))
    from matplotlib.figure import Figure

    figure = Figure(figsize=(max(4.0, 2.6 * wide), 0.5 + 2.1 * tall), layout="constrained")
    figure.suptitle(title, fontsize=10, color=INK, x=0.01, ha="left")
    panels = figure.subplots(tall, wide, squeeze=False).ravel()
    for axes, (family, hue) in zip(panels, families, strict=False):
        _bare(axes)
        axes.set_title(family, fontsize=9, color=hue, loc="left")
        for curve in trials:
            if curve.family == family:
                width = 2.0 if curve.best else 0.9
                axes.plot(*_columns(curve.points), color=hue, lw=width, alpha=0.8)
        _samples_axis(axes, [x for c in trials if c.family == family for x, _ in c.points], "")
    for axes in panels[len(families) :]:
        axes.set_axis_off()
    if families:
        figure.supxlabel("samples seen", fontsize=9, color=INK)
    return figure


def leaderboard_bars(
    bars: Sequence[Bar],
    title: str = "Does it beat the default and the floors?",
    metric: str = "test accuracy",
    less_is_better: bool = False,
) -> Figure:
    """One dot with its 95 % interval per contender, the best on top: a bar from zero would hide the
    differences."""
    known = [bar for bar in bars if math.isfinite(bar.value)]
    known.sort(key=lambda bar: bar.value, reverse=less_is_better)
    figure, axes = _figure(7.2, 1.0 + 0.36 * max(2, len(known)), title)
    hues = {"winner": BEST, "default": HUES[0]}
    for place, bar in enumerate(known):
        hue = hues.get(bar.kind, QUIET)
        if math.isfinite(bar.low) and math.isfinite(bar.high):
            axes.plot([bar.low, bar.high], [place, place], color=hue, lw=5, alpha=0.35)
        axes.plot([bar.value], [place], "o", color=hue, ms=8)
        axes.annotate(
            f"{bar.value:.3f}{'  ' + bar.note if bar.note else ''}",
            (1.0, place), xycoords=("axes fraction", "data"), va="center",
            xytext=(6, 0), textcoords="offset points", fontsize=9, color=INK,
        )  # fmt: skip
    axes.set_yticks(range(len(known)), [bar.name for bar in known], fontsize=9)
    for label, bar in zip(axes.get_yticklabels(), known, strict=True):
        label.set_fontweight("bold" if bar.kind == "winner" else "normal")
    axes.set_ylim(-0.6, len(known) - 0.4)
    axes.margins(x=0.08)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#80868B", alpha=0.2, lw=0.8)
    axes.set_xlabel(f"{metric} (dot: mean, band: 95 % interval)", fontsize=9, color=INK)
    return figure


def front(points: Sequence[Point], x: str, metric: str = "score") -> Figure:
    """Score against another objective: a dot a trial, what no other beats in all is ringed."""
    figure, axes = _figure(7.2, 3.9, f"What a better {metric} takes")
    known = [point for point in points if math.isfinite(point.x) and math.isfinite(point.score)]
    for family, hue in hues_of(point.family for point in known).items():
        own = [point for point in known if point.family == family]
        axes.scatter([p.x for p in own], [p.score for p in own], s=26, color=hue, label=family)
    for point in filter(lambda point: point.on_front, known):
        axes.scatter([point.x], [point.score], s=90, facecolor="none", edgecolor=BEST, lw=1.4)
        axes.annotate(
            point.trial, (point.x, point.score), xytext=(6, 4), textcoords="offset points",
            fontsize=8, color=INK,
        )  # fmt: skip
    if (
        known
        and min(p.x for p in known) > 0
        and max(p.x for p in known) > 8 * min(p.x for p in known)
    ):
        axes.set_xscale("log")
    axes.set_xlabel(x, fontsize=9, color=INK)
    axes.set_ylabel(metric, fontsize=9, color=INK)
    if known:
        axes.legend(frameon=False, fontsize=8)
    return figure


def hues_of(families: Iterable[str]) -> dict[str, str]:
    """A hue per family, the same for the same set of families."""
    names = sorted(set(families))
    return {name: HUES[place % len(HUES)] for place, name in enumerate(names)}


def _figure(width: float, height: float, title: str) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, fontsize=11, color=INK, loc="left")
    _bare(axes)
    return figure, axes


def _bare(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(QUIET)
    axes.tick_params(colors=INK, labelsize=8)


def _samples_axis(axes: Axes, samples: Sequence[int], label: str = "samples seen") -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    low, high = min(samples, default=1), max(samples, default=1)
    if low > 0 and high / low >= 8:  # rungs grow by a factor: equal steps on a logarithmic axis
        axes.set_xscale("log")
        places = sorted(set(samples))
        axes.set_xticks(places if len(places) <= 8 else [low, high], minor=False)
        axes.xaxis.set_minor_locator(MaxNLocator(1))
        axes.minorticks_off()
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: _thousands(x)))
    axes.set_xlabel(label, fontsize=9, color=INK)


def _thousands(x: float) -> str:
    return f"{x / 1000:g}k" if x >= 1000 else f"{x:g}"


def _columns(points: Sequence[tuple[int, float]]) -> tuple[list[int], list[float]]:
    return [x for x, _ in points], [y for _, y in points]


def _dashed(axes: Axes, floors: Mapping[str, float]) -> None:
    """A dashed line per floor, named at its right end; names that would touch share a line."""
    known = sorted((score, name) for name, score in floors.items() if math.isfinite(score))
    for score, _ in known:
        axes.axhline(score, color=QUIET, lw=1, ls=(0, (4, 3)), zorder=0)
    low, high = axes.get_ylim()
    groups: list[list[tuple[float, str]]] = []
    for score, name in known:
        if groups and score - groups[-1][-1][0] < (high - low) / 22:
            groups[-1].append((score, name))
        else:
            groups.append([(score, name)])
    for group in groups:
        middle = sum(score for score, _ in group) / len(group)
        axes.annotate(
            ", ".join(name for _, name in reversed(group)), (1.0, middle), va="center",
            xycoords=("axes fraction", "data"), xytext=(4, 0), textcoords="offset points",
            fontsize=8, color=INK,
        )  # fmt: skip


def lines(axes: Axes, x_CT: NDArray[np.float32], original_CT: NDArray[np.float32]) -> None:
    """A series, a line per channel, on the original's scale; missing values (nan) leave a gap."""
    first = x_CT is original_CT
    for channel, x_T in enumerate(x_CT[:CHANNELS]):
        hue = HUES[channel]
        axes.plot(x_T, color=hue, lw=1.1 if first else 0.9, alpha=1.0 if channel == 0 else 0.75)
    axes.margins(x=0)
    axes.set_ylim(*_limits(original_CT))
    if first and len(x_CT) > CHANNELS:
        axes.set_xlabel(f"first {CHANNELS} of {len(x_CT)} channels", fontsize=6, color=INK)


def pixels(axes: Axes, x_CHW: NDArray[np.float32]) -> None:
    """An image of values in 0..1: grey with one channel, the first three as colours with more."""
    colours = x_CHW[:3].transpose(1, 2, 0) if len(x_CHW) >= 3 else x_CHW[0]
    axes.imshow(np.clip(colours, 0.0, 1.0), cmap="gray", vmin=0.0, vmax=1.0)


def cells(axes: Axes, x_RC: NDArray[np.float32]) -> None:
    """Coloured cells between -1 and 1; missing ones (nan) have a colour of their own."""
    import matplotlib

    colours = matplotlib.colormaps["PuOr"].with_extremes(bad="#81C995")
    axes.imshow(x_RC, aspect="auto", cmap=colours, vmin=-1, vmax=1, interpolation="nearest")


def _limits(x_CT: NDArray[np.float32]) -> tuple[float, float]:
    """The original's range with room for what views add."""
    seen = x_CT[:CHANNELS]
    if not np.isfinite(seen).any():
        return -1.0, 1.0
    low, high = float(np.nanmin(seen)), float(np.nanmax(seen))
    room = 0.25 * (high - low) or 1.0
    return low - room, high + room
