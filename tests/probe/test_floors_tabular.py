"""Floors of tables, which predict by themselves: as scikit-learn does, and never of seen labels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from sslsearch import registry
from sslsearch.data.prepare import prepare
from sslsearch.data.samples import Samples
from sslsearch.probe.base import build, score_predictions
from sslsearch.probe.floors import FloorFeatures
from sslsearch.search.confirm import Contender, open_test

ENCODER: dict[str, Any] = {"table_resnet": {"depth": 1, "width": 16, "hidden": 2.0}}


def samples(labels: str = "40 per class", **data: Any) -> tuple[Samples, Samples]:
    done = prepare(
        {"modality": "tabular", "source": "synthetic:400", "labels": labels, **data}, Path.cwd()
    )
    return Samples.from_table(done.train), Samples.from_table(done.test)


def run(name: str, train: Samples, test: Samples, seed: int = 0, **knobs: Any) -> FloorFeatures:
    sealed = replace(
        test, labels_N=torch.full((len(test),), -1), labelled=torch.zeros(0, dtype=torch.int64)
    )
    made: FloorFeatures = registry.bind("floor", {name: knobs})(train, sealed, seed, ENCODER)
    return made


def cells(samples: Samples, rows: torch.Tensor) -> np.ndarray:
    """Independently of the floor: the columns of the prepared table, NaN where not valid."""
    columns = samples.columns
    x = torch.cat([columns["number"].double(), columns["code"].double()], 1)
    x[columns["valid"] == 0] = float("nan")
    return x[rows].numpy()


def test_boosting_is_scikit_learns_with_native_categories_and_gaps() -> None:
    train, test = samples()
    made = run("boosting", train, test)
    x, y = cells(train, train.labelled), train.labels_N[train.labelled].numpy()
    codes = list(range(train.spec.sizes["numbers"], x.shape[1]))
    model = HistGradientBoostingClassifier(
        categorical_features=codes, min_samples_leaf=12, random_state=0
    ).fit(x, y)
    theirs = model.predict_proba(cells(test, torch.arange(len(test))))
    np.testing.assert_allclose(made.test_ND.numpy(), theirs, atol=1e-6)


def test_logistic_is_scikit_learns_at_one_of_the_penalties() -> None:
    train, test = samples()
    made = run("logistic", train, test)
    plain = [
        train.modality.flat(s.batch(torch.arange(len(s)), "cpu"), s.spec) for s in (train, test)
    ]
    x, new = plain[0][train.labelled].numpy(), plain[1].numpy()
    scale = StandardScaler().fit(x)
    nearest = min(
        np.abs(
            LogisticRegression(C=c, max_iter=3000)
            .fit(scale.transform(x), train.labels_N[train.labelled].numpy())
            .predict_proba(scale.transform(new))
            - made.test_ND.numpy()
        ).max()
        for c in (1e-3, 1e-2, 1e-1, 1.0, 10.0)
    )
    assert nearest < 2e-2


@pytest.mark.parametrize("name", ["logistic", "boosting"])
def test_training_rows_are_predicted_by_others(name: str) -> None:
    train, test = samples("20 per class")
    made, labels = run(name, train, test), train.labels_N[train.labelled]
    assert made.predicts
    assert not made.sees_labels
    torch.testing.assert_close(made.train_ND.sum(1), torch.ones(60))
    torch.testing.assert_close(made.test_ND.sum(1), torch.ones(len(test)))
    classes = [0, 1, 2]
    honest = score_predictions(made.train_ND.double().numpy(), classes, labels).values
    assert honest["accuracy"] > 0.6
    shuffled = train.labels_N.clone()
    order = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    shuffled[train.labelled] = labels[order]
    wrong = run(name, replace(train, labels_N=shuffled), test)
    by_luck = score_predictions(
        wrong.train_ND.double().numpy(), classes, shuffled[train.labelled]
    ).values
    assert by_luck["accuracy"] < 0.5, "what it was fitted on is not what it is judged by"


@pytest.mark.parametrize("name", ["logistic", "boosting"])
def test_few_labels(name: str) -> None:
    train, test = samples("2 per class")
    assert run(name, train, test).train_ND.isfinite().all()
    train, test = samples("1 per class")
    made = run(name, train, test)
    assert made.sees_labels, "nobody can be left out: no selection score"
    assert made.test_ND.isfinite().all()


@pytest.mark.parametrize("name", ["logistic", "boosting"])
def test_a_row_alone_in_its_class_counts_as_wrong(name: str) -> None:
    train, test = samples("20 per class")
    labels = train.labels_N.clone()
    labels[train.labelled[labels[train.labelled] == 2][1:]] = 1
    train = replace(train, labels_N=labels)
    made, seen_N = run(name, train, test), labels[train.labelled]
    alone = int((seen_N == 2).nonzero())
    assert made.predicts
    assert not made.sees_labels
    assert float(made.train_ND[alone, 2]) == 0.0
    torch.testing.assert_close(made.train_ND.sum(1), torch.ones(60))
    found = score_predictions(made.train_ND.double().numpy(), [0, 1, 2], seen_N).values
    assert 0.6 < found["accuracy"] < 1.0


def test_a_group_is_never_on_both_sides() -> None:
    """Each group has one label, and two groups of one look: seen twins would give it away."""
    train, test = samples("20 per class")
    groups = torch.arange(len(train)) // 8
    made = run("boosting", replace(train, groups_N=groups), test)
    assert made.train_ND.shape == (60, 3)


def test_predictions_are_judged_as_they_stand_when_the_test_is_opened(tmp_path: Path) -> None:
    class Record:
        def recall(self, name: str, default: int) -> int:
            return default

        def remember(self, name: str, value: int) -> None:
            assert (name, value) == ("test_opened", 1)

    train, test = samples("20 per class")
    made = run("boosting", train, test)
    save_file({"train": made.train_ND, "test": made.test_ND}, tmp_path / "a")
    contender = Contender("boosting", "floor", None, {"a": tmp_path / "a"}, predicts=True)
    record: Any = Record()
    probe = build({"name": "linear"})
    (seen,) = open_test(record, [contender], train, test, probe, "accuracy")
    right = (made.test_ND.argmax(1) == test.labels_N).double().mean()
    assert seen.test == (pytest.approx(float(right)),)
