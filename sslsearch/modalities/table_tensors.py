"""The arithmetic from raw cells to tensors: numbers scaled, categories numbered, dates taken apart.

A feature is one number or one category of a row; all features of a row are its tokens, numbers
first. Everything that is fitted is fitted on the training rows.

Shapes: N = rows, Q = quantiles kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sslsearch.modalities.table_cells import as_kind, cell

QUANTILES = 1_000  # at most, as scikit-learn's QuantileTransformer keeps
DAY = 86_400e6  # microseconds
FLAT = 1e-12
Feature = dict[str, Any]


def fit_numbers(
    raw: pa.Table, kinds: Mapping[str, str], normalise: str
) -> tuple[list[Feature], list[str]]:
    """How each number is scaled; the columns that never vary, which are left out."""
    features, flat = [], []
    for name, part in _parts(kinds, ("numeric", "date"), {"date": ("days",)}):
        values = number(raw, name, part)
        values = values[~np.isnan(values)]
        if not len(values) or np.ptp(values) <= FLAT * np.abs(values).max():
            flat.append(name)
            continue
        feature: Feature = {"column": name, "part": part}
        if normalise == "quantile":
            # Observed values and none between them, so that values which repeat stay equal.
            at = np.linspace(0, len(values) - 1, min(QUANTILES, len(values))).round().astype(int)
            feature["quantiles"] = np.sort(values)[at].tolist()
        else:
            plain = normalise == "none"
            feature["mean"] = 0.0 if plain else float(values.mean())
            feature["std"] = 1.0 if plain else float(values.std())
        features.append(feature)
    return features, flat


def fit_categories(
    raw: pa.Table, kinds: Mapping[str, str], most: int, least: int
) -> tuple[list[Feature], list[str], list[str]]:
    """The levels of each category by falling count; what never varies; and notes on the rest."""
    features, flat, notes = [], [], []
    split = {"date": ("month", "weekday", "hour")}
    for name, part in _parts(kinds, ("categorical", "boolean", "date"), split):
        text = category(raw, name, part, kinds[name])
        counts = Counter(text.drop_null().to_pylist())
        ranked = sorted(counts, key=lambda level: (-counts[level], level))
        levels = [level for level in ranked if counts[level] >= least][:most]
        if len(counts) < 2 and (part != "value" or text.null_count in (0, len(text))):
            flat += [name] * (part == "value")  # a date is not, for its days may vary
            continue
        if len(levels) < len(counts):
            rows = sum(counts[level] for level in ranked if level not in set(levels))
            notes.append(
                f"Column {name!r} has {len(counts)} categories in training: the {len(levels)} "
                f"commonest are kept, those of {rows} rows are one category `other`."
            )
        features.append({"column": name, "part": part, "levels": levels})
    return features, flat, notes


def _parts(
    kinds: Mapping[str, str], wanted: tuple[str, ...], split: Mapping[str, tuple[str, ...]]
) -> list[tuple[str, str]]:
    """(column, part) of all columns of these kinds: a date has several parts."""
    found = [(name, kind) for name, kind in kinds.items() if kind in wanted]
    return [(name, part) for name, kind in found for part in split.get(kind, ("value",))]


def number(raw: pa.Table, name: str, part: str) -> np.ndarray:
    """float64, NaN = missing; a date in days since 1970."""
    where = f"column {name!r}"
    if part == "value":
        return np.asarray(as_kind(cell(raw, name), "numeric", where).to_numpy(zero_copy_only=False))
    moments = pc.cast(as_kind(cell(raw, name), "date", where), pa.int64())
    return np.asarray(pc.cast(moments, pa.float64()).to_numpy(zero_copy_only=False)) / DAY


def category(raw: pa.Table, name: str, part: str, kind: str) -> pa.Array:
    """Text, null = missing; of a date its month or weekday (1 = January, Monday) or hour."""
    where = f"column {name!r}"
    if part == "value":
        return as_kind(cell(raw, name), kind, where)
    moments = as_kind(cell(raw, name), "date", where)
    found = {
        "month": pc.month,
        "weekday": partial(pc.day_of_week, count_from_zero=False),
        "hour": pc.hour,
    }[part](moments)
    return pc.cast(found, pa.string())


def code(raw: pa.Table, feature: Feature, kind: str) -> np.ndarray:
    """int64: the place of a row's category among its levels, from 1; 0 = other, -1 = missing."""
    text = category(raw, feature["column"], feature["part"], kind)
    place = pc.index_in(text, value_set=pa.array(feature["levels"], pa.string()))
    known = np.asarray(pc.fill_null(place, -1), np.int64)
    seen = np.asarray(text.is_valid().to_numpy(zero_copy_only=False), bool)
    return np.where(seen, known + 1, -1)


def scaled(values_N: np.ndarray, feature: Feature) -> np.ndarray:
    """NaN stays NaN. Quantile: the normal score of a value's place among the training values.

    As scikit-learn's QuantileTransformer(output_distribution="normal"): where values repeat, the
    middle of their places. Unlike it, also where they are the smallest or largest of all (most
    zeros of a column of amounts), and the extremes are half a quantile from the end (at most 3.3)
    where it puts them at 5.2.
    """
    if "quantiles" not in feature:
        scored: np.ndarray = (values_N - feature["mean"]) / feature["std"]
        return scored
    from scipy.special import ndtri  # here: its import takes long

    quantiles_Q = np.array(feature["quantiles"])
    share_Q = np.linspace(0, 1, len(quantiles_Q))
    up_N = np.interp(values_N, quantiles_Q, share_Q)
    down_N = np.interp(-values_N, -quantiles_Q[::-1], -share_Q[::-1])
    edge = 0.5 / len(quantiles_Q)
    normal: np.ndarray = ndtri(np.clip(0.5 * (up_N - down_N), edge, 1 - edge))
    return np.where(np.isnan(values_N), np.nan, normal)


def tensors(raw: pa.Table, state: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """number (float32, 0 where missing), code (int64, 0 = other or missing), valid (uint8)."""
    kinds = dict(state["kinds"])
    numbers = [
        scaled(number(raw, feature["column"], feature["part"]), feature)
        for feature in state["numbers"]
    ]
    codes = [code(raw, feature, kinds[feature["column"]]) for feature in state["categories"]]
    there = [~np.isnan(values) for values in numbers] + [code_N >= 0 for code_N in codes]
    made = {"valid": np.stack(there, 1).view(np.uint8)}
    if numbers:
        made["number"] = np.nan_to_num(np.stack(numbers, 1), nan=0.0).astype(np.float32)
    if codes:
        made["code"] = np.stack(codes, 1).clip(min=0)
    return made
