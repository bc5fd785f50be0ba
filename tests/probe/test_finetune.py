"""Fine-tuning starts as the linear probe, learns the labels given, and touches a copy only."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sslsearch import registry
from sslsearch.data.prepare import Prepared
from sslsearch.data.samples import Samples
from sslsearch.encoders.base import Encoder
from sslsearch.probe.finetune import Finetune
from sslsearch.probe.floors import pooled
from sslsearch.probe.linear import FittedLinear, Linear

CPU = torch.device("cpu")


@pytest.fixture
def train(prepared: Prepared) -> Samples:
    return Samples.from_table(prepared.train)


@pytest.fixture
def encoder(train: Samples) -> Encoder:
    torch.manual_seed(0)
    made: Encoder = registry.bind("encoder", {"conv1d": {"depth": 2, "width": 16}})(train.spec)
    return made.eval()


def test_without_learning_it_is_the_linear_probe(train: Samples, encoder: Encoder) -> None:
    tuned, fitted = Finetune(steps=3, lr=1e-12).adapt(encoder, train, CPU)
    seen_ND = pooled(encoder, train, train.labelled)
    linear = Linear().final(seen_ND, train.labels_N[train.labelled])
    assert isinstance(fitted, FittedLinear)
    assert isinstance(linear, FittedLinear)
    ours = fitted.predict_proba(pooled(tuned, train, train.labelled))
    np.testing.assert_allclose(ours, linear.predict_proba(seen_ND), atol=1e-4)


def test_it_learns_its_labels_and_leaves_the_encoder_alone(
    train: Samples, encoder: Encoder
) -> None:
    before = {name: weight.clone() for name, weight in encoder.state_dict().items()}
    labels = train.labels_N[train.labelled]

    def loss(steps: int) -> float:
        tuned, fitted = Finetune(steps=steps, lr=3e-3).adapt(encoder, train, CPU)
        seen = pooled(tuned, train, train.labelled)
        return float(fitted.score(seen, labels).values["log_loss"])

    assert loss(60) < loss(1)
    assert all(torch.equal(before[name], now) for name, now in encoder.state_dict().items())
