"""Pictures: real PNG files, readable whatever is missing, without pyplot's global state."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes

from sslsearch import plots
from sslsearch.plots import Bar, Curve
from sslsearch.track import pictures
from sslsearch.values import Report

NAN = float("nan")


def reports(scores):
    seen = [2000 * 3**rung for rung in range(len(scores))]
    losses = [((n - 1, 2.0), (n, 1.0)) for n in seen]
    return [Report(i, seen[i], "ok", score, losses=losses[i]) for i, score in enumerate(scores)]


def size(path) -> tuple[int, int]:
    head = path.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")


def test_a_contact_sheet_grows_with_samples_and_views(tmp_path):
    x_CT = np.sin(np.linspace(0, 6, 50))[None].astype(np.float32)
    gap = x_CT.copy()
    gap[:, 10:20] = np.nan
    small = size(pictures.contact_sheet([x_CT], [[gap]], tmp_path / "a.png"))
    many = [np.repeat(x_CT, 6, axis=0)] * 4
    large = size(pictures.contact_sheet(many, [many[:3]] * 4, tmp_path / "deep" / "b.png"))
    assert large[0] > small[0]
    assert large[1] > small[1]


def test_curves_and_losses_are_drawn(tmp_path):
    seen = {"t0": reports([0.3, 0.5, 0.6]), "t1": reports([0.2, NAN]), "t2": []}
    families = {"t0": "simclr", "t1": "mae", "t2": "mae"}
    floors = {"untrained": 0.4, "raw": 0.401, "none": NAN}
    assert size(pictures.curves(seen, families, tmp_path / "c.png", "t0", floors))
    assert size(pictures.loss_curve(seen, families, tmp_path / "l.png", "t0"))


def test_floors_that_lie_together_share_a_name_tag():
    floors = {"untrained": 0.4, "raw": 0.401, "multirocket": 0.9}
    figure = plots.curves([Curve("t0", "mae", [(1, 0.1), (2, 1.0)])], floors)
    tags = [text.get_text() for text in figure.axes[0].texts]
    assert tags == ["raw, untrained", "multirocket"]
    assert len([line for line in figure.axes[0].lines if line.get_linestyle() == "--"]) == 3


def test_contenders_stand_in_order_with_their_intervals(tmp_path):
    bars = [
        Bar("raw", "floor", 0.5),
        Bar("t0 (winner)", "winner", 0.8, 0.78, 0.82),
        Bar("gone", "floor", NAN),
    ]
    axes = plots.leaderboard_bars(bars).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["raw", "t0 (winner)"]
    assert any(list(line.get_xdata()) == [0.78, 0.82] for line in axes.lines)
    assert size(pictures.leaderboard_bars(bars, tmp_path / "b.png"))


@pytest.mark.parametrize(
    "figure", [plots.curves([]), plots.loss_curve([]), plots.leaderboard_bars([])]
)
def test_nothing_to_draw_is_no_error(figure, tmp_path):
    assert size(pictures.save(figure, tmp_path / "empty.png"))


def test_cells_are_drawn_as_colours(tmp_path: Path) -> None:
    rows = [np.array([[-1.0, 0.5, np.nan]], np.float32), np.array([[0.1, 1.0, 0.0]], np.float32)]

    def panel(axes: Axes, x: np.ndarray, original: np.ndarray) -> None:
        plots.cells(axes, x)

    flat = pictures.contact_sheet(rows, [[rows[1]], [rows[0]]], tmp_path / "cells.png", panel)
    lines = pictures.contact_sheet(rows, [[rows[1]], [rows[0]]], tmp_path / "lines.png")
    assert flat.read_bytes() != lines.read_bytes()
