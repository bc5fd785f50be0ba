"""Pretext tasks on images beat the untrained encoder on scikit-learn's digits, mean of 3 seeds.

Digits know an upside but for 0, 1 and 8, so that RotNet and jigsaw teach little there; they are
shown on photographs by tests/benchmarks/image_learns.py.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sslsearch import registry
from sslsearch.data.prepare import prepare
from sslsearch.data.samples import Samples
from sslsearch.train.embed import features
from sslsearch.train.loop import Trial
from sslsearch.values import Recipe

CPU = torch.device("cpu")
DATA = {"modality": "image", "source": "sklearn:digits", "labels": "5 per class"}
NET = {"convnet": {"stages": 2, "depth": 1, "width": 32, "pool": "mean_max"}}
VIEWS = {"random_resized_crop": {"scale": 0.3}, "rotate": {"degrees": 15.0}}
CASES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [  # pretext, its knobs, augment
    ("simclr", {"temperature": 0.5}, VIEWS),
    ("vicreg", {"expander": 1.0}, VIEWS),
    ("mae", {"decoder_depth": 0}, {}),
]


@pytest.mark.learns
@pytest.mark.parametrize(("name", "knobs", "augment"), CASES, ids=[case[0] for case in CASES])
def test_beats_the_untrained_encoder(
    name: str, knobs: dict[str, Any], augment: dict[str, Any]
) -> None:
    made = prepare(DATA, Path.cwd())
    train, test = Samples.from_table(made.train), Samples.from_table(made.test)
    probe = registry.get("probe", "linear").bind({})()

    def accuracy(trial: Trial) -> float:
        encoder, everything = trial.objective.encoder, torch.arange(len(test))
        labels = train.labels_N[train.labelled]
        fitted = probe.final(features(encoder, train, train.labelled, CPU), labels)
        scores = fitted.score(features(encoder, test, everything, CPU), test.labels_N)
        return float(scores.values["accuracy"])

    optim = {"batch_size": 64, "lr": 1e-3, "weight_decay": 1e-4, "warmup": 0.05}
    body = {
        "data": DATA,
        "encoder": NET,
        "pretext": {name: knobs},
        "augment": augment,
        "optim": {**optim, "lr_scaling": "sqrt"},
        "probe": {"name": "linear", "watch": [], "judge_by": "r2"},
    }
    gains = []
    for seed in range(3):
        trial = Trial(Recipe(body), train, seed, CPU, [6000])
        before = accuracy(trial)
        assert trial.advance().status == "ok"
        gains.append(accuracy(trial) - before)
    print(gains)
    assert np.mean(gains) > 0, gains
