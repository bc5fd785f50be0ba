"""The strong baselines of tables, which predict by themselves: logistic regression and boosting.

Ke et al. 2017, LightGBM: A Highly Efficient Gradient Boosting Decision Tree (NeurIPS), which
scikit-learn's HistGradientBoostingClassifier follows. Both see the labelled rows only.

Shapes: N = labelled samples, K = classes.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray

from sslsearch.probe.floors import FloorFeatures, Samples, batches, everything, flat
from sslsearch.probe.linear import Linear
from sslsearch.registry import Count, Positive, Unit, register

FOLDS = 5
Predict = Callable[[NDArray[Any], NDArray[np.int64], NDArray[Any]], NDArray[np.float64]]


@register("floor", modality="tabular", needs=["classes"])
def logistic(train: Samples, test: Samples, seed: int, encoder: dict[str, Any]) -> FloorFeatures:
    """Logistic regression on the row itself: scaled numbers, one-hot categories, missing flags.

    Its penalty is cross-validated (within each fold again).
    """

    def predict(x: NDArray[Any], y: NDArray[np.int64], new: NDArray[Any]) -> NDArray[np.float64]:
        proba_NK: NDArray[np.float64] = Linear(head="logistic").final(x, y).predict_proba(new)
        return proba_NK

    rows = flat(train, train.labelled).numpy(), flat(test, everything(test)).numpy()
    return _predictions(predict, train, *rows, 0)


@register("floor", modality="tabular", traits=["random"], needs=["classes"])
def boosting(
    train: Samples,
    test: Samples,
    seed: int,
    encoder: dict[str, Any],
    *,
    trees: Annotated[Count, Unit("boosting rounds, at most")] = 100,
    lr: Annotated[Positive, Unit("shrinkage of each tree")] = 0.1,
    leaf: Annotated[Count, Unit("rows of a leaf, at least")] = 20,
) -> FloorFeatures:
    """Gradient-boosted trees (scikit-learn's, with its defaults) on the same labels.

    Categories are split natively and missing cells go their own way: nothing is one-hot or filled.
    A leaf need not have more than a tenth of the rows: else few labels would grow no tree at all.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    numbers = train.spec.sizes["numbers"]
    codes = list(range(numbers, numbers + len(train.spec.sizes["levels"])))

    def predict(x: NDArray[Any], y: NDArray[np.int64], new: NDArray[Any]) -> NDArray[np.float64]:
        model = HistGradientBoostingClassifier(
            max_iter=trees,
            learning_rate=lr,
            min_samples_leaf=max(1, min(leaf, len(x) // 10)),
            categorical_features=codes,
            random_state=seed,
        )
        proba: NDArray[np.float64] = model.fit(x, y).predict_proba(new)
        return proba

    return _predictions(
        predict, train, _cells(train, train.labelled), _cells(test, everything(test)), seed
    )


def _cells(samples: Samples, index_N: torch.Tensor) -> NDArray[np.float64]:
    """Numbers, then codes; NaN = missing."""
    parts = []
    for batch in batches(samples, index_N, torch.device("cpu")):
        x = torch.cat([batch.x["number"].double(), batch.x["code"].double()], 1)
        parts.append(x.masked_fill(~batch.valid, float("nan")))
    cells: NDArray[np.float64] = torch.cat(parts).numpy()
    return cells


def _predictions(
    predict: Predict, train: Samples, x: NDArray[Any], new: NDArray[Any], seed: int
) -> FloorFeatures:
    """Test rows by a model of all labels; training rows by models that were fitted on the others.

    A row that is alone in its class is predicted by models that do not know the class, and so is
    wrong, as in a probe's own leave-one-out. Where all are alone, only the test rows are scored.
    """
    labels = train.labels_N[train.labelled].numpy()
    classes, y = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(f"all {len(labels)} labels are of one class: there is nothing to predict")
    test = predict(x, y, new)
    counts = np.bincount(y)
    folds = min(FOLDS, *counts[counts > 1], len(y)) if (counts > 1).any() else 0
    if not folds:
        none = np.zeros((len(y), len(classes)))
        return FloorFeatures(_rows(none), _rows(test), sees_labels=True, predicts=True)
    left_out = np.zeros((len(y), len(classes)))
    for fit, held in _folds(train, y, folds, seed):
        known = np.unique(y[fit])
        code = np.searchsorted(known, y[fit])
        if len(known) == 1:
            left_out[np.ix_(held, known)] = 1.0
        else:
            left_out[np.ix_(held, known)] = predict(x[fit], code, x[held])
    return FloorFeatures(_rows(left_out), _rows(test), predicts=True)


def _folds(train: Samples, y: NDArray[np.int64], folds: int, seed: int) -> list[Any]:
    """Stratified; with groups, none is on both sides."""
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    with warnings.catch_warnings():  # classes smaller than the number of folds are fine here
        warnings.simplefilter("ignore", UserWarning)
        if train.groups_N is None:
            return list(StratifiedKFold(folds, shuffle=True, random_state=seed).split(y, y))
        groups = train.groups_N[train.labelled].numpy()
        folds = min(folds, len(np.unique(groups)))
        splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
        return list(splitter.split(y, y, groups))


def _rows(proba_NK: NDArray[np.float64]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(proba_NK, dtype=np.float32))
