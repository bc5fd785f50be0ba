"""A map of embeddings: the plane in which they spread most (principal components), and how well
neighbours and a linear probe tell the classes in the whole space.

Shapes: N = labelled training samples, D = pooled width, K = classes.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sslsearch.data.samples import Samples
from sslsearch.encoders.base import Encoder
from sslsearch.probe.knn import Knn
from sslsearch.probe.linear import Linear
from sslsearch.train.embed import features

MOST, FEW = 500, 32  # samples that are drawn, evenly spaced; of a slow encoder at least the latter


def flat_map(encoder: Encoder, samples: Samples, most: int = MOST) -> dict[str, Any]:
    """Plain values; labels are those of the training split, the only ones there are here.

    most: samples.
    xy, spread: places, and the share of the variance that each of the two axes holds.
    labels: class codes, -1 where no sample has a label.
    knn, linear: accuracy, each sample told by the others; nothing of fewer than two classes.
    """
    labelled = torch.nonzero(samples.labels_N >= 0).flatten()
    rows = labelled if len(labelled) else samples.pool
    rows = rows[torch.linspace(0, len(rows) - 1, min(most, len(rows))).round().long()]
    x_ND, labels_N = features(encoder, samples, rows, torch.device("cpu")), samples.labels_N[rows]
    xy_N2, spread = _plane(x_ND.numpy().astype(np.float64))
    made = {"xy": np.round(xy_N2, 4).tolist(), "spread": spread, "labels": labels_N.tolist()}
    groups = None if samples.groups_N is None else samples.groups_N[rows].numpy()
    if groups is not None and len(np.unique(groups)) < 2:
        groups = None
    if labels_N.min() < labels_N.max():
        for name, probe in (("knn", Knn()), ("linear", Linear())):
            made[name] = probe.rung(x_ND, labels_N, groups).values["accuracy"]
    return made


def affordable(encoder: Encoder, samples: Samples, seconds: float) -> int:
    """How many samples the encoder embeds in that time, FEW to MOST."""
    began = time.monotonic()
    features(encoder, samples, samples.pool[:FEW], torch.device("cpu"))
    return max(FEW, min(MOST, int(FEW * seconds / (time.monotonic() - began))))


def _plane(x_ND: NDArray[np.float64]) -> tuple[NDArray[np.float64], list[float]]:
    """Each feature standardised, as the probe does; an axis points where its heaviest feature
    grows, so that the same embeddings give the same map."""
    centred_ND = x_ND - x_ND.mean(0)
    scale_D = centred_ND.std(0)
    centred_ND = centred_ND / np.where(scale_D > 0, scale_D, 1.0)
    left, values, right = np.linalg.svd(centred_ND, full_matrices=False)
    xy_N2, share = np.zeros((len(x_ND), 2)), [0.0, 0.0]
    total = float((values**2).sum())
    for axis in range(min(2, len(values))):
        heaviest = right[axis][np.abs(right[axis]).argmax()]
        xy_N2[:, axis] = left[:, axis] * values[axis] * (-1.0 if heaviest < 0 else 1.0)
        share[axis] = float(values[axis] ** 2 / total) if total else 0.0
    return xy_N2, share
