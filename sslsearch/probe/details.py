"""Where a fitted probe errs: a confusion table of classes, or the error of each step told.

Shapes: K = classes, N = samples, C = channels, S = steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sslsearch.probe.base import FittedClassifier, FittedProbe, Rows, against, as_labels
from sslsearch.probe.numbers import Told, as_numbers

MOST_CLASSES = 100  # a larger table is neither read nor kept


def details(fitted: FittedProbe, features_ND: Rows, truth_N: Rows) -> dict[str, Any]:
    """Plain values, of samples that the probe has not learnt from; {} of other probes.

    classes, table: class codes, and how often row's class was called column's.
    steps: the mean squared error of each step asked for, over samples and channels.
    """
    if isinstance(fitted, FittedClassifier):
        proba_NK = fitted.predict_proba(features_ND)
        proba_NK, classes, code_N = against(proba_NK, fitted.classes, as_labels(truth_N))
        k = len(classes)
        if k > MOST_CLASSES:
            return {}
        table_KK = np.bincount(code_N * k + proba_NK.argmax(1), minlength=k * k).reshape(k, k)
        return {"classes": classes.tolist(), "table": table_KK.tolist()}
    if isinstance(fitted, Told):
        square_NCS = (fitted.tell(features_ND) - as_numbers(truth_N)) ** 2
        known_S = np.isfinite(square_NCS).any((0, 1))
        steps = np.full(square_NCS.shape[2], np.nan)
        steps[known_S] = np.nanmean(square_NCS[..., known_S], axis=(0, 1))
        return {"steps": steps.tolist()}
    return {}


def together(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Several runs over the same samples as one: counts added up, errors averaged."""
    if not runs or not all(runs):
        return {}
    if "table" in runs[0]:
        table = np.sum([run["table"] for run in runs], axis=0)
        return {"classes": runs[0]["classes"], "table": table.tolist(), "runs": len(runs)}
    return {"steps": np.mean([run["steps"] for run in runs], axis=0).tolist(), "runs": len(runs)}
