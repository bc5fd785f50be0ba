"""Long series cut into windows, and the periods of time in which they train, judge and test.

A window belongs to the period in which its last `horizon` steps lie, all of them; the steps before
those may reach back into the period before, as is the custom in forecasting (Zhou et al. 2021,
Informer, arXiv:2012.07436). So windows of two splits never share a step of their horizons. A window
whose horizon lies across a border, or behind the last period, is in no split.

Shapes: W = windows of one series, C = channels, T = its steps, L = steps of a window.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from sslsearch.modalities.series_raw import Ragged

SPLITS = ("train", "val", "test")
PERIODS = (0.7, 0.1, 0.2)  # shares of a series, where nothing else is asked for
DAY, WEEK = 24, 168  # steps: the seasons of made-up series


@dataclass(frozen=True)
class Windows:
    """length, stride, horizon: steps. periods: of train, val and test: steps, or shares of all."""

    length: int
    stride: int
    horizon: int
    periods: tuple[float, ...]

    def __post_init__(self) -> None:
        if self.horizon > self.length:
            raise ValueError(
                f"data.horizon: {self.horizon} steps are more than data.window has ({self.length})"
            )
        shares, enough = max(self.periods) <= 1, len(self.periods) == len(SPLITS)
        wrong = min(self.periods) < 0 or (shares and sum(self.periods) > 1 + 1e-9)
        if not enough or wrong or not (self.periods[0] and self.periods[2]):
            raise ValueError(
                f"data.periods: {list(self.periods)} are not the periods of train, validation and "
                "test: write three shares, as in [0.7, 0.1, 0.2], or steps, as in "
                "[8640, 2880, 2880]; only the second may be 0"
            )

    def borders(self, steps: int) -> np.ndarray:
        """Where the three periods begin, and the end of the last."""
        size = np.array(self.periods)
        if size.max() <= 1:
            size = size * steps
        borders = np.concatenate([[0], np.cumsum(size).round().astype(np.int64)])
        if borders[-1] > steps:
            raise ValueError(
                f"data.periods: {borders[-1]} steps are more than a series of {steps} has; "
                "shares, as in [0.7, 0.1, 0.2], fit any length"
            )
        return borders


def cut(raw: pa.Table, rule: Windows, *, split: bool) -> pa.Table:
    """A row for each window, with what its series says beside its steps.

    With `split` each has its period's name, unless the series say theirs, and the windows that
    begin within one length of each other are a `group`: neighbours are no independent samples.
    `fresh` counts the steps at its end that no window before it in its split has.
    """
    ragged = Ragged.from_table(raw)
    if not (ragged.steps_N >= rule.length).any():
        longest = int(ragged.steps_N.max(initial=0))
        raise ValueError(
            f"data.window: no series has {rule.length} steps (the longest has {longest}); "
            "write a shorter window"
        )
    given = raw["split"].to_pylist() if "split" in raw.column_names else None
    rows, begins, periods, parts = [], [], [], []
    for row, values in enumerate(np.split(ragged.values, ragged.offsets[1:-1])):
        x_CT = values.reshape(len(ragged.channels), -1)
        begin_W = np.arange(0, x_CT.shape[1] - rule.length + 1, rule.stride)
        period_W = np.zeros_like(begin_W)
        if split and given is None:
            begin_W, period_W = _in_periods(begin_W, rule, x_CT.shape[1])
        if len(begin_W):
            window_CWL = np.lib.stride_tricks.sliding_window_view(x_CT, rule.length, axis=1)
            parts.append(window_CWL[:, begin_W].transpose(1, 0, 2).ravel())
        rows += [row] * len(begin_W)
        begins.append(begin_W)
        periods.append(period_W)
    begin_W, period_W = np.concatenate(begins), np.concatenate(periods)
    if split and given is None:
        _refuse_empty(period_W, rule)
    made = Ragged(
        np.concatenate(parts), np.full(len(rows), rule.length, np.int64), ragged.channels
    ).to_table("data.window")
    made = made.append_column("fresh", pa.array(_fresh(np.array(rows), period_W, rule)))
    return _with_names(made, raw, np.array(rows), begin_W, period_W, rule, split)


def once(windows: pa.Table) -> Ragged:
    """The steps of the windows, each step of a series a single time."""
    ragged, fresh_W = Ragged.from_table(windows), windows["fresh"].to_numpy()
    window_WCL = ragged.values.reshape(len(fresh_W), len(ragged.channels), -1)
    new_W1L = np.arange(window_WCL.shape[2]) >= window_WCL.shape[2] - fresh_W[:, None, None]
    values = window_WCL[np.broadcast_to(new_W1L, window_WCL.shape)]
    return Ragged(values, fresh_W, ragged.channels)


def said(raw: pa.Table, rule: Windows) -> str:
    """How many windows there are, in words."""
    counted = raw["split"].to_pylist() if "split" in raw.column_names else []
    each = ", ".join(f"{counted.count(word):,} {word}" for word in SPLITS if word in counted)
    return (
        f"Series are cut into windows of {rule.length} steps, {rule.stride} apart: "
        f"{each or f'{len(raw):,}'}."
    )


def long_series(steps: int, seed: int) -> Ragged:
    """Made up: two seasons in three channels, on a noise that remembers (AR(1))."""
    rng = np.random.default_rng(seed)
    turn_T = 2 * np.pi * np.arange(steps)
    phase_CS = rng.uniform(0, 2 * np.pi, (3, 2))
    x_CT = np.sin(turn_T / DAY + phase_CS[:, :1]) + 0.5 * np.sin(turn_T / WEEK + phase_CS[:, 1:])
    noise_CT = rng.standard_normal((3, steps))
    for t in range(1, steps):
        noise_CT[:, t] = 0.8 * noise_CT[:, t - 1] + 0.6 * noise_CT[:, t]
    x_CT += 0.5 * noise_CT
    return Ragged(x_CT.ravel(), np.array([steps], np.int64), ("a", "b", "c"))


def _in_periods(begin_W: np.ndarray, rule: Windows, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """The windows that are in a period, and which."""
    borders = rule.borders(steps)
    first_W, end_W = begin_W + rule.length - rule.horizon, begin_W + rule.length
    period_W = np.searchsorted(borders, first_W, side="right") - 1
    inside_W = end_W <= borders[np.minimum(period_W + 1, len(SPLITS))]
    inside_W &= period_W < len(SPLITS)
    return begin_W[inside_W], period_W[inside_W]


def _refuse_empty(period_W: np.ndarray, rule: Windows) -> None:
    """Every period that is asked for has a window of some series."""
    for number, word in enumerate(SPLITS):
        if rule.periods[number] and not (period_W == number).any():
            raise ValueError(
                f"data.periods: in the period of {word} ({rule.periods[number]:g}) no window of "
                f"{rule.length} steps ends {rule.horizon} steps long; write a longer period or a "
                "shorter data.window"
            )


def _fresh(row_W: np.ndarray, period_W: np.ndarray, rule: Windows) -> np.ndarray:
    first_W = np.ones(len(row_W), bool)
    first_W[1:] = (row_W[1:] != row_W[:-1]) | (period_W[1:] != period_W[:-1])
    return np.where(first_W, rule.length, min(rule.stride, rule.length)).astype(np.int64)


def _with_names(
    made: pa.Table,
    raw: pa.Table,
    row_W: np.ndarray,
    begin_W: np.ndarray,
    period_W: np.ndarray,
    rule: Windows,
    split: bool,
) -> pa.Table:
    """label, group, split and id of each window."""
    of_series = raw.drop_columns(["series", "steps"]).take(pa.array(row_W))
    named = of_series["id"].to_pylist() if "id" in raw.column_names else row_W.tolist()
    alone = len(raw) == 1
    names = [f"{b}" if alone else f"{n}:{b}" for n, b in zip(named, begin_W, strict=True)]
    for word in of_series.column_names:
        if word != "id":
            made = made.append_column(word, of_series[word])
    made = made.append_column("id", pa.array(names, pa.string()))
    if not split:
        return made
    if "split" not in raw.column_names:
        made = made.append_column("split", pa.array([SPLITS[p] for p in period_W]))
    if "group" not in raw.column_names:
        blocks = zip(row_W, period_W, begin_W // rule.length, strict=True)
        made = made.append_column("group", pa.array([f"{r}:{p}:{b}" for r, p, b in blocks]))
    return made
