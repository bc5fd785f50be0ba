"""Every recipe of the literature on graphs trains for a few steps and is judged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from sslsearch.data.prepare import prepare
from sslsearch.data.samples import Samples
from sslsearch.search.opening import refuse_large_batches
from sslsearch.space import load
from sslsearch.space.literature import literature
from sslsearch.train.embed import features
from sslsearch.train.loop import Trial, loop
from sslsearch.values import Recipe

FOLDER = Path(__file__).parents[2] / "search_spaces" / "recipes"
RECIPES = sorted(FOLDER.glob("*_graph.yaml"))
CPU = torch.device("cpu")


def recipe_of(name: str) -> Recipe:
    return load(FOLDER / f"{name}.yaml").default()


def samples_of(recipe: Recipe) -> Samples:
    return Samples.from_table(prepare(recipe["data"], Path()).train)


def smaller(recipe: Recipe, **optim: Any) -> Recipe:
    return Recipe({**recipe.body, "optim": {**recipe["optim"], **optim}})


def test_the_literature_is_there() -> None:
    names = {path.stem.removesuffix("_graph") for path in RECIPES}
    assert {"grace", "graphcl", "bgrl", "cca_ssg", "dgi", "infograph", "gae", "vgae"} <= names
    assert {"graphmae", "link_prediction", "attribute_prediction", "graph_language"} <= names


def test_the_default_space_starts_from_the_literature() -> None:
    space = load(FOLDER.parent / "graph.yaml")
    families = {recipe.family for recipe in literature(space)}
    assert {"cca_ssg", "simclr", "byol", "dgi", "gae", "graphmae"} <= families
    train = Samples.from_table(prepare(space.data.model_dump(), Path()).train)
    refuse_large_batches(space, train)  # 4096 of 34 nodes is the whole graph


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_runs_for_a_few_steps(path: Path) -> None:
    recipe = load(path).default()
    samples = samples_of(recipe)
    size = samples.batch_size(recipe["optim"]["batch_size"])
    (report,) = loop(recipe, samples, 0, [3 * size], CPU)
    assert report.status == "ok", report.message
    assert report.samples_seen == 3 * size
    assert {"r2", "accuracy", "knn", "rankme"} <= set(report.scores)


@pytest.mark.parametrize("score", ["dot", "hadamard"])
def test_edges_that_are_kept_back_judge_a_trial(score: str) -> None:
    recipe = recipe_of("gae_graph")
    probe = {"name": "link", "knobs": {"score": score}, "watch": ["knn"], "judge_by": "auc"}
    data = {**recipe["data"], "level": "link", "labels": "all"}
    recipe = Recipe({**recipe.body, "data": data, "probe": probe})
    samples = samples_of(recipe)
    (report,) = loop(recipe, samples, 0, [30 * len(samples)], CPU)
    assert report.status == "ok", report.message
    assert {"auc", "average_precision"} <= set(report.scores)
    assert 0 <= report.low <= report.score <= report.high <= 1
    assert report.score == report.scores["auc"]


def texts(folder: Path, nodes: int = 90) -> None:
    """Three kinds of texts of twenty words, half of them of their kind; edges within the kind."""
    rng = np.random.default_rng(0)
    kind_V = np.arange(nodes) % 3
    words = [
        [*rng.choice([f"of{kind}no{i}" for i in range(30)], 10), *rng.choice(list("αβγδεζη"), 10)]
        for kind in kind_V
    ]
    text = [" ".join(2 * word if len(word) == 1 else word for word in said) for said in words]
    ends = [(v, int(rng.choice(np.flatnonzero(kind_V == kind_V[v])))) for v in range(nodes)]
    pq.write_table(
        pa.table({"abstract": text, "label": kind_V.astype(str)}), folder / "nodes.parquet"
    )
    from_E, to_E = zip(*ends, strict=True)
    pq.write_table(pa.table({"from": from_E, "to": to_E}), folder / "edges.parquet")


def test_the_graph_language_model_learns_from_text(tmp_path: Path) -> None:
    texts(tmp_path)
    recipe = recipe_of("graph_language_graph")
    source = f"parquet:{tmp_path / 'nodes.parquet'}"
    columns = {"text": "abstract"}
    data = {**recipe["data"], "source": source, "columns": columns, "labels": "2 per class"}
    recipe = smaller(Recipe({**recipe.body, "data": data}), lr=3e-3)
    samples = samples_of(recipe)
    assert samples.spec.sizes["features"] == 90 + 7
    trial = Trial(recipe, samples, 0, CPU, [len(samples), 30 * len(samples)])
    first, last = trial.advance(), trial.advance()
    assert last.status == "ok", last.message
    # 2 per class: what words stand together is learnt without labels
    assert last.scores["r2"] > first.scores["r2"]
    assert trial.reports[1].losses[-1][1] < trial.reports[0].losses[-1][1]


def test_a_batch_beyond_the_graph_is_the_graph() -> None:
    recipe = recipe_of("cca_ssg_graph")
    samples = samples_of(recipe)
    whole = Trial(recipe, samples, 0, CPU, [100])
    assert whole.batch_size == len(samples) == 34
    part = Trial(smaller(recipe, batch_size=8), samples, 0, CPU, [100])
    assert part.batch_size == 8
    assert samples.batch_size(4096, workers=4) == 32


def test_a_resumed_trial_takes_the_same_steps(tmp_path: Path) -> None:
    recipe = recipe_of("grace_graph")
    samples = samples_of(recipe)
    straight = list(loop(recipe, samples, 0, [68, 136], CPU))
    first = next(loop(recipe, samples, 0, [68, 136], CPU, resume=tmp_path / "rung"))
    (second,) = loop(recipe, samples, 0, [68, 136], CPU, resume=tmp_path / "rung")
    assert [first.score, second.score] == [report.score for report in straight]


def test_features_in_chunks_are_those_of_the_whole() -> None:
    for name in ("dgi_graph", "infograph_graph"):
        recipe = recipe_of(name)
        samples = samples_of(recipe)
        encoder = Trial(recipe, samples, 0, CPU, [100]).objective.encoder
        index = torch.arange(len(samples))
        whole = features(encoder, samples, index, CPU)
        parts = torch.cat([features(encoder, samples, i, CPU) for i in index.split(7)])
        torch.testing.assert_close(parts, whole, atol=1e-5, rtol=1e-4)
