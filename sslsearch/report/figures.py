"""The report's figures with axes, as matplotlib figures: curves, strengths, maps, invariances.

Colours are those of plots.py: a hue per pretext family, orange for the best, grey for what it is
held against.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sslsearch.plots import BEST, HUES, INK, QUIET, Curve, hues_of
from sslsearch.report.strength import Strength

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDE = 7.6  # inches: the page's column
SMALL = 7.5  # points, of small text
OTHERS = [hue for hue in HUES if hue != BEST]  # where the best is one of many
LEGEND = 70  # letters of a legend in one line
MARKS = ("o", "s", "^", "D", "v", "P", "X")  # of classes beyond the hues


def curve_panels(trials: Sequence[Curve], floors: Mapping[str, float], metric: str) -> Figure:
    """Score against samples seen, a panel per pretext family on one scale; floors are dashed."""
    families = list(hues_of(curve.family for curve in trials).items())
    figure, panels = _grid(len(families), 3, 1.75)
    scores = [y for curve in trials for _, y in curve.points if math.isfinite(y)]
    known = sorted((y, name) for name, y in floors.items() if math.isfinite(y))
    low, high = min(scores), max(scores)
    room = 0.06 * (high - low) or 0.01
    near = [(y, name) for y, name in known if low - 4 * room <= y <= high + 4 * room]
    low, high = min([low, *(y for y, _ in near)]), max([high, *(y for y, _ in near)])
    for place, (axes, (family, hue)) in enumerate(zip(panels, families, strict=True)):
        own = [curve for curve in trials if curve.family == family]
        for y, name in near:
            axes.axhline(y, color=QUIET, lw=0.8, ls=(0, (4, 3)), zorder=0)
            if place == 0:
                axes.annotate(
                    name, (0.0, y), xycoords=("axes fraction", "data"), xytext=(2, 2),
                    textcoords="offset points", fontsize=6.5, color=INK,
                )  # fmt: skip
        for curve in sorted(own, key=lambda curve: curve.best):
            points = [(x, y) for x, y in curve.points if math.isfinite(y)]
            axes.plot(
                *zip(*points, strict=True) if points else ([], []),
                color=BEST if curve.best else hue,
                lw=2.2 if curve.best else 1.0,
                alpha=1.0 if curve.best else 0.6, marker="o", ms=2.4,
            )  # fmt: skip
        axes.set_title(f"{family} ({len(own)})", fontsize=9, color=hue, loc="left", weight="bold")
        axes.set_ylim(low - room, high + room)
        _samples(axes, [x for curve in trials for x, _ in curve.points])
        _labelled(axes, place, 3, metric)
    figure.supxlabel("samples seen", fontsize=8, color=INK)
    return figure


def strength_panels(strengths: Sequence[Strength], metric: str) -> Figure:
    """The score from its family's mean against each knob: trials as dots in their family's hue,
    the smooth line with its band, the best trial's value as an orange tick."""
    hues = hues_of(family for one in strengths for _, _, family in one.points)
    figure, panels = _grid(len(strengths), 3, 1.8)
    for place, (axes, one) in enumerate(zip(panels, strengths, strict=True)):
        axes.axhline(0, color=QUIET, lw=0.8, zorder=0)
        for family, hue in hues.items():
            own = [(x, y) for x, y, f in one.points if f == family]
            if own:
                x, y = zip(*own, strict=True)
                axes.scatter(x, y, s=11, color=hue, alpha=0.75, lw=0, zorder=2)
        if one.line:
            x, y, low, high = zip(*one.line, strict=True)
            axes.fill_between(x, low, high, color=QUIET, alpha=0.28, lw=0, zorder=1)
            axes.plot(x, y, color=INK, lw=1.6, zorder=3)
        if one.best is not None:
            axes.axvline(one.best, color=BEST, lw=1.6, ymax=0.12)
        if one.axis.log:
            axes.set_xscale("log")
        axes.set_xlim(*_range(one))
        _calm(axes, one.axis.log, one.axis.kind == "whole")
        name = one.axis.words.removeprefix("augment.").removeprefix("pretext.")
        axes.set_title(name.replace("masking.", ""), fontsize=8.5, color=INK, loc="left")
        _labelled(axes, place, 3, f"{metric} from\nits family's mean")
    return figure


def maps(known: Mapping[str, Any], classes: Sequence[str]) -> Figure:
    """The embeddings' main plane, trained beside untrained, a hue per class."""
    figure, panels = _grid(2, 2, 3.3)
    for axes, which in zip(panels, ("untrained", "trained"), strict=True):
        one = known[which]
        for at, code in enumerate(sorted(set(one["labels"]))):
            own = [xy for xy, label in zip(one["xy"], one["labels"], strict=True) if label == code]
            name = classes[code] if 0 <= code < len(classes) else "no label"
            x, y = zip(*own, strict=True)
            axes.scatter(
                x, y, s=16, lw=0, alpha=0.8, label=str(name)[:18],
                color=HUES[at % len(HUES)] if code >= 0 else QUIET,
                marker=MARKS[at // len(HUES) % len(MARKS)],
            )  # fmt: skip
        share = 100 * sum(one["spread"])
        axes.set_title(f"{which}", fontsize=10, color=INK, loc="left", weight="bold")
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(True)
        axes.spines[:].set_color(QUIET)
        axes.spines[:].set_alpha(0.5)
        axes.set_xlabel(f"{share:.0f} % of the variance", fontsize=SMALL, color=INK)
    handles, names = panels[0].get_legend_handles_labels()
    if 1 < len(names) <= 20:
        figure.legend(
            handles, names, loc="outside lower center", frameon=False,
            ncols=len(names) if sum(map(len, names)) < LEGEND else 5,
            fontsize=SMALL, handletextpad=0.1, columnspacing=1.0,
        )  # fmt: skip
    return figure


def invariance_panels(known: Mapping[str, Any]) -> Figure:
    """How like a view its sample stays, against the augmentation's strength (1 = its default)."""
    augments, used = known["augments"], known["used"]
    sides = [low for levels in augments.values() for one in levels for _, low, _ in _sides(one)]
    lowest = min([-0.15, *sides])
    figure, panels = _grid(len(augments), 4, 1.45)
    for place, (axes, (name, levels)) in enumerate(zip(panels, augments.items(), strict=True)):
        for which, hue in (("untrained", QUIET), ("trained", BEST)):
            points = [(0.0, 1.0, 1.0, 1.0)] + [
                (level["strength"], *level["alike"][which]) for level in levels
            ]
            x, y, low, high = zip(*points, strict=True)
            axes.fill_between(x, low, high, color=hue, alpha=0.22, lw=0)
            axes.plot(x, y, color=hue, lw=1.8 if which == "trained" else 1.4, marker="o", ms=2.2)
            axes.axhline(known["floor"][which], color=hue, lw=0.9, ls=(0, (3, 3)), zorder=0)
        if name in used:
            axes.axvline(used[name], color=INK, lw=1.2, ymax=0.1)
        axes.set_title(
            name, fontsize=8, color=INK, loc="left", weight="bold" if name in used else "normal"
        )
        axes.set_ylim(lowest - 0.06, 1.06)
        axes.set_xlim(0, 2.05)
        axes.set_xticks([0, 1, 2], ["off", "1", "2"])
        axes.set_yticks([0, 0.5, 1])
        _labelled(axes, place, 4, "similarity")
    figure.supxlabel("strength (1 = the augmentation's default)", fontsize=8, color=INK)
    return figure


def _sides(level: Mapping[str, Any]) -> list[Sequence[float]]:
    return [level["alike"][which] for which in ("trained", "untrained")]


def steps(errors: Mapping[str, Sequence[float]], metric: str) -> Figure:
    """The error of each step that is told: the exported encoder's, and what it is held against."""
    figure, (axes,) = _grid(1, 1, 2.6)
    for place, (name, values) in enumerate(errors.items()):
        hue = BEST if place == 0 else OTHERS[place % len(OTHERS)]
        axes.plot(
            range(1, 1 + len(values)), values, color=hue, lw=2 if place == 0 else 1.2, label=name
        )
    axes.set_xlabel("step told", fontsize=8, color=INK)
    axes.set_ylabel(metric, fontsize=8, color=INK)
    axes.legend(frameon=False, fontsize=SMALL)
    return figure


def _grid(n: int, columns: int, height: float) -> tuple[Figure, list[Axes]]:
    """n panels in rows of up to `columns`; what is left of the last row is empty."""
    from matplotlib.figure import Figure

    columns = min(columns, n)
    rows = math.ceil(n / columns)
    figure = Figure(figsize=(WIDE, 0.35 + height * rows), layout="constrained")
    panels = list(figure.subplots(rows, columns, squeeze=False).ravel())
    for axes in panels[n:]:
        axes.set_axis_off()
    for axes in panels[:n]:
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(QUIET)
        axes.tick_params(colors=INK, labelsize=SMALL, length=2.5)
    return figure, panels[:n]


def _labelled(axes: Axes, place: int, columns: int, label: str) -> None:
    if place % columns == 0:
        axes.set_ylabel(label, fontsize=SMALL, color=INK)


def _range(one: Strength) -> tuple[float, float]:
    """What was searched, with a little room."""
    return one.axis.at(-0.03), one.axis.at(1.03)


def _calm(axes: Axes, log: bool, whole: bool) -> None:
    """Few ticks, as plain numbers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    if log:
        low, high = axes.get_xlim()
        few = high / low > 30
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0,) if few else (1.0, 2.0, 5.0)))
        axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=whole))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.yaxis.set_major_locator(MaxNLocator(4))


def _samples(axes: Axes, samples: Sequence[int]) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

    low, high = min(samples, default=1), max(samples, default=1)
    if low > 0 and high / low >= 3:
        axes.set_xscale("log")
        marks = [low]
        for x in sorted(set(samples)):
            if x >= 1.7 * marks[-1]:
                marks.append(x)
        axes.xaxis.set_major_locator(FixedLocator(marks))
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.xaxis.set_major_locator(MaxNLocator(3))
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda x, _: f"{x / 1000:.2g}k" if x >= 1000 else f"{float(f'{x:.2g}'):g}")
    )
