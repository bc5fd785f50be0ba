"""From the `data` section of a recipe to two Arrow tables: what may be learnt from, and the test.

Words: pool = every row of `train` (all are pretrained on); labelled = those of them whose label
may be seen. A hidden label is in neither table: not as a value, not under a null.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from sslsearch import registry
from sslsearch.data import large_pool
from sslsearch.data.duplicates import digests
from sslsearch.data.labels import draw, naturally, numbered, some
from sslsearch.data.large_pool import Conversion
from sslsearch.data.mapped import Mapped
from sslsearch.data.rows import columns_of, content, gather, group_notes, groups, judging, split
from sslsearch.data.store import APART, JUDGES, table_of
from sslsearch.values import InputSpec

EXAMPLE = 3  # samples that show what is asked of a served encoder
GENERAL = ("modality", "source", "labels", "columns", "group", "pool", "test", "seed")


@dataclass(frozen=True)
class Prepared:
    """The data of a study, ready to be put where workers map it.

    Attributes:
        train: pool and probe-train rows; the label is null wherever it may not be seen. In files
            if the second pool is large.
        test: sealed; the only place with test labels.
        spec: what an encoder must know of the tensors.
        classes: label number -> name.
        preprocess: JSON-able; with it the modality does the same to new raw data.
        notes: a sentence for each thing that was done to the data, or is odd about it.
        summary: counts: pool, labelled, test, classes, per_class (labels), sizes of a sample.
        example: the first raw training samples.
    """

    train: pa.Table | Mapped
    test: pa.Table
    spec: InputSpec
    classes: list[str]
    preprocess: dict[str, Any]
    notes: list[str]
    summary: dict[str, Any]
    example: pa.Table


def prepare(
    data: Mapping[str, Any], root: Path, folder: Path | None = None, memory: int | None = None
) -> Prepared:
    """Read, split, draw labels, preprocess. `data` is the resolved section; paths start at root.

    What is not `GENERAL` in it is a rule of the modality: normalise, unequal, missing … Its state
    (lengths, statistics) is that of the source's own rows: a second pool follows it, in memory or
    not. A pool too large for `memory` bytes (default: what there is) goes to files in `folder`.
    """
    rules = {key: value for key, value in data.items() if key not in GENERAL}
    modality = registry.get("modality", data["modality"]).bind(rules)()
    seed = int(data.get("seed", 0))
    large = None if folder is None else large_pool.find(data, root, memory)
    raw, notes = gather(modality, {**data, "pool": None} if large else data, root, seed)
    classes = naturally(raw["label"].drop_null().to_pylist())
    label_N, group_N = numbered(raw["label"], classes), groups(raw)
    parts = _parts(modality, raw, label_N, group_N, float(data.get("test", 0.3)), seed)
    seen = _seen(modality, parts, data.get("labels", "all"), label_N, classes, seed)

    own_N = parts.raw_train["own"].to_numpy() & ~seen.apart_N
    own = parts.raw_train.filter(pa.array(own_N)) if own_N.any() else parts.raw_train
    state = modality.fit(own, [parts.raw_test])
    spec = modality.spec(state)

    def table(part: pa.Table, rows: np.ndarray, label: np.ndarray, role: np.ndarray) -> pa.Table:
        group = None if group_N is None else group_N[rows]
        hidden_N = (label < 0) & (not modality.keeps_back)  # what is kept back is no label
        tensors = modality.seal(modality.preprocess(part, state), hidden_N)
        return table_of(tensors, part, spec, classes, label, role, group)

    learnt = table(parts.raw_train, parts.train, seen.label_N, seen.role_N)
    said = modality.describe(pa.concat_tables([parts.raw_train, parts.raw_test]), state)
    again: set[bytes] = set()
    if large and folder:
        conversion = Conversion(large, columns_of(data), modality, state, learnt, parts.raw_test)
        learnt, more, again = conversion.into(folder)
        said += more
    if not modality.whole(raw):
        said = _duplicate_notes(parts.raw_train, parts.raw_test, again) + said
    notes += parts.notes + seen.notes + group_notes(group_N, parts.train, parts.test) + said
    tests = np.full(len(parts.test), "test")
    return Prepared(
        train=learnt,
        test=table(parts.raw_test, parts.test, label_N[parts.test], tests),
        spec=spec,
        classes=classes,
        preprocess=state,
        notes=notes,
        summary=_summary(seen, len(learnt), len(parts.test), classes, spec),
        example=own.slice(0, EXAMPLE).select(content(own)),
    )


@dataclass(frozen=True)
class Parts:
    """Which rows are learnt from and which are the test, and what there is of them."""

    train: np.ndarray
    test: np.ndarray
    raw_train: pa.Table
    raw_test: pa.Table
    notes: list[str]


def _parts(
    modality: Any,
    raw: pa.Table,
    label_N: np.ndarray,
    group_N: np.ndarray | None,
    share: float,
    seed: int,
) -> Parts:
    everything = np.arange(len(raw))
    if modality.keeps_back:  # parts of all samples
        raw_train, raw_test = modality.kept_back(raw, share, seed)
        return Parts(everything, everything, raw_train, raw_test, [])
    judges = bool(modality.validation_judges)
    train, test, notes = split(raw, label_N, group_N, share, seed, judges=judges)
    if modality.whole(raw):  # the test is a part of what is learnt from
        train = everything
    return Parts(train, test, raw.take(train), raw.take(test), notes)


@dataclass(frozen=True)
class Seen:
    """Of the training rows the labels that may be seen (-1 = not), the roles, and which rows judge
    and are not even pretrained on."""

    label_N: np.ndarray
    role_N: np.ndarray
    apart_N: np.ndarray
    notes: list[str]


def _seen(
    modality: Any,
    parts: Parts,
    rule: str | int | float,
    label_N: np.ndarray,
    classes: Sequence[str],
    seed: int,
) -> Seen:
    """The only place where labels come into view.

    Rows that judge show all their labels, for no probe is fitted on them.
    """
    hidden_N = np.where(np.isin(parts.train, parts.test), -1, label_N[parts.train])
    held_N = judging(parts.raw_train) & bool(modality.validation_judges)
    judging_N = held_N & (hidden_N >= 0)
    open_N = np.where(judging_N, -1, hidden_N)
    drawn, notes = draw(rule, open_N, classes, np.random.default_rng([seed, 1]))
    seen_N = np.where(judging_N, hidden_N, -1)
    seen_N[drawn] = hidden_N[drawn]
    role_N = np.where(seen_N < 0, "pool", np.where(judging_N, JUDGES, "probe-train"))
    apart_N = held_N & bool(modality.validation_apart)
    notes += _class_notes(seen_N, hidden_N, len(parts.test), classes)
    return Seen(seen_N, np.where(apart_N, APART, role_N), apart_N, notes)


def _duplicate_notes(raw_train: pa.Table, raw_test: pa.Table, again: set[bytes]) -> list[str]:
    """`again`: digests of test rows that are known to be elsewhere in the pool."""
    known = again.union(digests(raw_train, content(raw_train)))
    count = sum(digest in known for digest in digests(raw_test, content(raw_test)))
    return [f"{count} test rows are exact duplicates of rows in the training pool."] * (count > 0)


def _class_notes(
    seen_N: np.ndarray, hidden_N: np.ndarray, test: int, classes: Sequence[str]
) -> list[str]:
    """What a probe will stumble over."""
    notes = []
    if not (seen_N >= 0).any():
        notes.append("No training row has a label: only metrics without labels can judge.")
    if not test:
        notes.append("The test split is empty: there will be no test score.")
    sealed = [name for k, name in enumerate(classes) if not (hidden_N == k).any()]
    single = [name for k, name in enumerate(classes) if (seen_N == k).sum() == 1]
    if sealed:
        notes.append(f"Classes in the test split only cannot be learnt: {some(sealed)}.")
    if single:
        notes.append(f"Classes with 1 label, too few to cross-validate: {some(single)}.")
    return notes


def _summary(
    seen: Seen, rows: int, test: int, classes: Sequence[str], spec: InputSpec
) -> dict[str, Any]:
    seen_N = seen.label_N
    return {
        "pool": rows - int(seen.apart_N.sum()),
        "labelled": int((seen_N >= 0).sum()),
        "test": test,
        "classes": len(classes),
        "per_class": {name: int((seen_N == number).sum()) for number, name in enumerate(classes)},
        **spec.sizes,
    }
