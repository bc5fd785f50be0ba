"""A recipe that is judged by forecasts, from the space to an exported encoder; no Ray."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from safetensors.torch import load_file

from sslsearch import embed
from sslsearch.data import prepare
from sslsearch.data.samples import Samples
from sslsearch.probe.base import build
from sslsearch.space import load
from sslsearch.train import bundle, remains
from sslsearch.train.loop import Trial
from sslsearch.values import Recipe

SPACE = Path(__file__).parents[2] / "search_spaces" / "forecast.yaml"
CPU = torch.device("cpu")
SETS = ["data.source=synthetic:600", "encoder.conv1d.width=16", "fidelity.first=64"]


def test_the_space_judges_by_forecasts_beside_their_floors() -> None:
    space = load(SPACE)
    assert (str(space.goal), space.probe.judge_by) == ("minimize probe/mse", "mse")
    plain = load(SPACE, ["probe={name: forecast, knobs: {horizon: 24}}"])
    assert set(plain.probe.against) == {"linear", "last_value", "mean_value", "raw", "untrained"}


def test_a_trial_is_judged_kept_exported_and_embedded_with(tmp_path: Path) -> None:
    recipe: Recipe = load(SPACE, [*SETS, "fidelity.last=128"]).default()
    done = prepare(recipe["data"], tmp_path)
    train, test = Samples.from_table(done.train), Samples.from_table(done.test)
    trial = Trial(recipe, train, 0, CPU, [64, 128])
    reports = [trial.advance(), trial.advance()]
    for report in reports:
        assert report.status == "ok"
        assert report.score == -report.scores["mse"]
        assert report.low < report.score < report.high
        assert report.settings["probe"]["chosen_on"] == int(train.judges_N.sum())
    probe, path = build(recipe["probe"]), tmp_path / "run" / remains.FEATURES
    remains.leave(path.parent, trial.objective.encoder, probe, train, test, CPU)
    fitted = remains.fitted_probe(path, probe, train)
    bundle.save(
        tmp_path / "best",
        recipe=recipe,
        weights=path.with_name(remains.ENCODER),
        probe=fitted,
        spec=done.spec,
        preprocess=done.preprocess,
        classes=done.classes,
        scores={"judge_by": "mse", "metric": "probe/mse", "validation_judges": True},
    )
    card = (tmp_path / "best" / "README.md").read_text()
    assert "| -mse, validation | mse, test split |" in card
    assert "predict(raw)" not in card
    trained = bundle.load(tmp_path / "best")
    truth = probe.truth(test, torch.arange(len(test)), train)
    seen = load_file(path)["test"]
    assert trained.probe.score(seen, truth).values == fitted.score(seen, truth).values
    _embedded_with(tmp_path)


def _embedded_with(folder: Path) -> None:
    """A long file becomes a row for each of its windows."""
    days = [np.datetime64("2024-01-01") + t for t in range(150)]
    lines = [f"{day},{t},{-t},{t % 7}" for t, day in enumerate(days)]
    (folder / "new.csv").write_text("\n".join(["day,a,b,c", *lines]) + "\n")
    to = folder / "out.parquet"
    assert embed.main([str(folder / "best"), str(folder / "new.csv"), "--to", str(to)]) == 0
    table = pq.read_table(to)
    assert table["id"].to_pylist() == [str(t) for t in range(0, 150 - 96 + 1, 2)]
    assert np.isfinite(np.array(table["embedding"].to_pylist())).all()
    assert table["prediction"].null_count == len(table)
    about = json.loads((folder / "best" / "probe.json").read_text())
    assert about["probe"]["probe"] == "forecast"
