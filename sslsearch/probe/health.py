"""Is the encoder still alive? Figures of its features, and the reason if they have collapsed.

Chen & He 2021, Exploring Simple Siamese Representation Learning, arXiv:2011.10566 (features that
are all the same: standard deviation 0); Jing et al. 2022, Understanding Dimensional Collapse,
arXiv:2110.09348 (features that all lie on a line).

Shapes: M = samples, D = features.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sslsearch.probe.base import Rows, as_features
from sslsearch.probe.rankme import effective_rank
from sslsearch.probe.ridge import DEAD

SAME = 1e-3  # standard deviation as a share of size: float32 leaves 1e-7, live encoders above 1e-2
LINE = 0.9999  # share of the variance along one direction: of live encoders at most 0.99 or so


def health(features_MD: Rows) -> dict[str, float]:
    """feature_std_mean and _min (in the features' own units), feature_spread (their standard
    deviation as a share of their size, both root mean square), effective_rank (less their mean),
    first_direction (its share of the variance), dead_dims (share of features that do not vary).
    """
    x_MD = as_features(features_MD).astype(np.float64)
    std_D = x_MD.std(0)
    sigma = np.linalg.svd(x_MD - x_MD.mean(0), compute_uv=False)
    energy = sigma**2
    size = float(np.sqrt((x_MD**2).mean()))
    return {
        "feature_std_mean": float(std_D.mean()),
        "feature_std_min": float(std_D.min()),
        "feature_spread": float(np.sqrt((std_D**2).mean())) / size if size > 0 else 0.0,
        "effective_rank": effective_rank(sigma),
        "first_direction": float(energy[0] / energy.sum()) if energy.sum() > 0 else 1.0,
        "dead_dims": float((std_D <= DEAD * (np.abs(x_MD.mean(0)) + std_D)).mean()),
    }


def collapsed(features_MD: Rows) -> str:
    """Why these features can tell no samples apart, or "" if they can.

    Two ways: all samples have the same features (spread below SAME), or they differ along one
    direction only (beyond LINE), of three samples and three features or more.
    """
    features: NDArray[Any] = as_features(features_MD)
    if len(features) < 3:
        return ""  # too few to tell
    seen = health(features)
    if seen["feature_spread"] < SAME:
        return (
            f"collapsed: all samples have the same features (spread {seen['feature_spread']:.1e} "
            f"of their size, at least {SAME:.0e} is alive)"
        )
    if features.shape[1] >= 3 and seen["first_direction"] > LINE:
        return (
            f"collapsed: the features vary along one direction only "
            f"({seen['first_direction']:.4%} of the variance)"
        )
    return ""
