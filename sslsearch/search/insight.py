"""insight.json: what the exported encoder has learnt, beside the same encoder untrained.

A map of the training labels, the invariances, and where the probe errs on the test split, which
the confirmation has opened: it is not opened again here. Written when a study ends, while the
samples are in memory, so that the report only reads.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from sslsearch import registry
from sslsearch.data.samples import Samples
from sslsearch.encoders.base import Encoder
from sslsearch.probe.details import together
from sslsearch.registry import Identity, marker
from sslsearch.report.answers import INSIGHT
from sslsearch.search.confirm import Confirmed
from sslsearch.search.lessons import plain
from sslsearch.train import bundle, checkpoint
from sslsearch.train.build import build_encoder
from sslsearch.train.flat_map import affordable, flat_map
from sslsearch.train.invariance import SAMPLES, invariance, strength_of
from sslsearch.values import Recipe

SECONDS = 20.0  # that each of map and invariances may take: of a large encoder they show less


def write(folder: Path, train: Samples, confirmed: list[Confirmed], chosen: Confirmed) -> Path:
    """Write it for the encoder in `folder`/best, which is of `chosen`."""
    loaded = bundle.load(folder / "best")
    untrained = build_encoder(loaded.recipe, train.spec, seed=0).eval()
    made = {
        "encoder": chosen.name,
        "classes": train.classes,
        "map": _maps({"trained": loaded.encoder, "untrained": untrained}, train),
        "invariance": _invariance(loaded.encoder, untrained, train, loaded.recipe),
        "errors": {one.name: together(one.details) for one in confirmed},
    }
    path = folder / INSIGHT
    checkpoint.write_text(path, json.dumps(plain(made)))
    return path


def _maps(encoders: dict[str, Encoder], train: Samples) -> dict[str, Any]:
    most = affordable(encoders["untrained"], train, SECONDS / 2)
    return {name: flat_map(encoder, train, most) for name, encoder in encoders.items()}


def _invariance(
    trained: Encoder, untrained: Encoder, train: Samples, recipe: Recipe
) -> dict[str, Any]:
    used = dict(recipe["augment"] or {})
    every = registry.parts("augment", train.spec.modality)
    names = [*used, *(name for name in every if name not in used)]
    encoders = {"trained": trained, "untrained": untrained}
    with torch.random.fork_rng(devices=[]):
        found, floor = invariance(encoders, train, names, SECONDS)
    return {
        "samples": min(SAMPLES, len(train.pool)),
        "floor": floor,
        "augments": {name: [asdict(level) for level in levels] for name, levels in found.items()},
        "used": {name: _strength(name, knobs or {}) for name, knobs in used.items()},
        "left_out": [name for name in names if name not in found],
    }


def _strength(name: str, knobs: dict[str, Any]) -> float:
    """Of an augmentation in the recipe: 0 = nothing changes, 1 = its default."""
    fields = registry.get("augment", name).knobs.model_fields
    moved = [word for word, info in fields.items() if marker(info, Identity) is not None]
    word = next((w for w in moved if w != "p"), next(iter(moved), None))
    return 1.0 if word is None else strength_of(fields[word], knobs.get(word, fields[word].default))
