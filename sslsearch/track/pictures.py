"""Pictures of a study as PNG files: what the augmentations do, how trials learnt, who won."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sslsearch import plots
from sslsearch.plots import Bar, Curve, Point
from sslsearch.values import Report

DPI = 130
Sample = NDArray[np.float32]
Panel = Callable[[Axes, Sample, Sample], None]  # draws a sample or a view, and its original


def contact_sheet(
    samples: Sequence[Sample],
    views: Sequence[Sequence[Sample]],
    path: Path,
    panel: Panel = plots.lines,
    title: str = "What the pretext task is shown",
    names: Sequence[str] = (),
    headings: Sequence[str] = (),
) -> Path:
    """A row per sample: the original, then its views, as `panel` draws them.

    `names` are written beside the rows, `headings` above the views.
    """
    wide = 1 + max((len(row) for row in views), default=0)
    tall = max(1, len(samples))
    figure = Figure(figsize=(2.1 * wide + 0.3, 1.05 * tall + 0.6), layout="constrained")
    figure.suptitle(title, fontsize=10, color=plots.INK, x=0.01, ha="left")
    grid = figure.subplots(tall, wide, squeeze=False)
    for row, original in enumerate(samples):
        for column, x in enumerate([original, *views[row]]):
            panel(grid[row, column], x, original)
            grid[row, column].set(xticks=[], yticks=[])
            grid[row, column].spines[:].set_color(plots.INK if column == 0 else "#DADCE0")
        for column in range(1 + len(views[row]), wide):
            grid[row, column].set_axis_off()
        if row < len(names):
            grid[row, 0].set_ylabel(names[row], fontsize=8, color=plots.INK)
    for column in range(wide):
        above = ["original", *(headings or [f"view {i}" for i in range(1, wide)])]
        grid[0, column].set_title(above[column], fontsize=9, color=plots.INK)
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


def leaderboard_bars(
    bars: Sequence[Bar], path: Path, metric: str = "test accuracy", less_is_better: bool = False
) -> Path:
    """The picture of the result: winner, default and floors with their intervals."""
    figure = plots.leaderboard_bars(bars, metric=metric, less_is_better=less_is_better)
    return save(figure, path)


def front(points: Sequence[Point], path: Path, x: str, metric: str = "score") -> Path:
    """Score against another objective, of every full-length trial."""
    return save(plots.front(points, x, metric), path)


def save(figure: Figure, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=DPI, facecolor="white")
    return path
