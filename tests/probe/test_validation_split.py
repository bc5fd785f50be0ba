"""A given validation split ranks trials and chooses the probe's penalty, and no more."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sslsearch import registry
from sslsearch.data.prepare import prepare
from sslsearch.data.samples import Samples
from sslsearch.probe.base import final_probe, rung_scores
from sslsearch.probe.linear import Linear
from sslsearch.probe.logistic import GRID, logistic_path
from sslsearch.probe.ridge import standardisation


def blobs(n: int, width: int, seed: int, noise: float = 3.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Three classes, told by three of many features."""
    rng = np.random.default_rng(seed)
    label = np.arange(n) % 3
    x = noise * rng.standard_normal((n, width))
    x[:, :3] += 3.0 * np.eye(3)[label]
    return torch.from_numpy(x).float(), torch.from_numpy(label)


def test_without_a_split_nothing_changes() -> None:
    x, y = blobs(60, 5, 0)
    ours, plain = rung_scores(Linear(), x, y, None, None), Linear().rung(x, y)
    assert ours.values == plain.values
    assert final_probe(Linear(), x, y, None) == Linear().final(x, y)


def test_the_penalty_is_the_best_on_the_validation_rows() -> None:
    x, y = blobs(90, 40, 0)
    judging = torch.arange(90) >= 45
    fitted = final_probe(Linear(), x, y, judging)
    assert fitted.settings["C"] in GRID
    assert fitted.settings["chosen_on"] == 45
    reached = fitted.score(x[judging], y[judging]).values["accuracy"]
    assert reached == rung_scores(Linear(), x, y, None, judging).values["accuracy"]
    free = Linear().final(x[~judging], y[~judging])
    assert reached >= free.score(x[judging], y[judging]).values["accuracy"]


def test_the_probe_never_learns_from_validation_rows() -> None:
    x, y = blobs(90, 10, 0)
    judging = torch.arange(90) >= 45
    features = x[~judging].numpy()
    mean_D, gain_D = standardisation(features)
    scales = {"feature": gain_D, "together": 1 / (features - mean_D).std()}
    path = {
        (name, fit.c): fit.coef_DK
        for name, scale in scales.items()
        for fit in logistic_path((features - mean_D) * scale, y[~judging].numpy())
    }
    # Labels of the validation rows may choose among fits on the others, and nothing more.
    for labels in (y, torch.where(judging, (y + 1) % 3, y)):
        fitted = final_probe(Linear(), x, labels, judging).to_dict()
        said = fitted["settings"]
        np.testing.assert_allclose(fitted["coef"], path[said["scale"], said["C"]], atol=1e-6)
    knn = registry.bind("probe", {"knn": {}})()
    assert final_probe(knn, x, y, judging) == knn.final(x[~judging], y[~judging])


def test_rare_features_are_scaled_together() -> None:
    """One word of many tells each class; all others are said by few samples or one."""
    rng = np.random.default_rng(0)
    label = np.arange(120) % 3
    x = (rng.random((120, 400)) < 0.02).astype(np.float32)
    x[:, :3] = np.eye(3)[label]
    features, labels, judging = (
        torch.from_numpy(x),
        torch.from_numpy(label),
        torch.arange(120) >= 30,
    )
    fitted = final_probe(Linear(), features, labels, judging)
    assert fitted.settings["scale"] == "together"


def test_saved_and_loaded() -> None:
    x, y = blobs(90, 10, 0)
    fitted = final_probe(Linear(), x, y, torch.arange(90) >= 45)
    again = type(fitted).from_dict(fitted.to_dict())
    assert np.array_equal(again.predict_proba(x), fitted.predict_proba(x))


def test_supervised_does_not_train_on_validation_rows(tmp_path: Path) -> None:
    at = np.arange(30)
    pairs = np.stack([at, (at + 3) % 30], 1)
    masks = {"train": at < 9, "val": (at >= 9) & (at < 18), "test": at >= 18}
    x = np.random.default_rng(0).random((30, 4), np.float32)
    np.savez(tmp_path / "g.npz", x=x, edges=pairs, y=at % 3, **masks)
    made = prepare({"modality": "graph", "source": "npz:g.npz"}, tmp_path)
    train, test = Samples.from_table(made.train), Samples.from_table(made.test)
    floor = registry.bind("floor", {"supervised": {"steps": 3}})
    encoder = {"gcn": {"width": 8}}
    first = floor(train, test, 0, encoder)
    assert len(first.train_ND) == 18
    labels = train.labels_N.clone()
    labels[9:18] = (labels[9:18] + 1) % 3
    second = floor(replace(train, labels_N=labels), test, 0, encoder)
    assert torch.equal(first.test_ND, second.test_ND)
    labels[:9] = (labels[:9] + 1) % 3
    third = floor(replace(train, labels_N=labels), test, 0, encoder)
    assert not torch.equal(first.test_ND, third.test_ND)


def test_one_class_alone_is_said(tmp_path: Path) -> None:
    x, _ = blobs(10, 4, 0)
    with pytest.raises(ValueError, match="at least 2"):
        final_probe(Linear(), x, torch.zeros(10, dtype=torch.int64), torch.arange(10) >= 5)
