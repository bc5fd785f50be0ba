"""Nearest neighbours by cosine similarity, in blocks: what knn, retrieval and anomaly stand on.

Shapes: Q = asked samples, N = samples of the bank, D = features, k = neighbours.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from sslsearch.registry import Count, Unit

FloatArray = NDArray[np.float64]
ROWS = 1_024  # asked samples at a time: bounds the table of similarities

Neighbours = Annotated[Count, Unit("neighbours")]


def unit(features_ND: NDArray[Any]) -> FloatArray:
    """Rows of length one; a row of zeros stays one."""
    x_ND = features_ND.astype(np.float64)
    norm_N1 = np.linalg.norm(x_ND, axis=1, keepdims=True)
    unit_ND: FloatArray = x_ND / np.where(norm_N1 > 0, norm_N1, 1.0)
    return unit_ND


def nearest(
    asked_QD: FloatArray,
    bank_ND: FloatArray,
    k: int,
    apart_Q: NDArray[Any] | None = None,
    apart_N: NDArray[Any] | None = None,
) -> tuple[FloatArray, NDArray[np.int64]]:
    """Similarity and row of the k nearest in the bank, the nearest first: two arrays (Q, k).

    Both sides are unit rows. apart_Q, apart_N: the group of each row; none of a sample's own group
    is its neighbour: where there are too few others, the similarity of the rest is -inf.
    """
    k = min(k, len(bank_ND))
    near, top = [], []
    for start in range(0, len(asked_QD), ROWS):
        rows = slice(start, start + ROWS)
        near_QN = asked_QD[rows] @ bank_ND.T
        if apart_Q is not None and apart_N is not None:
            near_QN[apart_Q[rows, None] == apart_N] = -np.inf
        some_Qk = np.argpartition(-near_QN, k - 1, axis=1)[:, :k]
        order_Qk = np.argsort(-np.take_along_axis(near_QN, some_Qk, axis=1), axis=1, kind="stable")
        top_Qk = np.take_along_axis(some_Qk, order_Qk, axis=1)
        near.append(np.take_along_axis(near_QN, top_Qk, axis=1))
        top.append(top_Qk)
    return np.concatenate(near), np.concatenate(top).astype(np.int64)
