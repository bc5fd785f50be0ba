"""The floor of random patches against a slow loop over every patch of an image.

Shapes: K = filters, P = numbers of a patch, H, W = pixels.
"""

from __future__ import annotations

import numpy as np
import torch

from sslsearch.probe import floor_patches

SIZE, THRESHOLD = 3, 0.25


def test_pooled_answers_are_those_of_a_loop() -> None:
    rng = torch.Generator().manual_seed(0)
    x = torch.rand(2, 3, 8, 8, generator=rng)
    patch_MP = torch.rand(500, 27, generator=rng)
    whiten = floor_patches._Whitening(patch_MP)
    filter_KP = torch.nn.functional.normalize(torch.randn(5, 27, generator=rng), dim=1)
    ours = floor_patches._pooled(x, filter_KP, whiten, SIZE, THRESHOLD)

    def standard(patches: np.ndarray) -> np.ndarray:
        centred = patches - patches.mean(-1, keepdims=True)
        return centred / np.sqrt(patches.var(-1, ddof=1, keepdims=True) + 10 / 255**2)

    known = standard(patch_MP.double().numpy())
    value, vector = np.linalg.eigh(np.cov(known.T))
    matrix = vector @ np.diag(1 / np.sqrt(value + 0.1)) @ vector.T
    places = 8 - SIZE + 1
    for b in range(2):
        total = np.zeros((10, 2, 2))
        for i in range(places):
            for j in range(places):
                patch = x[b, :, i : i + SIZE, j : j + SIZE].reshape(-1).double().numpy()
                answer = filter_KP.double().numpy() @ (matrix @ (standard(patch) - known.mean(0)))
                both = np.concatenate([answer - THRESHOLD, -answer - THRESHOLD]).clip(0)
                total[:, i // 3, j // 3] += both / 9
        np.testing.assert_allclose(ours[b].numpy(), total.reshape(-1), atol=1e-4)
