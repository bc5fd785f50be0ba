"""The strongest cheap baselines of time series: random convolution kernels, nothing learnt.

Dempster et al. 2021, MiniRocket, arXiv:2012.08791; Tan et al. 2022, MultiRocket, arXiv:2102.00457.
The transforms are aeon's. Their biases are quantiles of the labelled training series, as in the
papers; labels play no part. A sample's features weigh 40 kB (minirocket), 200 kB (multirocket).

Series of unequal length or with gaps: see `floors.filled`. Shapes: N = samples, C, T, D = features.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from sslsearch.probe.floors import FloorFeatures, Samples, batches, everything, filled
from sslsearch.registry import Unit, register

SHORTEST = 10  # steps: a kernel spans 9, and MultiRocket also looks at the differences
Kernels = Annotated[int, Field(ge=84), Unit("kernels")]  # 84 is one of each shape


@register(
    "floor",
    modality="timeseries",
    traits=["random"],
    needs=["pooled"],
    paper="Tan et al. 2022, arXiv:2102.00457",
)
def multirocket(
    train: Samples, test: Samples, seed: int, encoder: dict[str, Any], *, kernels: Kernels = 6_250
) -> FloorFeatures:
    """Four statistics of each of some 6,000 random convolutions, of the series and its slope."""
    # imported here, as numba compiles for half a minute on first use
    from aeon.transformations.collection.convolution_based import MultiRocket

    return _features(MultiRocket(n_kernels=kernels, n_jobs=1, random_state=seed), train, test)


@register(
    "floor",
    modality="timeseries",
    traits=["random"],
    needs=["pooled"],
    paper="Dempster et al. 2021, arXiv:2012.08791",
)
def minirocket(
    train: Samples, test: Samples, seed: int, encoder: dict[str, Any], *, kernels: Kernels = 10_000
) -> FloorFeatures:
    """How often each of some 10,000 random convolutions is above its bias."""
    from aeon.transformations.collection.convolution_based import MiniRocket

    return _features(MiniRocket(n_kernels=kernels, n_jobs=1, random_state=seed), train, test)


def _features(rocket: Any, train: Samples, test: Samples) -> FloorFeatures:
    train_NCT, test_NCT = _series(train, train.labelled), _series(test, everything(test))
    if len(train_NCT) < 2:
        raise ValueError(f"rockets need 2 labelled series at least, but got {len(train_NCT)}")
    with _numpy_state_kept():
        train_ND = rocket.fit_transform(train_NCT)
        test_ND = rocket.transform(test_NCT)
    return FloorFeatures(_rows(train_ND), _rows(test_ND))


def _series(samples: Samples, index_N: torch.Tensor) -> NDArray[np.float32]:
    """x_NCT, whole; a series too short for a kernel goes on with its last value."""
    parts = [filled(batch) for batch in batches(samples, index_N, torch.device("cpu"))]
    x_NCT = torch.cat(parts).float()
    missing = max(0, SHORTEST - x_NCT.shape[-1])
    last_NC1 = x_NCT[..., -1:].expand(-1, -1, missing)
    whole: NDArray[np.float32] = torch.cat([x_NCT, last_NC1], -1).numpy()
    return whole


def _rows(features_ND: Any) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(features_ND, dtype=np.float32))


@contextmanager
def _numpy_state_kept() -> Iterator[None]:
    """aeon's rockets seed numpy's global generator: put it back as it was."""
    state = np.random.get_state()
    try:
        yield
    finally:
        np.random.set_state(state)
