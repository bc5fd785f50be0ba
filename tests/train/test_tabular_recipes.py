"""The literature's recipes for tables run as written, and the default space starts from them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from sslsearch import registry
from sslsearch.data.prepare import Prepared, prepare
from sslsearch.data.samples import Samples
from sslsearch.space import load
from sslsearch.space.literature import literature
from sslsearch.space.shipped import FOLDER
from sslsearch.train.loop import Trial

RECIPES = sorted(FOLDER.glob("recipes/*_tabular.yaml"))
SPACE = FOLDER / "tabular.yaml"


@pytest.fixture(scope="module")
def data() -> Prepared:
    return prepare(load(SPACE).data.model_dump(), Path.cwd())


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_takes_a_few_steps_and_is_judged(path: Path, data: Prepared) -> None:
    recipe = load(path).default()
    trial = Trial(recipe, Samples.from_table(data.train), 0, torch.device("cpu"), [512])
    report = trial.advance()
    assert report.status == "ok"
    assert -1 < report.score < 1
    assert path.read_text().startswith("# ")
    assert "arXiv:" in path.read_text() or "NeurIPS" in path.read_text()


def test_every_method_for_tables_has_its_recipe() -> None:
    own = {n for n, p in registry.parts("pretext", "tabular").items() if p.modality is not None}
    assert own | {"mae", "simclr"} <= {load(path).default().family for path in RECIPES}


def test_the_default_space_starts_from_the_literature() -> None:
    space = load(SPACE)
    families = [recipe.family for recipe in literature(space)]
    assert set(families) == set(space.tree["pretext"].branches)  # type: ignore[attr-defined]
