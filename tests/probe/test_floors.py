"""Floors: their shapes and order, what they may see, and that the learning ones learn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from sslsearch import registry
from sslsearch.data.samples import Samples
from sslsearch.probe.floors import FloorFeatures, filled
from sslsearch.probe.linear import Linear
from sslsearch.values import InputSpec

ENCODER = {"conv1d": {"depth": 3, "width": 8}}
QUICK = ["majority", "raw", "untrained", "supervised"]
ROCKETS = ["multirocket", "minirocket"]


def waves(n: int, channels: int = 1, length: int = 48, seed: int = 0) -> Samples:
    """Two frequencies at random phases; a third of the samples (not the first) is unlabelled."""
    rng = torch.Generator().manual_seed(seed)
    label = torch.arange(n) % 2
    phase = 6.3 * torch.rand(n, channels, 1, generator=rng)
    pace = torch.where(label == 0, 0.4, 0.8)[:, None, None]
    x = torch.sin(phase + pace * torch.arange(length))
    x = x + 0.3 * torch.randn(x.shape, generator=rng)
    seen = torch.where(torch.arange(n) % 3 == 1, -1, label)
    return Samples(
        columns={"x": x, "valid": torch.ones(n, length, dtype=torch.uint8)},
        spec=InputSpec("timeseries", {"channels": channels, "length": length}),
        classes=["slow", "fast"],
        labels_N=seen,
        groups_N=None,
        labelled=torch.nonzero(seen >= 0).flatten(),
        judges_N=torch.zeros(n, dtype=torch.bool),
        pool=torch.arange(n),
        modality=registry.get("modality", "timeseries").bind(None)(),
    )


def sealed(samples: Samples) -> Samples:
    """As floors get the test: without labels."""
    return replace(
        samples,
        labels_N=torch.full((len(samples),), -1),
        labelled=torch.zeros(0, dtype=torch.int64),
    )


def run(name: str, train: Samples, test: Samples, seed: int = 0, **knobs: object) -> FloorFeatures:
    made = registry.bind("floor", {name: knobs})(train, sealed(test), seed, ENCODER)
    assert isinstance(made, FloorFeatures)
    return made


def check(name: str, **knobs: object) -> None:
    train, test = waves(36), waves(10, seed=1)
    first, again = (run(name, train, test, **knobs) for _ in range(2))
    for features, rows in ((first.train_ND, len(train.labelled)), (first.test_ND, 10)):
        assert features.shape[0] == rows
        assert features.dtype == torch.float32
        assert features.device.type == "cpu"
        assert features.isfinite().all()
    assert torch.equal(first.train_ND, again.train_ND)
    assert torch.equal(first.test_ND, again.test_ND)
    assert first.sees_labels == (name == "supervised")
    # the order of the labelled rows, and that test rows pass through the same map
    swapped = replace(train, labelled=train.labelled.flip(0))
    if name != "supervised":
        same = run(name, train, train, **knobs)
        close = {"rtol": 1e-4, "atol": 1e-4}
        torch.testing.assert_close(same.test_ND[train.labelled], same.train_ND, **close)
        assert name in ROCKETS or torch.allclose(
            run(name, swapped, test, **knobs).train_ND, first.train_ND.flip(0), atol=1e-5
        )


@pytest.mark.parametrize("name", QUICK)
def test_floor(name: str) -> None:
    check(name, **({"steps": 5} if name == "supervised" else {}))


@pytest.mark.slow  # numba compiles for up to a minute
@pytest.mark.parametrize("name", ROCKETS)
def test_rocket_floor(name: str) -> None:
    check(name, kernels=168)
    state = np.random.get_state()[1].copy()
    for channels, length in ((1, 5), (3, 12)):  # shorter than a kernel; multivariate
        train, test = waves(36, channels, length), waves(1, channels, length, seed=1)
        made = run(name, train, test, kernels=84)
        assert made.train_ND.isfinite().all()
        assert made.test_ND.shape == (1, made.train_ND.shape[1])
    assert (np.random.get_state()[1] == state).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", ROCKETS)
def test_rockets_tell_frequencies_apart(name: str) -> None:
    train, test = waves(60), waves(60, seed=1)
    made, truth = run(name, train, test, kernels=420), torch.arange(60) % 2
    fitted = Linear(head="ridge").final(made.train_ND, train.labels_N[train.labelled])
    assert fitted.score(made.test_ND, truth).values["accuracy"] > 0.95


def test_there_is_a_floor_for_every_name_of_the_modality() -> None:
    known = registry.parts("floor", "timeseries")
    assert {*QUICK, *ROCKETS} <= set(known)
    assert set(waves(2).modality.floors) <= set(known)


def test_untrained_depends_on_the_seed_and_leaves_the_global_generator_alone() -> None:
    train, test = waves(12), waves(4, seed=1)
    torch.manual_seed(5)
    state = torch.random.get_rng_state()
    a, b = run("untrained", train, test, 0), run("untrained", train, test, 1)
    run("supervised", train, test, steps=3)
    assert not torch.allclose(a.train_ND, b.train_ND)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_supervised_learns_from_labelled_rows_alone() -> None:
    train, test = waves(60), waves(60, seed=1)
    made, truth = run("supervised", train, test, steps=150), torch.arange(60) % 2
    fitted = Linear().final(made.train_ND, train.labels_N[train.labelled])
    assert fitted.score(made.test_ND, truth).values["accuracy"] > 0.9
    moved = train.columns["x"].clone()
    moved[train.labels_N < 0] = 100.0  # rows without a label: not looked at
    other = replace(train, columns={**train.columns, "x": moved})
    assert torch.equal(
        run("supervised", other, test, steps=5).test_ND,
        run("supervised", train, test, steps=5).test_ND,
    )


def test_fill_goes_on_with_the_last_valid_value() -> None:
    samples = waves(1, 2, 5)
    samples.columns["x"][0, 0] = torch.tensor([float("nan"), 2.0, float("nan"), 4.0, float("nan")])
    samples.columns["valid"][0] = torch.tensor([0, 1, 0, 1, 0])
    x_BCT = filled(samples.batch(torch.tensor([0]), "cpu"))
    assert x_BCT[0, 0].tolist() == [0.0, 2.0, 2.0, 4.0, 4.0]
    raw = run("raw", samples, samples)
    assert raw.train_ND[0, :5].tolist() == [0.0, 2.0, 0.0, 4.0, 0.0]
