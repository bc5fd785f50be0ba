"""Every recipe of the literature for images trains and is judged; the floors of images stand."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from sslsearch import registry
from sslsearch.data.prepare import prepare
from sslsearch.data.samples import Samples
from sslsearch.space import literature, load
from sslsearch.train.loop import Trial

SPACES = Path(__file__).parents[2] / "search_spaces"
RECIPES = sorted((SPACES / "recipes").glob("*_image.yaml"))
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def digits() -> tuple[Samples, Samples]:
    data = {"modality": "image", "source": "sklearn:digits", "labels": "5 per class"}
    made = prepare(data, Path.cwd())
    return Samples.from_table(made.train), Samples.from_table(made.test)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_it_trains_and_is_judged(path: Path, digits: tuple[Samples, Samples]) -> None:
    recipe = load(path).default()
    reports = []
    trial = Trial(recipe, digits[0], 0, CPU, [128, 192])
    reports = [trial.advance(), trial.advance()]
    assert [report.status for report in reports] == ["ok", "ok"]
    assert reports[1].samples_seen == 192
    assert reports[1].scores["accuracy"] > 0.2


def test_the_space_starts_from_the_literature() -> None:
    families = {recipe.family for recipe in literature(load(SPACES / "image.yaml"))}
    assert families == {"simclr", "vicreg", "rotnet", "mae"}


def test_floors_of_images(digits: tuple[Samples, Samples]) -> None:
    train, test = digits
    floor = registry.get("floor", "raw").bind({})(train, test, 0, {})
    assert floor.train_ND.shape == (50, 64)
    torch.testing.assert_close(floor.test_ND, test.columns["x"].flatten(1) / 255)
    floor = registry.get("floor", "random_patches").bind({"filters": 32})(train, test, 0, {})
    assert floor.test_ND.shape == (len(test), 8 * 32)
    probe = registry.get("probe", "linear").bind({})()
    fitted = probe.final(floor.train_ND, train.labels_N[train.labelled])
    assert fitted.score(floor.test_ND, test.labels_N).values["accuracy"] > 0.75
