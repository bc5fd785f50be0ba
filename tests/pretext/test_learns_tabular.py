"""Methods for tables beat the untrained encoder on a real table: mean accuracy over 3 seeds.

With the literature's recipes, cut short, on few labels of a set that scikit-learn ships. SubTab,
SimCLR and contrast with latent noise lose there; docs/tabular.md says how they do elsewhere.
"""

from pathlib import Path

import numpy as np
import pytest
import torch

from sslsearch.data.prepare import prepare
from sslsearch.data.samples import Samples
from sslsearch.encoders.base import Encoder
from sslsearch.probe.linear import Linear
from sslsearch.space import load
from sslsearch.space.shipped import RECIPES
from sslsearch.train.embed import features
from sslsearch.train.loop import Trial

CPU = torch.device("cpu")
LABELS = "3 per class"
CASES = {"scarf": "breast_cancer", "vime": "breast_cancer", "mae": "breast_cancer"}
SEEN = 5_120


@pytest.mark.learns
@pytest.mark.parametrize("name", CASES)
def test_beats_the_untrained_encoder(name: str) -> None:
    data = {"modality": "tabular", "source": f"sklearn:{CASES[name]}", "labels": LABELS}
    prepared = prepare(data, Path.cwd())
    train, test = Samples.from_table(prepared.train), Samples.from_table(prepared.test)

    def accuracy(model: Encoder) -> float:
        seen_ND = features(model, train, train.labelled, CPU)
        fitted = Linear().final(seen_ND, train.labels_N[train.labelled])
        test_ND = features(model, test, torch.arange(len(test)), CPU)
        return float(fitted.score(test_ND, test.labels_N).values["accuracy"])

    gains = []
    for seed in range(3):
        trial = Trial(load(RECIPES / f"{name}_tabular.yaml").default(), train, seed, CPU, [SEEN])
        before = accuracy(trial.objective.encoder)
        assert trial.advance().status == "ok"
        gains.append(accuracy(trial.objective.encoder) - before)
    assert np.mean(gains) > 0, gains
