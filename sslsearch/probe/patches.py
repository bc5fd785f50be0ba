"""Maps of classes by patches: what a probe of single tokens is told, and how it is counted.

Shapes: N = images, T = patches of an image, row by row, P = pixels of a patch, H, W = pixels, K =
classes, C = colours. Truth: classes, -1 where nothing is said.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from sslsearch.data.samples import Samples

Ints = NDArray[np.int64]
SIDES = (4, 2, 1)  # of the patches of raw pixels, the first that fits


def truth_of(samples: Samples, index_N: torch.Tensor) -> torch.Tensor:
    """(N, H, W) int64 on the CPU."""
    column = samples.columns["mask"]
    mask_NHW = column[index_N.to(column.device)].cpu().long()
    return torch.where(mask_NHW == torch.iinfo(column.dtype).max, -1, mask_NHW)


def raw_patches(x_NCHW: torch.Tensor) -> torch.Tensor:
    """(N, T, C · side²)"""
    side = next(s for s in SIDES if not (x_NCHW.shape[2] % s or x_NCHW.shape[3] % s))
    return F.unfold(x_NCHW, side, stride=side).transpose(1, 2)


def by_patch(truth_NHW: Any, patches: int) -> Ints:
    """truth_NTP: the pixels of each of the square patches that an image is made of."""
    truth_NHW = np.asarray(truth_NHW, np.int64)
    N, height, width = truth_NHW.shape
    side = round((height * width / patches) ** 0.5)
    rows, columns = height // side, width // side
    assert rows * columns == patches
    assert (height, width) == (rows * side, columns * side)
    truth_NRpCp = truth_NHW.reshape(N, rows, side, columns, side)
    truth_NTP: Ints = truth_NRpCp.transpose(0, 1, 3, 2, 4).reshape(N, patches, side * side)
    return truth_NTP


def commonest(truth_NTP: Ints, classes: Ints) -> Ints:
    """The place in `classes` of the class that most of a patch is of; -1 where nothing is said."""
    count_KNT = np.stack([(truth_NTP == c).sum(2) for c in classes])
    best_NT: Ints = np.where(count_KNT.any(0), count_KNT.argmax(0), -1)
    return best_NT


def confusion(truth_NTP: Ints, said_NT: Ints, classes: Ints) -> Ints:
    """table_NKK: of each image, how many pixels of one class are said to be of which."""
    N, K = len(truth_NTP), len(classes)
    there_NTP = truth_NTP >= 0
    true_NTP = np.searchsorted(classes, np.maximum(truth_NTP, classes[0]))
    image_NTP = np.broadcast_to(np.arange(N)[:, None, None], truth_NTP.shape)
    cell_NTP = (image_NTP * K + true_NTP) * K + said_NT[..., None]
    return np.bincount(cell_NTP[there_NTP], minlength=N * K * K).reshape(N, K, K)


def figure(metric: str, table_KK: Ints) -> float:
    """`pixel_accuracy`: the share of right pixels; `miou`: over classes that are there or are said
    to be, right pixels over those that are of the class or said to be."""
    right_K, true_K, said_K = table_KK.diagonal(), table_KK.sum(1), table_KK.sum(0)
    if metric == "pixel_accuracy":
        return float(right_K.sum() / max(1, true_K.sum()))
    union_K = true_K + said_K - right_K
    return float((right_K[union_K > 0] / union_K[union_K > 0]).mean()) if union_K.any() else 0.0
