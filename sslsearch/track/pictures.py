"""Pictures of a study as PNG files: what the augmentations do, how trials learnt, who won."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sslsearch import plots
from sslsearch.plots import Bar, Curve
from sslsearch.values import Report

DPI = 130
CHANNELS = 4  # more lines than this in a panel are not read
Series = NDArray[np.float32]  # x_CT: C = channels, T = time steps


def contact_sheet(
    samples: Sequence[Series],
    views: Sequence[Sequence[Series]],
    path: Path,
    title: str = "What the pretext task is shown",
    names: Sequence[str] = (),
    drawn_as: str = "lines",
) -> Path:
    """A row per sample: the original, then its views, on the original's scale.

    A view's missing values (nan) leave a gap; `names` are written beside the rows. Samples are
    drawn as `lines`, one for each channel, or as coloured `cells` between -1 and 1.
    """
    wide = 1 + max((len(row) for row in views), default=0)
    tall = max(1, len(samples))
    figure = Figure(figsize=(2.1 * wide + 0.3, 1.05 * tall + 0.6), layout="constrained")
    figure.suptitle(title, fontsize=10, color=plots.INK, x=0.01, ha="left")
    grid = figure.subplots(tall, wide, squeeze=False)
    for row, original in enumerate(samples):
        low, high = _limits(original)
        for column, x_CT in enumerate([original, *views[row]]):
            if drawn_as == "cells":
                _cells(grid[row, column], x_CT)
                continue
            _panel(grid[row, column], x_CT, original=column == 0)
            grid[row, column].set_ylim(low, high)
        for column in range(1 + len(views[row]), wide):
            grid[row, column].set_axis_off()
        if row < len(names):
            grid[row, 0].set_ylabel(names[row], fontsize=8, color=plots.INK)
    for column in range(wide):
        heading = "original" if column == 0 else f"view {column}"
        grid[0, column].set_title(heading, fontsize=9, color=plots.INK)
    shown = max((x_CT.shape[0] for x_CT in samples), default=1)
    if shown > CHANNELS and drawn_as == "lines":
        figure.supxlabel(f"first {CHANNELS} of {shown} channels", fontsize=8, color=plots.INK)
    return save(figure, path)


def curves(
    reports: Mapping[str, Sequence[Report]],
    families: Mapping[str, str],
    path: Path,
    best: str | None = None,
    floors: Mapping[str, float] | None = None,
    metric: str = "score",
) -> Path:
    """Score against samples seen, of every trial that was judged."""
    trials = [
        Curve(trial, families[trial], [(r.samples_seen, r.score) for r in seen], trial == best)
        for trial, seen in reports.items()
        if seen
    ]
    return save(plots.curves(trials, floors, metric=metric), path)


def loss_curve(
    reports: Mapping[str, Sequence[Report]],
    families: Mapping[str, str],
    path: Path,
    best: str | None = None,
) -> Path:
    """Pretext loss against samples seen, a panel per pretext."""
    trials = [
        Curve(trial, families[trial], [p for r in seen for p in r.losses], trial == best)
        for trial, seen in reports.items()
    ]
    return save(plots.loss_curve(trials), path)


def leaderboard_bars(bars: Sequence[Bar], path: Path, metric: str = "test accuracy") -> Path:
    """The picture of the result: winner, default and floors with their intervals."""
    return save(plots.leaderboard_bars(bars, metric=metric), path)


def save(figure: Figure, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=DPI, facecolor="white")
    return path


def _panel(axes: Axes, x_CT: Series, original: bool) -> None:
    for channel, x_T in enumerate(x_CT[:CHANNELS]):
        hue = plots.HUES[channel]
        axes.plot(x_T, color=hue, lw=1.1 if original else 0.9, alpha=1.0 if channel == 0 else 0.75)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.margins(x=0)
    axes.spines[:].set_color(plots.INK if original else "#DADCE0")


def _cells(axes: Axes, x_RC: Series) -> None:
    colours = matplotlib.colormaps["PuOr"].with_extremes(bad="#81C995")
    axes.imshow(x_RC, aspect="auto", cmap=colours, vmin=-1, vmax=1, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])


def _limits(x_CT: Series) -> tuple[float, float]:
    """The original's range with room for what views add."""
    seen = x_CT[:CHANNELS]
    if not np.isfinite(seen).any():
        return -1.0, 1.0
    low, high = float(np.nanmin(seen)), float(np.nanmax(seen))
    room = 0.25 * (high - low) or 1.0
    return low - room, high + room
