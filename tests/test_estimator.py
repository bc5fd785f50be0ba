"""SSLEncoder among scikit-learn's: its own checks, and what people do with transformers."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

import sslsearch
from sslsearch import SSLEncoder
from sslsearch.estimator import labels_of

TINY: dict[str, Any] = {
    "encoder": {"table_mlp": {"depth": 1, "width": 8}},
    "pretext": {"vicreg": {}},
    "augment": {"marginal_resample": {"ratio": 0.3}},
    "optim": {"batch_size": 16},
}
SERIES: dict[str, Any] = {
    "encoder": {"conv1d": {"depth": 2, "width": 8}},
    "pretext": {"simclr": {}},
    "augment": {"jitter": {"sigma": 0.1}},
    "optim": {"batch_size": 8},
}


def tiny(given: Any = None, **more: Any) -> SSLEncoder:
    return SSLEncoder(TINY if given is None else given, samples=32, **more)


@parametrize_with_checks(
    [tiny()],
    expected_failed_checks=lambda _: {
        "check_methods_sample_order_invariance": "float32: a row at another place of a batch "
        "differs by a rounding (6e-8), and the check allows 1e-9"
    },
)
def test_it_passes_the_checks_of_scikit_learn(estimator: Any, check: Any) -> None:
    check(estimator)


def test_in_a_pipeline() -> None:
    X, y = load_iris(return_X_y=True)
    made = make_pipeline(SSLEncoder(TINY, samples=480), LogisticRegression(max_iter=2_000))
    assert cross_val_score(made, X, y, cv=3).mean() > 0.8


def test_parameters_and_clones() -> None:
    made = tiny(random_state=3).set_params(samples=64, set=["optim.lr=1e-2"])
    again = clone(made)
    assert again.get_params() == made.get_params()
    again.fit(load_iris().data)
    assert again.trained_.recipe["optim"]["lr"] == 0.01
    assert again.trained_.recipe["fidelity"]["last"] == 64
    assert not hasattr(made, "trained_")


def test_features_depend_on_the_seed_and_not_on_the_labels() -> None:
    X, y = load_iris(return_X_y=True)
    first, labelled = tiny().fit(X), tiny().fit(X, y)
    np.testing.assert_array_equal(first.transform(X), labelled.transform(X))
    assert not np.allclose(first.transform(X), tiny(random_state=1).fit_transform(X))
    assert labelled.trained_.classes == ["0", "1", "2"]
    assert set(labelled.trained_.predict(X)) <= {"0", "1", "2"}
    with pytest.raises(ValueError, match="without labels does not predict"):
        first.trained_.predict(X)


def test_what_is_given_for_no_label() -> None:
    X = np.zeros((5, 1))
    assert labels_of(X, None) is None
    assert labels_of(X, [0, 1, -1, 2, 1]) == ["0", "1", None, "2", "1"]
    assert labels_of(X, np.array([0.0, 1.0, np.nan, 1.0, 0.0])) == ["0", "1", None, "1", "0"]
    assert labels_of(X, ["a", None, "b", "a", "a"]) == ["a", None, "b", "a", "a"]
    assert labels_of(X, pd.Series([True, False, True, True, False])) == [
        "True", "False", "True", "True", "False",
    ]  # fmt: skip
    assert labels_of(X, [0.5, 1.5, 2.0, 3.0, 4.0]) is None, "a target of regression"
    assert labels_of(X, [-1] * 5) is None
    with pytest.raises(ValueError, match="inconsistent"):
        labels_of(X, [0, 1])


def test_tables_of_all_kinds() -> None:
    rng = np.random.default_rng(0)
    X = pd.DataFrame(
        {
            "amount": rng.standard_normal(40),
            "colour": rng.choice(["red", "green"], 40),
            "on": rng.random(40) < 0.5,
            "when": pd.date_range("2024-01-01", periods=40, freq="31h"),
        }
    )
    X.loc[3, "amount"] = np.nan
    made = tiny().fit(X, ["a", "b"] * 20)
    assert made.transform(X.head(7)).shape == (7, 8)
    assert list(made.get_feature_names_out())[:2] == ["sslencoder0", "sslencoder1"]
    frame = made.set_output(transform="pandas").transform(X)
    assert list(frame.columns)[-1] == "sslencoder7"
    with pytest.raises(ValueError, match="feature names"):
        made.transform(X.rename(columns={"on": "off"}))
    with pytest.raises(ValueError, match="rename it"):
        tiny().fit(X.rename(columns={"on": "label"}))


@pytest.mark.parametrize(
    "X",
    [
        np.random.default_rng(0).standard_normal((12, 2, 30)),
        [np.random.default_rng(n).standard_normal((2, 20 + n)) for n in range(12)],
    ],
    ids=["array", "unequal"],
)
def test_series(X: Any) -> None:
    made = tiny(SERIES).fit(X, np.arange(12) % 2)
    features = made.transform(X)
    assert features.shape == (12, 8)
    assert features.dtype == np.float32
    one = made.transform(X[3:4])
    np.testing.assert_allclose(one, features[3:4], atol=1e-5)


def test_series_in_two_axes_where_the_recipe_says_so() -> None:
    X = np.random.default_rng(0).standard_normal((12, 30))
    made = tiny({**SERIES, "data": {"modality": "timeseries"}}).fit(X)
    assert made.trained_.preprocess["length"] == 30
    assert made.transform(X).shape == (12, 8)


def test_images() -> None:
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (10, 12, 12, 3), dtype=np.uint8)
    given = {"encoder": {"convnet": {"width": 8, "stages": 2}}, "pretext": {"simclr": {}}}
    made = tiny({**given, "augment": {"horizontal_flip": {}}, "optim": {"batch_size": 8}}).fit(X)
    assert made.transform(X).shape == (10, 16)
    np.testing.assert_allclose(made.transform(X / 255.0), made.transform(X), atol=1e-5)


def test_without_a_recipe_it_is_the_default_of_its_modality() -> None:
    made = SSLEncoder(samples=64).fit(np.random.default_rng(0).standard_normal((40, 5)))
    assert made.trained_.recipe.family == sslsearch.space.load("tabular").default().family
    with pytest.raises(ValueError, match="of 5 axes"):
        SSLEncoder(samples=64).fit(np.zeros((4, 2, 2, 2, 2)))


def test_a_fitted_one_travels_and_is_kept(tmp_path: Path) -> None:
    X, y = load_iris(return_X_y=True)
    made = tiny(out=tmp_path / "kept").fit(X, y)
    again = pickle.loads(pickle.dumps(made))  # noqa: S301 - made here, a line before
    np.testing.assert_array_equal(again.transform(X), made.transform(X))
    kept = sslsearch.load(tmp_path / "kept" / "best")
    np.testing.assert_allclose(kept.embed(X), made.transform(X), atol=1e-6)
    trained = SSLEncoder(tmp_path / "kept" / "best").fit(X)  # its recipe, anew
    np.testing.assert_allclose(trained.transform(X), made.transform(X), atol=1e-6)


def test_one_without_labels_is_kept_too(tmp_path: Path) -> None:
    X = load_iris().data
    made = tiny(out=tmp_path).fit(X)
    assert sslsearch.load(tmp_path / "best").probe is None
    made.trained_.save_pretrained(tmp_path / "hub")
    np.testing.assert_allclose(sslsearch.load(tmp_path / "hub").embed(X), made.transform(X))


@pytest.mark.slow
def test_a_space_is_searched(ray_cluster: None, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    y = np.arange(90) % 3
    turn_T = np.linspace(0, 2 * np.pi, 40)
    phase_N1 = rng.uniform(0, 6, (90, 1))
    X = np.sin((y[:, None] * 2 + 1) * turn_T + phase_N1)[:, None]
    X += 0.2 * rng.standard_normal(X.shape)
    space = {
        **SERIES,
        "augment": {"subset_of": {"jitter": {"sigma": "0.01..0.50 log"}}},
        "probe": {"against": ["raw"]},
        "search": {"start_from": "none"},
        "confirm": {"top": 1, "seeds": 2},
    }
    made = SSLEncoder(space, trials=2, minutes=2, samples=160, out=tmp_path / "study")
    features = made.fit_transform(X, y)
    assert features.shape == (90, 8)
    assert "default" in made.verdict_
    assert (tmp_path / "study" / "leaderboard.csv").is_file()
