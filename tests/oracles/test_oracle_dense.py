"""The dense probe against scikit-learn: its fit, its counts, and what each image adds to them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, jaccard_score
from sklearn.preprocessing import StandardScaler

from sslsearch.probe.dense import Dense, FittedDense

N, ROWS, PATCH, D, K = 24, 3, 2, 5, 3


@pytest.fixture(scope="module")
def task() -> tuple[torch.Tensor, torch.Tensor]:
    """Features (N, T, D) that tell something of maps (N, H, W) of three classes and void."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, K, (N, ROWS, ROWS))
    truth = coarse.repeat(PATCH, 1).repeat(PATCH, 2)
    wrong = rng.random(truth.shape) < 0.2
    truth = np.where(wrong, rng.integers(-1, K, truth.shape), truth)
    features = rng.normal(size=(N, ROWS * ROWS, D)) + np.eye(K, D)[coarse.reshape(N, -1)]
    return torch.tensor(features, dtype=torch.float32), torch.tensor(truth)


def patch_of(truth_NHW: np.ndarray, i: int, t: int) -> np.ndarray:
    row, column = divmod(t, ROWS)
    tile = slice(row * PATCH, row * PATCH + PATCH), slice(column * PATCH, column * PATCH + PATCH)
    return truth_NHW[i][tile].ravel()


def majority(pixels: np.ndarray) -> int:
    counts = [(pixels == k).sum() for k in range(K)]
    return int(np.argmax(counts)) if max(counts) else -1


def slow_pixels(truth: np.ndarray, said_NT: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All pixels of which something is said, and what their patch is said to be."""
    true, said = [], []
    for i in range(len(truth)):
        for t in range(said_NT.shape[1]):
            for pixel in patch_of(truth, i, t):
                if pixel >= 0:
                    true.append(pixel)
                    said.append(said_NT[i, t])
    return np.array(true), np.array(said)


def slow_figures(truth: np.ndarray, said_NT: np.ndarray) -> dict[str, float]:
    true, said = slow_pixels(truth, said_NT)
    return {
        "miou": jaccard_score(true, said, average="macro"),
        "pixel_accuracy": accuracy_score(true, said),
    }


def test_dense_is_scikit_learns_on_patches(task: tuple[torch.Tensor, torch.Tensor]) -> None:
    features, truth = task[0].numpy(), task[1].numpy()
    fitted = Dense().final(task[0][:16], task[1][:16])
    assert isinstance(fitted, FittedDense)
    code = np.array([majority(patch_of(truth, i, t)) for i in range(16) for t in range(ROWS**2)])
    flat = features[:16].reshape(-1, D)[code >= 0]
    scaler = StandardScaler().fit(flat)
    theirs = LogisticRegression(C=1.0, max_iter=1000).fit(scaler.transform(flat), code[code >= 0])
    want = theirs.predict(scaler.transform(features[16:].reshape(-1, D))).reshape(8, -1)
    assert np.array_equal(fitted.predict(task[0][16:]), want)
    figures = fitted.score(task[0][16:], task[1][16:])
    assert dict(figures.values) == pytest.approx(slow_figures(truth[16:], want))
    assert figures.low["miou"] < figures.values["miou"] < figures.high["miou"]


def test_dense_shares_are_a_jackknife(task: tuple[torch.Tensor, torch.Tensor]) -> None:
    fitted = Dense().final(*task)
    said, truth = fitted.predict(task[0]), task[1].numpy()  # type: ignore[attr-defined]
    for metric, whole in slow_figures(truth, said).items():
        shares = fitted.shares(metric, *task)
        left_out = []
        for i in range(N):
            rest = np.arange(N) != i
            left_out.append(slow_figures(truth[rest], said[rest])[metric])
        assert shares.mean() == pytest.approx(whole)
        np.testing.assert_allclose(
            shares - whole, -(N - 1) * (np.array(left_out) - np.mean(left_out)), atol=1e-9
        )


def test_dense_rungs_are_cross_validated_by_image(task: tuple[torch.Tensor, torch.Tensor]) -> None:
    """With as many folds as images: each image by ridges fitted on all others."""
    features, truth = task[0].numpy(), task[1].numpy()
    rung = Dense(folds=N).rung(*task)
    code = np.array([[majority(patch_of(truth, i, t)) for t in range(ROWS**2)] for i in range(N)])
    best = (np.inf, np.zeros(0))
    for alpha in np.geomspace(1e6, 1e-2, 9):
        said = np.empty((N, ROWS**2, K))
        for i in range(N):
            rest = (np.arange(N) != i)[:, None] & (code >= 0)
            scaler = StandardScaler().fit(features[rest])
            ridge = Ridge(alpha=alpha).fit(scaler.transform(features[rest]), np.eye(K)[code[rest]])
            said[i] = ridge.predict(scaler.transform(features[i]))
        seen = code >= 0
        error = ((said[seen] - np.eye(K)[code[seen]]) ** 2).sum()
        best = min(best, (error, said.argmax(-1)), key=lambda pair: pair[0])
    assert dict(rung.values) == pytest.approx(slow_figures(truth, best[1]))


def test_dense_of_one_class_is_no_task(task: tuple[torch.Tensor, torch.Tensor]) -> None:
    with pytest.raises(ValueError, match="the maps of classes show 1 class"):
        Dense().rung(task[0], torch.zeros_like(task[1]))
