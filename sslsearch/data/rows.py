"""All rows of a study before they become tensors: the source's own and those of a second pool."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from sslsearch.data import splits
from sslsearch.data.labels import as_text, naturally, numbered

NAMED = ("label", "group", "split", "id")  # columns of names, kept as text
# row: place in its source; own: not from the second pool. All other columns are content, which
# only the modality understands; it is handed in as Any, for its room stands beside this one.
OURS = (*NAMED, "row", "own")


def gather(
    modality: Any, data: Mapping[str, Any], root: Path, seed: int
) -> tuple[pa.Table, list[str]]:
    """Content and `OURS` of all rows that hold any content; what was left out, in words."""
    columns = columns_of(data)
    notes: list[str] = []
    raw = read(modality, data["source"], columns, root, seed)
    raw = raw.append_column("own", pa.array(np.ones(len(raw), bool)))
    if data.get("pool") is not None:
        pool = read(modality, data["pool"], columns, root, seed, unlabelled=True)
        refuse_other_samples(pool, raw.schema, data["pool"])
        pool, tests = only_pool(pool)
        notes += left_out(tests)
        raw = pa.concat_tables([raw, pool], promote_options="default")
    raw, empty = without_empty(modality, raw)
    return raw, notes + dropped(empty, why=modality.unusable)


def columns_of(data: Mapping[str, Any]) -> dict[str, Any]:
    """Role -> column, as the user has written it."""
    columns = {key: name for key, name in (data.get("columns") or {}).items() if name is not None}
    return columns if data.get("group") is None else {**columns, "group": data["group"]}


def read(
    modality: Any,
    source: str,
    columns: Mapping[str, Any],
    root: Path,
    seed: int = 0,
    *,
    unlabelled: bool = False,
) -> pa.Table:
    """One source: its content, `NAMED` columns as text, `row`. `synthetic:N` needs no file."""
    scheme, _, count = source.partition(":")
    if scheme == "synthetic" and count.isdigit():
        raw = modality.synthetic(int(count), seed)
    else:
        raw = modality.read(source, columns, root, unlabelled=unlabelled)
    if not len(raw):
        raise ValueError(f"data: {source} holds no rows")
    return in_words(raw, source)


def in_words(raw: pa.Table, source: str, first: int = 0) -> pa.Table:
    """`NAMED` columns as text, a label column, and `row`, counted from `first`."""
    for name in NAMED:
        if name in raw.column_names:
            place = raw.column_names.index(name)
            raw = raw.set_column(place, name, as_text(raw[name], f"{source}: the {name} column"))
    if "label" not in raw.column_names:
        raw = raw.append_column("label", pa.nulls(len(raw), pa.string()))
    return raw.append_column("row", pa.array(np.arange(first, first + len(raw))))


def refuse_other_samples(pool: pa.Table, own: pa.Schema, source: str) -> None:
    """ValueError where what the modality says of a source differs, with all that does."""
    theirs, ours = pool.schema.metadata or {}, own.metadata or {}
    differ = [key for key in sorted({*theirs, *ours}) if theirs.get(key) != ours.get(key)]
    if differ:
        said = [
            f"{key.decode()} {theirs.get(key, b'none').decode()} against "
            f"{ours.get(key, b'none').decode()}"
            for key in differ
        ]
        raise ValueError(
            f"data.pool: {source} holds other samples than data.source: {', '.join(said)}"
        )


def only_pool(pool: pa.Table) -> tuple[pa.Table, int]:
    """Without labels, and without what the pool's own source calls test: how many that were."""
    tests = 0
    if "split" in pool.column_names:
        first = pool["row"][0].as_py()
        test_N = splits.given(pool["split"].combine_chunks(), first)[0]
        tests = int(test_N.sum())
        pool = pool.filter(pa.array(~test_N)).drop_columns("split")
    pool = pool.drop_columns("label").append_column("own", pa.array(np.zeros(len(pool), bool)))
    return pool, tests


def left_out(tests: int) -> list[str]:
    return [f"{tests} rows that the second pool calls test are left out."] if tests else []


def without_empty(modality: Any, raw: pa.Table) -> tuple[pa.Table, np.ndarray]:
    """The rows that hold any content, and the places of those that do not (names, if they have)."""
    usable_N = modality.usable(raw)
    if usable_N.all():
        return raw, np.empty(0, np.int64)
    empty = raw.filter(pa.array(~usable_N))
    named = "id" in raw.column_names and not empty["id"].null_count
    places = np.array(empty["id"].to_pylist()) if named else empty["row"].to_numpy()
    return raw.filter(pa.array(usable_N)), places


def dropped(places: np.ndarray, where: str = "", why: str = "hold nothing") -> list[str]:
    if not len(places):
        return []
    first = ", ".join(str(place) for place in places[:5]) + (", …" if len(places) > 5 else "")
    counted = "from 0: " if places.dtype.kind == "i" else ""
    return [f"{len(places)} rows{where} {why} and were dropped ({counted}{first})."]


def split(
    raw: pa.Table,
    label_N: np.ndarray,
    group_N: np.ndarray | None,
    share: float,
    seed: int,
    *,
    judges: bool = False,
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Rows of train and of test: as the source says, else whole groups, else by class."""
    own_N = raw["own"].to_numpy()
    test_N = np.zeros(len(raw), bool)
    known = bool((label_N >= 0).any())  # where nothing has a label, all may be tested on
    notes: list[str] = []
    if "split" in raw.column_names:
        words = raw["split"].filter(raw["own"]).combine_chunks()
        test_N[own_N], notes = splits.given(words, judges=judges)
        if not test_N.any():
            notes.append("The split column names no test rows.")
    if not test_N.any():
        if not 0 <= share < 1:
            raise ValueError(f"data.test: {share} is not a share; write for example 0.3")
        kind_N = label_N if known else np.where(own_N, 0, -1)
        if group_N is None:
            rng = np.random.default_rng([seed, 0])
            test_N[own_N] = splits.stratified(kind_N[own_N], share, rng)
        else:
            test_N = splits.grouped(kind_N, group_N, share, seed)
        alone = "stratified by class" if known else "at random"
        by = alone if group_N is None else "whole groups"
        drawn = (test_N & own_N).sum()
        notes.append(f"No test split is given: {drawn} rows were drawn, {by}, seed {seed}.")
    blind_N = test_N & own_N & (label_N < 0) & known
    if blind_N.any():
        notes.append(f"{blind_N.sum()} rows of the test split have no label and are left out.")
    if test_N.all():
        raise ValueError("data: every row is in the test split; none is left to train on")
    if group_N is not None:  # what is tested on is not pretrained on
        test_N |= ~own_N & np.isin(group_N, group_N[test_N])
        notes += of_test_groups(int((test_N & ~own_N).sum()))
    return np.flatnonzero(~test_N), np.flatnonzero(test_N & own_N & ~blind_N), notes


def judging(raw: pa.Table) -> np.ndarray:
    """True = a row of the validation split that the source gives."""
    judging_N = np.zeros(len(raw), bool)
    if "split" in raw.column_names:
        own_N = raw["own"].to_numpy()
        judging_N[own_N] = splits.validation(raw["split"].filter(raw["own"]).combine_chunks())
    return judging_N


def of_test_groups(count: int) -> list[str]:
    return [f"{count} rows of the second pool are of groups in the test split: left out."] * (
        count > 0
    )


def groups(raw: pa.Table) -> np.ndarray | None:
    """int64: the group of each row; a row without one is a group of its own."""
    if "group" not in raw.column_names:
        return None
    text = raw["group"].combine_chunks()
    names = naturally(text.drop_null().to_pylist())
    group_N = numbered(text, names)
    alone = np.flatnonzero(group_N < 0)
    group_N[alone] = len(names) + np.arange(len(alone))
    return group_N


def group_notes(group_N: np.ndarray | None, train: np.ndarray, test: np.ndarray) -> list[str]:
    """What training and test share of groups."""
    if group_N is None:
        return []
    both = len(np.intersect1d(group_N[train], group_N[test]))
    return [
        f"Groups: {len(np.unique(group_N[train]))} in training, "
        f"{len(np.unique(group_N[test]))} in test, {both} in both."
    ]


def content(raw: pa.Table) -> list[str]:
    """The columns that hold the samples themselves."""
    return [name for name in raw.column_names if name not in OURS]
