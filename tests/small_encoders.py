"""Encoders of any modality with a probe, untrained and small: what is handed over in tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from sslsearch import registry
from sslsearch.data.prepare import prepare
from sslsearch.data.samples import Samples
from sslsearch.train.build import build_encoder
from sslsearch.train.embed import features
from sslsearch.train.trained import TrainedEncoder
from sslsearch.values import Recipe

KNOBS: dict[str, dict[str, Any]] = {  # odd sizes on purpose: patches that do not divide
    "conv1d": {"depth": 2, "width": 8, "stride": 4},
    "resnet1d": {"depth": 2, "width": 4, "stride": 3},
    "transformer": {"depth": 1, "width": 16, "patch": 5, "pool": "mean_max"},
    "convnet": {"stages": 2, "width": 8, "stride": 3},
    "resnet": {},
    "vit": {"depth": 1, "width": 16, "patch": 5},
    "vit_mask_token": {"depth": 1, "width": 16},
    "timm": {"name": "resnet10t"},
    "own": {"build": "encoders_of_ours:strided"},
    "table_mlp": {"width": 16},
    "table_resnet": {"width": 16},
    "ft_transformer": {"depth": 1, "width": 16},
}
RULES: dict[str, dict[str, Any]] = {"timm": {"size": 32}, "resnet": {"size": 18}}


def small_encoder(
    encoder: str,
    knobs: dict[str, Any] | None = None,
    data: dict[str, Any] | None = None,
    rows: int = 60,
) -> TrainedEncoder:
    """Random weights from seed 0, judged by the linear probe on synthetic data."""
    (modality,) = registry.get("encoder", encoder).modality or ("timeseries",)
    rules = {"modality": modality, "source": f"synthetic:{rows}", **RULES.get(encoder, {})}
    body = {
        "name": "small",
        "goal": "maximize probe/accuracy",
        "data": {**rules, **(data or {})},
        "encoder": {encoder: KNOBS.get(encoder, {}) if knobs is None else knobs},
        "pretext": {"none": {}},
        "augment": {},
        "optim": {"batch_size": 8, "lr": 1e-3, "weight_decay": 0.0},
        "probe": {"name": "linear"},
        "fidelity": {"last": 1},
    }
    recipe = Recipe(body)
    prepared = prepare({**body["data"], "labels": "all"}, Path())
    made = build_encoder(recipe, prepared.spec).eval()
    samples = Samples.from_table(prepared.train)
    seen = features(made, samples, samples.labelled, torch.device("cpu"))
    probe = registry.get("probe", "linear").bind({})()
    fitted = probe.final(seen, samples.labels_N[samples.labelled])
    about = (prepared.classes, {}, prepared.spec, prepared.preprocess, fitted)
    return TrainedEncoder(made, recipe, *about)
