"""A fitted linear probe as a torch module, for graphs that are exported.

Shapes: N = samples, D = features, K = classes.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import nn


class Affine(nn.Module):
    """softmax of an affine map of standardised features, in float64: (N, D) to (N, K) float32."""

    scale_DK: torch.Tensor
    shift_K: torch.Tensor

    def __init__(
        self, mean_D: ArrayLike, gain_D: ArrayLike, coef_DK: ArrayLike, bias_K: ArrayLike
    ) -> None:
        super().__init__()
        scale_DK = np.asarray(gain_D)[:, None] * np.asarray(coef_DK)
        shift_K = np.asarray(bias_K) - np.asarray(mean_D) @ scale_DK
        for name, values in (("scale_DK", scale_DK), ("shift_K", shift_K)):
            self.register_buffer(name, torch.from_numpy(values), persistent=False)

    def forward(self, features_ND: torch.Tensor) -> torch.Tensor:
        scores_NK = features_ND.double() @ self.scale_DK + self.shift_K
        return torch.softmax(scores_NK, 1).float()
