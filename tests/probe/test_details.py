"""Where a probe errs: counts and errors as their definitions say."""

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from sslsearch import registry
from sslsearch.probe.details import MOST_CLASSES, details, together
from sslsearch.probe.linear import Linear


def test_the_table_is_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(120, 4)), rng.integers(0, 3, 120)
    x[:, 0] += y
    fitted = Linear().final(x[:60], y[:60])
    found = details(fitted, x[60:], y[60:])
    called = fitted.predict_proba(x[60:]).argmax(1)
    assert found == {"classes": [0, 1, 2], "table": confusion_matrix(y[60:], called).tolist()}
    twice = together([found, found])
    assert np.sum(twice["table"]) == 120
    assert twice["runs"] == 2


def test_a_class_that_was_never_seen_is_never_called() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(40, 2))
    fitted = Linear().final(x[:20], np.arange(20) % 2)
    found = details(fitted, x[20:], np.array([0, 5] * 10))
    assert found["classes"] == [0, 1, 5]
    assert np.sum(found["table"], axis=0)[2] == 0
    assert np.sum(found["table"], axis=1).tolist() == [10, 0, 10]


def test_of_numbers_it_is_the_error_of_each_step() -> None:
    probe = registry.get("probe", "forecast").bind({"horizon": 3})()
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(60, 5)), rng.normal(size=(60, 2, 3))
    y[50:, :, 1] = np.nan  # never known
    fitted = probe.final(x[:50], y[:50])
    steps = details(fitted, x[50:], y[50:])["steps"]
    wanted = ((fitted.tell(x[50:]) - y[50:]) ** 2)[..., [0, 2]].mean((0, 1))
    assert [steps[0], steps[2]] == pytest.approx(wanted.tolist())
    assert np.isnan(steps[1])
    assert together([{"steps": [1.0, 3.0]}, {"steps": [2.0, 5.0]}])["steps"] == [1.5, 4.0]


def test_other_probes_and_huge_tables_say_nothing() -> None:
    taken = registry.get("probe", "linear").bind({})().taken(list(range(MOST_CLASSES + 1)))
    assert details(taken, np.eye(MOST_CLASSES + 1), np.arange(MOST_CLASSES + 1)) == {}
    assert together([{}, {}]) == together([]) == {}
