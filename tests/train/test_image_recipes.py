"""Every recipe of the literature for images trains and is judged; the floors of images stand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import sslsearch
from sslsearch import registry
from sslsearch.augment.compose import Compose
from sslsearch.data.prepare import prepare
from sslsearch.data.samples import Samples
from sslsearch.search.opening import starts
from sslsearch.space import literature, load
from sslsearch.track import pictures
from sslsearch.train import bundle
from sslsearch.train.embed import features
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


def test_the_default_is_the_recipe_of_which_the_space_takes_most() -> None:
    """SimCLR as on CIFAR-10 for photographs, which are flipped; that of digits for digits."""
    photographs, others = starts(load(SPACES / "image_colour.yaml"))
    published = load(SPACES / "recipes/simclr_photo_image.yaml").default()
    for section in ("encoder", "pretext", "augment", "optim"):
        assert photographs[section] == published[section]
    assert [recipe.family for recipe in others].count("simclr") == 1
    digits, _ = starts(load(SPACES / "image.yaml"))
    assert digits["augment"]["random_resized_crop"]["scale"] == 0.3
    assert "horizontal_flip" not in digits["augment"]


def test_hybrids_restore_from_views_that_are_only_moved(digits: tuple[Samples, Samples]) -> None:
    for name in ("esla", "hsl"):
        recipe = load(SPACES / f"recipes/{name}_image.yaml").default()
        trial = Trial(recipe, digits[0], 0, CPU, [64])
        assert trial.objective.pretext.views == 3
        assert trial.objective.pretext.moved == 1
        assert len(trial.moving.steps) == 1 < len(trial.compose.steps)


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


def test_an_exported_encoder_embeds_arrays_and_files(
    digits: tuple[Samples, Samples], tmp_path: Path
) -> None:
    """The statistics of the training pixels travel with it: what comes back is what was trained."""
    data = {"modality": "image", "source": "sklearn:digits", "labels": "5 per class"}
    made, recipe = prepare(data, Path.cwd()), load(SPACES / "recipes/simclr_image.yaml").default()
    train, test = digits
    trial = Trial(recipe, train, 0, CPU, [64])
    trial.advance()
    encoder, everything = trial.objective.encoder, torch.arange(len(test))
    probe = registry.get("probe", "linear").bind({})()
    fitted = probe.final(
        features(encoder, train, train.labelled, CPU), train.labels_N[train.labelled]
    )
    bundle.save(
        tmp_path / "best",
        recipe=recipe,
        weights=encoder.state_dict(),
        probe=fitted,
        spec=made.spec,
        preprocess=made.preprocess,
        classes=made.classes,
        scores={},
    )
    trained = sslsearch.load(tmp_path / "best")
    assert trained.spec.statistics["mean"] == pytest.approx(made.spec.statistics["mean"])
    x_NHW = test.columns["x"][:, 0].numpy()
    want = features(encoder, test, everything, CPU).numpy()
    np.testing.assert_allclose(trained.embed(x_NHW), want, atol=1e-5)
    for i in range(3):
        Image.fromarray(x_NHW[i]).resize((16, 16)).save(tmp_path / f"{i}.png")
    raw = trained.read(f"folder:{tmp_path}")
    assert raw["id"].to_pylist() == ["0.png", "1.png", "2.png"]
    assert trained.embed(raw).shape == (3, trained.width)
    assert set(trained.predict(raw)) <= set("0123456789")


def test_the_contact_sheet_shows_pixels(digits: tuple[Samples, Samples], tmp_path: Path) -> None:
    train, compose = digits[0], Compose({"rotate": {}, "mixup": {}})
    batch = train.batch(torch.arange(2), CPU)
    views = compose(batch, torch.Generator().manual_seed(0)).x.numpy()
    rows = [[view] for view in views]
    path = tmp_path / "views.png"
    pictures.contact_sheet(list(batch.x.numpy()), rows, path, train.modality.panel)
    with Image.open(path) as sheet:
        assert len(set(sheet.convert("L").tobytes())) > 20
