"""RankMe: how many directions the features use, without labels.

Garrido et al. 2023, RankMe: Assessing the Downstream Performance of Pretrained Self-Supervised
Representations by Their Rank, arXiv:2210.02885 (equation 1). Its authors compare only runs of one
method by it.

Shapes: M = pool samples, D = features, N = labelled samples.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from sslsearch.probe.base import Rows, as_features
from sslsearch.registry import Count, Unit, register

EPSILON = 1e-7  # the paper's


@register("watch", "rankme", paper="Garrido et al. 2023, arXiv:2210.02885")
def rankme(
    pool_features_MD: Rows,
    features_ND: Rows,
    labels_N: Rows,
    *,
    samples: Annotated[Count, Unit("samples")] = 25_600,
) -> float:
    """Effective rank of the pool's features: 1 (all on a line) to their width.

    Of a larger pool every so-many-th row is taken: always the same ones.
    """
    features = as_features(pool_features_MD)
    take = np.linspace(0, len(features) - 1, min(samples, len(features))).astype(np.int64)
    sigma = np.linalg.svd(features[take].astype(np.float64), compute_uv=False)
    return effective_rank(sigma)


def effective_rank(sigma: NDArray[np.float64]) -> float:
    """exp(entropy of the singular values as shares of their sum)."""
    share = sigma / max(float(sigma.sum()), EPSILON) + EPSILON
    return float(np.exp(-(share * np.log(share)).sum()))
