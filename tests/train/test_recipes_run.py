"""Every recipe for series takes a few steps and is judged, on samples that are made up."""

from pathlib import Path

import pytest
import torch

from sslsearch.data.prepare import prepare
from sslsearch.data.samples import Samples
from sslsearch.space import load
from sslsearch.train.loop import Trial

RECIPES = sorted(
    (Path(__file__).parents[2] / "search_spaces" / "recipes").glob("*_timeseries.yaml")
)


@pytest.mark.parametrize("path", RECIPES, ids=[path.stem for path in RECIPES])
def test_it_trains_and_is_judged(path: Path) -> None:
    space = load(path, ["data.source=synthetic:120", "data.labels=4 per class"])
    recipe = space.default()
    assert not space.questions()
    assert space.name == path.stem
    samples = Samples.from_table(prepare(space.data.model_dump(), Path()).train)
    steps = 2 * recipe["optim"]["batch_size"]
    report = Trial(recipe, samples, 0, torch.device("cpu"), [steps]).advance()
    assert report.status == "ok", report.message
    assert report.samples_seen == steps
