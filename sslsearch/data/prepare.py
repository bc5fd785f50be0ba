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
from sslsearch.data.labels import draw, naturally, numbered
from sslsearch.data.rows import gather, groups, overlap_notes, split
from sslsearch.data.store import table_of
from sslsearch.values import InputSpec

GENERAL = ("modality", "source", "labels", "columns", "group", "pool", "test", "seed")


@dataclass(frozen=True)
class Prepared:
    """The data of a study, ready to be put where workers map it.

    Attributes:
        train: pool and probe-train rows; the label is null wherever it may not be seen.
        test: sealed; the only place with test labels.
        spec: what an encoder must know of the tensors.
        classes: label number -> name.
        preprocess: JSON-able; with it the modality does the same to new raw data.
        notes: a sentence for each thing that was done to the data, or is odd about it.
        summary: counts: pool, labelled, test, classes, per_class (labels), sizes of a sample.
    """

    train: pa.Table
    test: pa.Table
    spec: InputSpec
    classes: list[str]
    preprocess: dict[str, Any]
    notes: list[str]
    summary: dict[str, Any]


def prepare(data: Mapping[str, Any], root: Path) -> Prepared:
    """Read, split, draw labels, preprocess. `data` is the resolved section; paths start at root.

    What is not `GENERAL` in it is a rule of the modality: normalise, unequal, missing …
    """
    rules = {key: value for key, value in data.items() if key not in GENERAL}
    modality = registry.get("modality", data["modality"]).bind(rules)()
    seed = int(data.get("seed", 0))
    raw, notes = gather(modality, data, root, seed)
    classes = naturally(raw["label"].drop_null().to_pylist())
    label_N, group_N = numbered(raw["label"], classes), groups(raw)

    train, test, said = split(raw, label_N, group_N, float(data.get("test", 0.3)), seed)
    notes += said
    hidden_N = label_N[train]
    rng = np.random.default_rng([seed, 1])
    drawn, said = draw(data.get("labels", "all"), hidden_N, classes, rng)
    seen_N = np.full(len(train), -1, np.int64)
    seen_N[drawn] = hidden_N[drawn]  # the only place where a label comes into view
    notes += said + _class_notes(seen_N, hidden_N, len(test), classes)
    notes += overlap_notes(raw, group_N, train, test)

    raw_train, raw_test = raw.take(train), raw.take(test)
    state = modality.fit(raw_train, [raw_test])
    notes += modality.describe(pa.concat_tables([raw_train, raw_test]), state)
    spec = modality.spec(state)

    def table(part: pa.Table, rows: np.ndarray, label: np.ndarray, role: np.ndarray) -> pa.Table:
        group = None if group_N is None else group_N[rows]
        return table_of(modality.preprocess(part, state), part, spec, classes, label, role, group)

    return Prepared(
        train=table(raw_train, train, seen_N, np.where(seen_N < 0, "pool", "probe-train")),
        test=table(raw_test, test, label_N[test], np.full(len(test), "test")),
        spec=spec,
        classes=classes,
        preprocess=state,
        notes=notes,
        summary=_summary(seen_N, len(test), classes, spec),
    )


def _class_notes(
    seen_N: np.ndarray, hidden_N: np.ndarray, test: int, classes: Sequence[str]
) -> list[str]:
    """What a probe will stumble over."""
    notes = []
    if not (seen_N >= 0).any():
        notes.append("No training row has a label: only metrics without labels can judge.")
    if not test:
        notes.append("The test split is empty: there will be no test score.")
    for number, name in enumerate(classes):
        if not (hidden_N == number).any():
            notes.append(f"Class {name!r} is in the test split only: it cannot be learnt.")
        elif (seen_N == number).sum() == 1:
            notes.append(f"Class {name!r} has 1 label: too few to cross-validate.")
    return notes


def _summary(
    seen_N: np.ndarray, test: int, classes: Sequence[str], spec: InputSpec
) -> dict[str, Any]:
    return {
        "pool": len(seen_N),
        "labelled": int((seen_N >= 0).sum()),
        "test": test,
        "classes": len(classes),
        "per_class": {name: int((seen_N == number).sum()) for number, name in enumerate(classes)},
        **spec.sizes,
    }
