"""Ridge regression on standardised features: one eigendecomposition serves every penalty.

It also gives what leaving each sample out, one at a time, would have predicted, without refitting
(Allen 1974, PRESS; Golub, Heath & Wahba 1979, Generalized Cross-Validation).

Shapes: N = samples, D = features, K = targets, R = eigenvectors kept, A = alphas.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
FeatureArray = NDArray[np.float32] | NDArray[np.float64]

ROWS = 4_096  # rows standardised at a time: what float64 copies cost does not grow with N
DEAD = 1e-6  # a feature that varies less than this share of its size is float32 noise


class Ridge:
    """Minimises |Y - 1b - XW|² + alpha |W|² for any alpha > 0; the intercept b is not penalised.

    X are the features less their mean, divided by their standard deviation (dead features are
    zero). Both sides being centred, b is the targets' mean and drops out of what follows. With
    H the matrix that maps Y to the fitted values, 1/N in it for the intercept:

        left-out error of sample i  =  (Y - HY)_i / (1 - H_ii)

    is exact for a linear smoother: it equals a refit on the other N - 1 samples, its intercept
    included. One thing is held fixed in that refit: the division by the standard deviation,
    which is that of all N rows (without labels, so no label leaks). The mean is not: a refit's
    own intercept makes up for any shift of X.

    Case N > D ("primal"): X'X = V L V' is D x D. With Z = XV,
        W = V (L + alpha)^-1 V' X'Y,    1 - H_ii = 1 - 1/N - sum_r Z_ir² / (L_r + alpha).
    Case N <= D ("dual"): XX' = U L U' is N x N, and the same W reads
        W = X' U (L + alpha)^-1 U' Y.
    1 is always an eigenvector of XX', of eigenvalue 0, and belongs to the intercept. Left alone
    it mixes with other vectors of eigenvalue 0; lifted out (adding a multiple of 11' moves its
    eigenvalue to the top and no other) the rest gives, as sums of positive terms that lose no
    digits even where H_ii is all but 1,
        (Y - HY)_i = (U G U' Y)_i,    1 - H_ii = sum_r U_ir² G_r,    G = alpha / (L + alpha).
    """

    def __init__(self, features_ND: FeatureArray, targets_NK: FloatArray) -> None:
        n, d = features_ND.shape
        self.features_ND, self.mean_K = features_ND, targets_NK.mean(0)
        self.centred_NK = targets_NK - self.mean_K
        self.mean_D, self.gain_D = standardisation(features_ND)
        self.dual = n <= d
        if self.dual:
            x_ND = self._standard(features_ND)
            gram = x_ND @ x_ND.T
            gram += (2 * np.trace(gram) + 1) / n  # above every eigenvalue: their sum is the trace
            eigen_R, vectors = np.linalg.eigh(gram)
            eigen_R, self.vectors = eigen_R[:-1], vectors[:, :-1]
            self.target_RK = self.vectors.T @ self.centred_NK
        else:
            gram, moment_DK = np.zeros((d, d)), np.zeros((d, targets_NK.shape[1]))
            for rows, x in self._blocks(features_ND):
                gram += x.T @ x
                moment_DK += x.T @ self.centred_NK[rows]
            eigen_R, self.vectors = np.linalg.eigh(gram)
            self.target_RK = self.vectors.T @ moment_DK
        self.eigen_R = np.maximum(eigen_R, 0.0)

    def coef(self, alpha: float) -> FloatArray:
        """W (D, K), on standardised features."""
        coef: FloatArray = self.vectors @ (self.target_RK / (self.eigen_R + alpha)[:, None])
        if self.dual:
            coef = self._standard(self.features_ND).T @ coef
        return coef

    def predict(self, features_ND: FeatureArray, alphas_A: FloatArray) -> FloatArray:
        """What is predicted for other rows at each alpha: (A, N, K)."""
        basis_DR = self.vectors
        if self.dual:
            basis_DR = self._standard(self.features_ND).T @ self.vectors
        gain_RA = 1 / (self.eigen_R[:, None] + alphas_A)
        blocks = self._blocks(features_ND)
        parts = [self._combine(x @ basis_DR, gain_RA) for _, x in blocks]
        fitted_ANK: FloatArray = np.concatenate(parts, axis=1) + self.mean_K
        return fitted_ANK

    def left_out_errors(self, alphas_A: FloatArray) -> FloatArray:
        """Y - what the other N - 1 samples predict, at each alpha: (A, N, K)."""
        if self.dual:
            gain_RA = alphas_A / (self.eigen_R[:, None] + alphas_A)
            slack_NA = self.vectors**2 @ gain_RA
            error_ANK: FloatArray = self._combine(self.vectors, gain_RA) / slack_NA.T[..., None]
            return error_ANK
        inverse_RA = 1 / (self.eigen_R[:, None] + alphas_A)
        error_ANK = np.empty((len(alphas_A), *self.centred_NK.shape))
        for rows, x in self._blocks(self.features_ND):
            z = x @ self.vectors
            slack_NA = 1 - 1 / len(self.features_ND) - z**2 @ inverse_RA
            residual_ANK = self.centred_NK[rows] - self._combine(z, inverse_RA)
            error_ANK[:, rows] = residual_ANK / slack_NA.T[..., None]
        return error_ANK

    def _combine(self, z_NR: FloatArray, gain_RA: FloatArray) -> FloatArray:
        """z diag(gain) target at each alpha, (A, N, K), in one product."""
        weights_RAK = gain_RA[:, :, None] * self.target_RK[:, None]
        flat_NX = z_NR @ weights_RAK.reshape(len(weights_RAK), -1)
        sum_NAK: FloatArray = flat_NX.reshape(-1, *weights_RAK.shape[1:])
        return sum_NAK.transpose(1, 0, 2)

    def _standard(self, features_ND: FeatureArray) -> FloatArray:
        return (features_ND - self.mean_D) * self.gain_D

    def _blocks(self, features_ND: FeatureArray) -> Iterator[tuple[slice, FloatArray]]:
        for start in range(0, len(features_ND), ROWS):
            rows = slice(start, start + ROWS)
            yield rows, self._standard(features_ND[rows])


def standardisation(features_ND: FeatureArray) -> tuple[FloatArray, FloatArray]:
    """Mean and 1 / standard deviation of each feature; 0 in place of the latter where it is dead.

    A dead feature so becomes zero: it can neither help nor, as noise blown up, hurt.
    """
    mean_D = features_ND.mean(0, dtype=np.float64)
    square_D = np.zeros_like(mean_D)
    for start in range(0, len(features_ND), ROWS):
        square_D += ((features_ND[start : start + ROWS] - mean_D) ** 2).sum(0)
    std_D = np.sqrt(square_D / len(features_ND))
    alive_D = std_D > DEAD * (np.abs(mean_D) + std_D)
    return mean_D, np.divide(1.0, std_D, out=np.zeros_like(std_D), where=alive_D)
