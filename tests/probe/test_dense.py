"""The dense probe at work: classes of patches, told from tokens of an encoder of images."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from sslsearch import registry
from sslsearch.data.prepare import prepare
from sslsearch.data.samples import Samples
from sslsearch.pretext.none import Untrained
from sslsearch.probe.base import FittedProbe, build
from sslsearch.space import SpaceError, parse
from sslsearch.train import remains
from sslsearch.train.build import build_encoder
from sslsearch.train.judge import Judge
from sslsearch.values import Recipe

SERIES = """
data: {modality: timeseries, source: "synthetic:30"}
pretext: {none: {}}
probe: {name: dense}
"""
CPU = torch.device("cpu")
SPACE = """
goal: maximize probe/miou
data: {{modality: image, source: "npz:{file}", labels: 10 per class}}
encoder: {{vit: {{patch: {patch}, depth: 1, width: 16, heads: 2}}}}
pretext: {{none: {{}}}}
probe: {{name: dense}}
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bright and striped squares on dark noise, at whole patches."""
    rng = np.random.default_rng(0)
    x_NHW, mask_NHW = rng.integers(0, 60, (60, 16, 16)), np.zeros((60, 16, 16), np.uint8)
    for i, (row, column) in enumerate(rng.integers(0, 3, (60, 2)) * 4):
        square = slice(row, row + 4), slice(column, column + 4)
        mask_NHW[i][square] = 1 + i % 2
        x_NHW[i][square] = 200 if i % 2 else 200 * (np.arange(4) % 2)
    path = tmp_path_factory.mktemp("dense") / "squares.npz"
    np.savez(path, X=x_NHW.astype(np.uint8), mask=mask_NHW)
    return path


def recipe(file: Path, patch: int = 4) -> Recipe:
    return parse(SPACE.format(file=file, patch=patch), "t.yaml").default()


def sides(recipe: Recipe) -> tuple[Samples, Samples]:
    made = prepare(recipe["data"], Path())
    return Samples.from_table(made.train), Samples.from_table(made.test)


def test_a_rung_and_what_a_trial_leaves(file: Path, tmp_path: Path) -> None:
    asked = recipe(file)
    (train, test), probe = sides(asked), build(asked["probe"])
    torch.manual_seed(0)
    encoder = build_encoder(asked, train.spec)
    report = Judge(asked, train, CPU).report(encoder, Untrained(encoder))
    assert report.score == report.scores["miou"]
    assert math.isfinite(report.low)
    remains.leave(tmp_path, encoder, probe, train, test, CPU)
    path = tmp_path / remains.FEATURES
    fitted, seen = remains.fitted_probe(path, probe, train), load_file(path)["test"]
    truth = probe.truth(test, torch.arange(len(test)), train)
    scores = fitted.score(seen, truth)
    assert scores.values["miou"] > 0.6  # of three classes; all background has .30
    for metric in probe.metrics:
        assert fitted.shares(metric, seen, truth).mean() == pytest.approx(scores.values[metric])
    again = FittedProbe.from_dict(json.loads(json.dumps(fitted.to_dict())))
    assert dict(again.score(seen, truth).values) == dict(scores.values)


def test_floors_are_untrained_tokens_and_raw_patches(file: Path) -> None:
    asked = recipe(file)
    assert asked["probe"]["against"] == ["raw", "untrained"]
    (train, test), probe = sides(asked), build(asked["probe"])
    train = train.showing(probe.rows(train))
    truth = probe.truth(train, train.labelled, train)
    for name, shape in (("raw", (16, 16)), ("untrained", (16, 16))):
        floor = registry.get("floor", name).bind({})(train, test, 0, asked["encoder"], probe)
        assert floor.train_ND.shape == (len(train.labelled), *shape)
        assert floor.test_ND.shape == (len(test), *shape)
        assert probe.rung(floor.train_ND, truth).values["pixel_accuracy"] > 0.9


def test_tokens_must_be_whole_patches(file: Path) -> None:
    asked = recipe(file, patch=5)
    train, _ = sides(asked)
    encoder = build_encoder(asked, train.spec)
    with pytest.raises(ValueError, match="images of 16 x 16 pixels are not made of whole patches"):
        Judge(asked, train, CPU).report(encoder, Untrained(encoder))


def test_without_maps_there_is_nothing_to_judge_by() -> None:
    made = prepare({"modality": "image", "source": "synthetic:30"}, Path())
    train = Samples.from_table(made.train)
    with pytest.raises(ValueError, match=r"name their column with data\.columns\.mask"):
        build({"name": "dense"}).rows(train)


def test_it_is_for_images() -> None:
    with pytest.raises(SpaceError, match="dense: is for image, not for timeseries"):
        parse(SERIES)
