"""Each pretext task beats the untrained encoder on some real series: mean test accuracy, 3 seeds.

Where each is shown was chosen by trying the sets that aeon ships, with these very settings; none
wins on all of them (that is why one searches).
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sslsearch import registry
from sslsearch.data.prepare import prepare
from sslsearch.data.samples import Samples
from sslsearch.encoders.base import Encoder
from sslsearch.train.embed import features
from sslsearch.train.loop import Trial
from sslsearch.values import Recipe

CPU = torch.device("cpu")
CROP = {"crop_resize": {"keep": 0.6}, "jitter": {"sigma": 0.1}}
WIDE = {"depth": 3, "width": 128, "stride": 8, "pool": "mean_max"}
FINE = {"depth": 3, "width": 64, "stride": 1, "pool": "mean_max"}
STEPS = {"depth": 3, "width": 64, "stride": 4, "pool": "mean_max"}
SHIFT = {"frequency_mask": {"ratio": 0.5}, "time_shift": {"ratio": 0.5}}
SPAN = {"masking": {"span": {"ratio": 0.5, "length": 3}}}
CASES: list[tuple[str, dict[str, Any], dict[str, Any], str, str, dict[str, Any], int]] = [
    # pretext, its knobs, augment, series, labels, encoder, samples seen
    ("simclr", {"temperature": 0.2}, SHIFT, "OSULeaf", "10 per class", WIDE, 3600),
    ("ts2vec", {}, {"time_warp": {"sigma": 0.2}}, "OSULeaf", "10 per class", WIDE, 3600),
    ("byol", {}, CROP, "ItalyPowerDemand", "5 per class", FINE, 2400),
    ("vicreg", {"expander": 1.0}, CROP, "ItalyPowerDemand", "5 per class", FINE, 2400),
    ("mae", SPAN, {}, "BasicMotions", "2 per class", STEPS, 2400),
    ("cpc", {}, {"jitter": {"sigma": 0.05}}, "BasicMotions", "2 per class", STEPS, 2400),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pretext", "knobs", "augment", "series", "labels", "encoder", "seen"),
    CASES,
    ids=[case[0] for case in CASES],
)
def test_beats_the_untrained_encoder(
    pretext: str,
    knobs: dict[str, Any],
    augment: dict[str, Any],
    series: str,
    labels: str,
    encoder: dict[str, Any],
    seen: int,
) -> None:
    data = {"modality": "timeseries", "source": f"aeon:{series}", "labels": labels}
    prepared = prepare(data, Path.cwd())
    train, test = Samples.from_table(prepared.train), Samples.from_table(prepared.test)
    probe = registry.get("probe", "linear").bind({})()

    def accuracy(model: Encoder) -> float:
        fitted = probe.final(
            features(model, train, train.labelled, CPU), train.labels_N[train.labelled]
        )
        everything = torch.arange(len(test))
        scores = fitted.score(features(model, test, everything, CPU), test.labels_N)
        return float(scores.values["accuracy"])

    body = {
        "data": data,
        "encoder": {"conv1d": encoder},
        "pretext": {pretext: knobs},
        "augment": augment,
        "optim": {
            "batch_size": 16,
            "lr": 3e-3,
            "weight_decay": 1e-4,
            "warmup": 0.05,
            "lr_scaling": "sqrt",
        },
        "probe": {"name": "linear", "watch": [], "judge_by": "r2"},
    }
    gains = []
    for seed in range(3):
        trial = Trial(Recipe(body), train, seed, CPU, [seen])
        before = accuracy(trial.objective.encoder)
        assert trial.advance().status == "ok"
        gains.append(accuracy(trial.objective.encoder) - before)
    assert np.mean(gains) > 0, gains
