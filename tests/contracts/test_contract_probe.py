"""Every probe that judges series: what `sslsearch.probe.base` promises of it."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from sslsearch import registry
from sslsearch.data.prepare import Prepared, prepare
from sslsearch.data.samples import Samples
from sslsearch.encoders.base import Encoder
from sslsearch.pretext.none import Untrained
from sslsearch.probe.base import FittedProbe, Probe, build
from sslsearch.probe.metrics import sign
from sslsearch.space import parse
from sslsearch.train import remains
from sslsearch.train.build import build_encoder
from sslsearch.train.judge import Judge
from sslsearch.values import Recipe

CPU = torch.device("cpu")
KNOBS = {
    "anomaly": {"anomalies": ["class 1"]},
    "finetune": {"steps": 8, "folds": 2},
    "forecast": {"horizon": 16},
}
PROBES = sorted(registry.parts("probe", "timeseries"))


def space_of(probe: str) -> str:
    knobs = json.dumps(KNOBS.get(probe, {}))
    return f"""
data: {{modality: timeseries, source: "synthetic:90", labels: 8 per class,
  normalise: per_channel}}
encoder: {{conv1d: {{depth: 2, width: 8, stride: 4}}}}
pretext: {{none: {{}}}}
probe: {{name: {probe}, knobs: {knobs}}}
"""


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    data = parse(space_of("linear"), "t.yaml").data.model_dump()
    return prepare(data, Path())


@pytest.fixture(params=PROBES)
def recipe(request: pytest.FixtureRequest) -> Recipe:
    part = registry.get("probe", request.param)
    metric = part.make.metrics[0]  # type: ignore[attr-defined]
    direction = "maximize" if sign(metric) > 0 else "minimize"
    goal = f"goal: {direction} probe/{metric}\n"
    return parse(goal + space_of(request.param), "t.yaml").default()


@pytest.fixture
def train(prepared: Prepared) -> Samples:
    return Samples.from_table(prepared.train)


@pytest.fixture
def test(prepared: Prepared) -> Samples:
    return Samples.from_table(prepared.test)


@pytest.fixture
def encoder(recipe: Recipe, train: Samples) -> Encoder:
    torch.manual_seed(0)
    return build_encoder(recipe, train.spec)


@pytest.fixture
def probe(recipe: Recipe) -> Probe:
    return build(recipe["probe"])


def test_a_rung_is_judged_by_any_metric_that_may_rank(
    recipe: Recipe, train: Samples, encoder: Encoder, probe: Probe
) -> None:
    for metric in probe.ranks:
        asked = Recipe({**recipe.body, "probe": {**recipe["probe"], "judge_by": metric}})
        before = [weight.clone() for weight in encoder.state_dict().values()]
        report = Judge(asked, train, CPU).report(encoder, Untrained(encoder))
        again = Judge(asked, train, CPU).report(encoder, Untrained(encoder))
        assert repr(report) == repr(again)  # nan, where a metric has no interval
        assert math.isfinite(report.score)
        assert report.score == pytest.approx(sign(metric) * report.scores[metric])
        after = encoder.state_dict().values()
        assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_goals_are_among_what_a_rung_says(
    recipe: Recipe, train: Samples, encoder: Encoder, probe: Probe
) -> None:
    report = Judge(recipe, train, CPU).report(encoder, Untrained(encoder))
    assert set(probe.metrics) <= set(report.scores)
    assert recipe["goal"].split("/")[1] in probe.metrics


def test_what_a_trial_leaves_is_scored_as_its_shares_average(
    recipe: Recipe, train: Samples, test: Samples, encoder: Encoder, probe: Probe, tmp_path: Path
) -> None:
    remains.leave(tmp_path, encoder, probe, train, test, CPU)
    path = tmp_path / remains.FEATURES
    fitted, seen = remains.fitted_probe(path, probe, train), load_file(path)["test"]
    truth = probe.truth(test, torch.arange(len(test)), train)
    scores = fitted.score(seen, truth)
    for metric in probe.metrics:
        shares = fitted.shares(metric, seen, truth)
        assert shares.shape == (len(test),)
        assert shares.mean() == pytest.approx(sign(metric) * scores.values[metric], abs=1e-6)
    saved = json.loads(json.dumps(fitted.to_dict()))
    again = FittedProbe.from_dict(saved).score(seen, truth)
    assert dict(again.values) == pytest.approx(dict(scores.values), nan_ok=True)


def test_features_without_an_encoder_are_judged_too(
    train: Samples, probe: Probe, encoder: Encoder
) -> None:
    """So are floors: what the batch itself holds, in the probe's own form."""
    shown = train.showing(probe.rows(train))
    batch = probe.look(shown.batch(shown.labelled, CPU))
    plain = probe.plain(batch, shown.modality, shown.spec)
    truth = probe.truth(shown, shown.labelled, shown)
    scores = probe.rung(plain, truth)
    assert set(probe.metrics) <= set(scores.values)
    assert all(np.isfinite(scores.values[metric]) for metric in probe.metrics)


def test_truth_is_one_row_for_each_sample_that_is_shown(train: Samples, probe: Probe) -> None:
    shown = train.showing(probe.rows(train))
    assert len(shown.labelled) == len(set(shown.labelled.tolist())) <= len(train)
    assert len(probe.truth(shown, shown.labelled, shown)) == len(shown.labelled)
