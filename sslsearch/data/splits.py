"""Which rows train and which are the sealed test: as given, by group, or stratified."""

from __future__ import annotations

import warnings

import numpy as np
import pyarrow as pa
from sklearn.model_selection import StratifiedGroupKFold

TRAIN, VAL, TEST = ("train", "training"), ("val", "valid", "validation", "dev"), ("test", "testing")
FOLDS = 10  # a grouped test split is made of whole folds


def given(split: pa.Array, first: int = 0, *, judges: bool = False) -> tuple[np.ndarray, list[str]]:
    """True = test, from a column of words; validation rows train, unless they judge trials.

    `first` is the place of the column's first row in its source.
    """
    words = _words(split)
    odd = np.flatnonzero(~np.isin(words, (*TRAIN, *VAL, *TEST)))
    if len(odd):
        raise ValueError(
            f"the split column says {split[int(odd[0])].as_py()!r} in row {first + odd[0]} "
            "(counted from 0); it may say train, val or test"
        )
    held = int(np.isin(words, VAL).sum())
    use = "judge the trials" if judges else "are used for training"
    notes = [f"{held} rows of the given validation split {use}."] if held else []
    return np.isin(words, TEST), notes


def validation(split: pa.Array) -> np.ndarray:
    """True = a row of the given validation split."""
    return np.isin(_words(split), VAL)


def _words(split: pa.Array) -> np.ndarray:
    return np.array([str(word).lower() for word in split.to_pylist()])


def stratified(label_N: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """True = test: `share` of each class, at least one and never all; no label never is test."""
    test_N = np.zeros(len(label_N), bool)
    for number in range(label_N.max(initial=-1) + 1):
        rows = rng.permutation(np.flatnonzero(label_N == number))
        if share > 0:
            most = max(len(rows) - 1, 0)
            test_N[rows[: min(max(1, round(share * len(rows))), most)]] = True
    return test_N


def grouped(label_N: np.ndarray, group_N: np.ndarray, share: float, seed: int) -> np.ndarray:
    """True = test: whole groups, about `share` of the labelled rows, classes kept in proportion."""
    test_N = np.zeros(len(label_N), bool)
    rows = np.flatnonzero(label_N >= 0)
    groups = np.unique(group_N[rows])
    if share <= 0 or not len(rows):
        return test_N
    if len(groups) < 2:
        raise ValueError(
            f"data.group: {len(groups)} group has labels, but a test split of whole groups needs "
            "2; name another column, or give the source a split column"
        )
    folds = int(min(FOLDS, len(groups), max(2, np.bincount(label_N[rows]).max())))
    taken = int(np.clip(round(share * folds), 1, folds - 1))
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():  # classes smaller than the number of folds are fine here
        warnings.simplefilter("ignore", UserWarning)
        parts = [part for _, part in splitter.split(rows, label_N[rows], group_N[rows])]
    held = np.unique(np.concatenate([group_N[rows[part]] for part in parts[:taken]]))
    return np.isin(group_N, held)
