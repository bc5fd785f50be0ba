"""The probes against refits one by one, scikit-learn's estimators and the papers' formulas."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge, RidgeCV
from sklearn.metrics import balanced_accuracy_score, f1_score, log_loss
from sklearn.neighbors import KNeighborsClassifier

from sslsearch.probe import ridge
from sslsearch.probe.base import FittedProbe
from sslsearch.probe.interval import wilson
from sslsearch.probe.knn import Knn, knn
from sslsearch.probe.linear import Linear
from sslsearch.probe.rankme import rankme

ALPHAS = np.geomspace(1e-2, 1e6, 9)


def blobs(n: int, d: int, k: int, apart: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian classes of uneven sizes, on features of very different means and scales."""
    rng = np.random.default_rng(seed)
    labels = np.sort(rng.integers(0, k, n))
    labels[:k] = np.arange(k)
    x = rng.normal(size=(n, d)) + apart * rng.normal(size=(k, d))[labels]
    return x * rng.uniform(0.1, 10, d) + rng.normal(size=d) * 5, labels


@pytest.mark.parametrize(("n", "d"), [(40, 7), (25, 24), (24, 24), (24, 25), (20, 90)])
def test_left_out_errors_are_those_of_refits(n: int, d: int) -> None:
    x, y = blobs(n, d, 3, 1.0)
    target = np.eye(3)[y]
    fit = ridge.Ridge(x, target)
    errors = fit.left_out_errors(ALPHAS)
    x = (x - x.mean(0)) / x.std(0)
    for alpha, error in zip(ALPHAS, errors, strict=True):
        for i in range(n):
            rest = np.arange(n) != i
            alone = Ridge(alpha=alpha, solver="cholesky").fit(x[rest], target[rest])
            # scikit-learn's own refit is what limits the digits at the weakest penalty
            np.testing.assert_allclose(
                target[i] - error[i], alone.predict(x[i : i + 1])[0], rtol=0, atol=1e-8
            )


@pytest.mark.parametrize(("n", "d"), [(12, 3), (12, 30)])
def test_left_out_errors_by_least_squares(n: int, d: int) -> None:
    """The augmented system of ridge with a free intercept, solved by lstsq, sample by sample."""
    x, y = blobs(n, d, 2, 1.0, seed=3)
    target, alpha = np.eye(2)[y], 0.5
    (error,) = ridge.Ridge(x, target).left_out_errors(np.array([alpha]))
    x = (x - x.mean(0)) / x.std(0)
    for i in range(n):
        rest = np.arange(n) != i
        penalty = np.hstack([np.sqrt(alpha) * np.eye(d), np.zeros((d, 1))])
        left = np.vstack([np.hstack([x[rest], np.ones((n - 1, 1))]), penalty])
        right = np.vstack([target[rest], np.zeros((d, 2))])
        weights = np.linalg.lstsq(left, right, rcond=None)[0]
        predicted = np.append(x[i], 1.0) @ weights
        np.testing.assert_allclose(target[i] - error[i], predicted, rtol=0, atol=1e-10)


@pytest.mark.parametrize("d", [8, 60])
def test_duplicated_rows_and_features_stay_exact(d: int) -> None:
    """Rank-deficient both ways: eigenvalues of zero beside the intercept's own."""
    x, y = blobs(30, d, 3, 1.0)
    x, y = np.vstack([x, x[:10]]), np.append(y, y[:10])
    x = np.hstack([x, x[:, :3], np.full((40, 1), 0.1)])
    target = np.eye(3)[y]
    errors = ridge.Ridge(x, target).left_out_errors(ALPHAS)
    std = x.std(0)
    x = (x - x.mean(0)) / np.where(std > 1e-12, std, np.inf)
    for alpha, error in zip(ALPHAS[[0, 4, 8]], errors[[0, 4, 8]], strict=True):
        for i in range(40):
            rest = np.arange(40) != i
            alone = Ridge(alpha=alpha, solver="svd").fit(x[rest], target[rest])
            np.testing.assert_allclose(
                target[i] - error[i], alone.predict(x[i : i + 1])[0], rtol=0, atol=1e-8
            )


@pytest.mark.parametrize(("n", "d", "apart"), [(60, 10, 0.5), (60, 10, 0.0), (40, 120, 0.4)])
def test_alpha_and_errors_as_ridge_cv(n: int, d: int, apart: float) -> None:
    x, y = blobs(n, d, 4, apart)
    probe = Linear(alpha_low=1e-2, alpha_high=1e6, alpha_steps=17)
    scores = probe.rung(x, y)
    target = np.eye(4)[y]
    theirs = RidgeCV(np.sort(probe.alphas_A), store_cv_results=True)
    theirs.fit((x - x.mean(0)) / x.std(0), target)
    # gcv centres the features once, over all rows, as if they were given so: exact like ours
    press = theirs.cv_results_.sum((0, 1))
    assert scores.settings["alpha"] == pytest.approx(theirs.alpha_)
    tss = ((target - target.mean(0)) ** 2).sum()
    assert scores.values["r2"] == pytest.approx(1 - press.min() / tss, abs=1e-8)


def test_blocks_of_rows_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = blobs(50, 6, 3, 0.5)
    target, other = np.eye(3)[y], blobs(23, 6, 3, 0.5, seed=1)[0]
    whole = ridge.Ridge(x, target)
    errors, predicted = whole.left_out_errors(ALPHAS), whole.predict(other, ALPHAS)
    monkeypatch.setattr(ridge, "ROWS", 7)
    parts = ridge.Ridge(x, target)
    np.testing.assert_allclose(parts.left_out_errors(ALPHAS), errors, atol=1e-11)
    np.testing.assert_allclose(parts.predict(other, ALPHAS), predicted, atol=1e-11)


@pytest.mark.parametrize(("n", "d"), [(40, 7), (20, 50)])
def test_predictions_as_ridge(n: int, d: int) -> None:
    x, y = blobs(n, d, 3, 0.5)
    other, fit = blobs(9, d, 3, 0.5, seed=1)[0], ridge.Ridge(x, np.eye(3)[y])
    for alpha, predicted in zip(ALPHAS, fit.predict(other, ALPHAS), strict=True):
        mean, std = x.mean(0), x.std(0)
        theirs = Ridge(alpha=alpha).fit((x - mean) / std, np.eye(3)[y])
        np.testing.assert_allclose(predicted, theirs.predict((other - mean) / std), atol=1e-8)
        ours = (other - fit.mean_D) * fit.gain_D @ fit.coef(alpha) + fit.mean_K
        np.testing.assert_allclose(ours, predicted, atol=1e-9)


@pytest.mark.parametrize("k", [2, 4])
def test_logistic_as_scikit_learn(k: int) -> None:
    x, y = blobs(80, 10, k, 0.6)
    fitted = Linear(head="logistic").final(x, y)
    mean, std = x.mean(0), x.std(0)
    theirs = LogisticRegression(C=fitted.settings["C"], max_iter=5_000, tol=1e-8)
    theirs.fit((x - mean) / std, y)
    other = blobs(30, 10, k, 0.6, seed=1)[0]
    np.testing.assert_allclose(
        fitted.predict_proba(other), theirs.predict_proba((other - mean) / std), atol=5e-3
    )


@pytest.mark.parametrize("knobs", [{"head": "logistic"}, {"head": "ridge"}])
def test_metrics_as_scikit_learn(knobs: dict[str, str]) -> None:
    x, y = blobs(150, 8, 4, 0.5)
    fitted = Linear(**knobs).final(x[::2], y[::2])  # type: ignore[arg-type]
    proba, truth = fitted.predict_proba(x[1::2]), y[1::2]
    said = proba.argmax(1)
    values = fitted.score(x[1::2], truth).values
    assert values["accuracy"] == pytest.approx((said == truth).mean())
    assert values["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(truth, said))
    assert values["macro_f1"] == pytest.approx(f1_score(truth, said, average="macro"))
    assert values["log_loss"] == pytest.approx(log_loss(truth, proba))


@pytest.mark.parametrize("probe", [Linear(head="logistic"), Linear(head="ridge"), Knn(k=5)])
def test_json_and_back_predicts_the_same(probe: Linear | Knn) -> None:
    x, y = blobs(60, 12, 3, 0.7)
    fitted = probe.final(torch.from_numpy(x).float(), torch.from_numpy(y))
    again = FittedProbe.from_dict(json.loads(json.dumps(fitted.to_dict())))
    other = blobs(30, 12, 3, 0.7, seed=1)[0].astype(np.float32)
    np.testing.assert_allclose(again.predict_proba(other), fitted.predict_proba(other), atol=1e-12)
    assert again.settings == fitted.settings


@pytest.mark.parametrize("k", [1, 5, 200])
def test_knn_as_scikit_learn(k: int) -> None:
    x, y = blobs(40, 6, 3, 0.8)
    right = []
    for i in range(len(y)):
        rest = np.arange(len(y)) != i
        theirs = KNeighborsClassifier(
            min(k, len(y) - 1),
            algorithm="brute",
            metric="cosine",
            weights=lambda distance: np.exp((1 - distance) / 0.07),
        ).fit(x[rest], y[rest])
        right.append(theirs.predict(x[i : i + 1])[0] == y[i])
    assert knn(x, x, y, k=k, temperature=0.07) == pytest.approx(np.mean(right))


def test_rankme_is_papers_formula() -> None:
    x = torch.randn(200, 16, generator=torch.Generator().manual_seed(0)) @ torch.diag(
        torch.logspace(0, -3, 16)
    )
    sigma = torch.linalg.svdvals(x.double())
    p = sigma / sigma.abs().sum() + 1e-7
    assert rankme(x, x, torch.zeros(200)) == pytest.approx(float(torch.exp(-(p * p.log()).sum())))


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [  # Newcombe 1998, Interval estimation for the single proportion, Table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_as_published(k: int, n: int, low: float, high: float) -> None:
    assert wilson(k, n) == pytest.approx((low, high), abs=5e-5)
