"""One small trained encoder for all tests of what is handed over."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from sslsearch import registry
from sslsearch.data.prepare import Prepared, prepare
from sslsearch.data.samples import Samples
from sslsearch.probe.base import FittedProbe
from sslsearch.space import parse
from sslsearch.train import bundle
from sslsearch.train.embed import features
from sslsearch.train.loop import Trial
from sslsearch.values import Recipe

TINY = """
name: tiny
data: {modality: timeseries, source: "npz:waves.npz", labels: 10 per class}
encoder: {conv1d: {depth: 2, width: 8, kernel: 3}}
pretext: {simclr: {temperature: 0.2}}
augment: {jitter: {sigma: 0.1}, scaling: {sigma: 0.2}}
optim: {batch_size: 16, lr: 1e-3}
probe: {against: [majority]}
fidelity: {first: 160, last: 160, eta: 3}
"""


@dataclass(frozen=True)
class Exported:
    """A bundle, and what the process that trained it saw."""

    folder: Path
    root: Path  # of the data: waves.npz
    recipe: Recipe
    prepared: Prepared
    probe: FittedProbe
    weights: dict[str, torch.Tensor]
    test_ND: np.ndarray
    accuracy: float


@pytest.fixture(scope="session")
def waves(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with waves.npz: 3 classes of sine waves, 2 channels, 40 steps, as train and test."""
    root = tmp_path_factory.mktemp("waves")
    rng = np.random.default_rng(0)
    turn_T = 2 * np.pi * np.arange(40) / 40
    sides = {}
    for side, n in (("train", 60), ("test", 30)):
        y = np.arange(n) % 3
        phase_NC1 = rng.uniform(0, 2 * np.pi, (n, 2, 1))
        x = np.sin((3 * y[:, None, None] + 1) * turn_T + phase_NC1)
        sides |= {f"X_{side}": x + 0.2 * rng.standard_normal(x.shape), f"y_{side}": y}
    np.savez(root / "waves.npz", **sides)
    return root


@pytest.fixture(scope="session")
def exported(waves: Path, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    recipe = parse(TINY).default()
    prepared = prepare(recipe["data"], waves)
    train, test = (Samples.from_table(table) for table in (prepared.train, prepared.test))
    trial = Trial(recipe, train, 0, torch.device("cpu"), [160])
    report = trial.advance()
    encoder, device = trial.objective.encoder, trial.device
    seen = features(encoder, train, train.labelled, device)
    probe = registry.get("probe", "linear").bind({})().final(seen, train.labels_N[train.labelled])
    test_ND = features(encoder, test, torch.arange(len(test)), device)
    accuracy = probe.score(test_ND, test.labels_N).values["accuracy"]
    one = {"score": report.score, "test": accuracy, "test_low": float("nan"), "seeds": 1}
    folder = tmp_path_factory.mktemp("study") / "best"
    bundle.save(
        folder,
        recipe=recipe,
        weights=encoder.state_dict(),
        probe=probe,
        spec=prepared.spec,
        preprocess=prepared.preprocess,
        classes=prepared.classes,
        scores={
            "metric": "probe/accuracy",
            "judge_by": "r2",
            "run_score": np.float64(report.score),
            "run_test": accuracy,
            "exported": "default",
            "winner": {"name": "default", **one},
            "default": {"name": "default", **one},
            "floors": {"majority": {"score": 0.0, "test": 1 / 3}},
        },
    )
    weights = {k: v.clone() for k, v in encoder.state_dict().items()}
    about = (recipe, prepared, probe, weights, test_ND.numpy(), accuracy)
    return Exported(folder, waves, *about)
