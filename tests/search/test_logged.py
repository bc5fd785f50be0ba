"""What MLflow is told of a study has the same names whatever the space."""

from pathlib import Path
from typing import Any

import pytest

from sslsearch import registry
from sslsearch.search.logged import flat_metrics, study_params, study_tags
from sslsearch.search.registered import describe, interval, role
from sslsearch.space import load
from sslsearch.track.params import flatten, recipe_params

SPACES = sorted((Path(__file__).parents[2] / "search_spaces").glob("*.yaml"))
SUMMARY = {"pool": 90, "labelled": 24, "test": 30, "classes": 3, "per_class": {"a": 8, "b": 7}}
NAN = float("nan")


def own(space: Any) -> tuple[str, ...]:
    """Where the names of parts and of the modality's rules begin."""
    rules = registry.get("modality", space.data.modality).knobs.model_fields
    data = (*(f"data.{rule}" for rule in rules), "data.columns.")
    return ("encoder.", "pretext.", "augment.", "sample.", "probe.knobs", *data)


def names(flat: dict[str, Any], space: Any) -> set[str]:
    return {key for key in flat if not key.startswith(own(space))}


def test_studies_of_all_spaces_share_their_params() -> None:
    told = {}
    for path in SPACES:
        space = load(path, [])
        params = flatten(study_params(space, {**SUMMARY, "length": 12}))
        told[path.name] = names(params, space)
        assert params["sample.length"] == "12"
        assert params["samples.pool"] == "90"  # data.pool is the second source
        assert params["samples.per_class"] == "7..8"
    assert len(told) > 4
    assert len(set(map(frozenset, told.values()))) == 1, told


def test_trials_of_all_spaces_share_their_params() -> None:
    told = {}
    for path in SPACES:
        space = load(path, [])
        told[path.name] = names(recipe_params(space.default()), space)
    assert len(set(map(frozenset, told.values()))) == 1, told


def figures(name: str, test: float) -> dict[str, Any]:
    spread = {f"{key}_{end}": test + by for key in ("score", "test") for end, by in ENDS.items()}
    return {"name": name, "pretext": "simclr", "score": test, "test": test, **spread}


ENDS = {"low": -0.1, "high": 0.1}


def result(exported: str) -> dict[str, Any]:
    return {
        "verdict": "The best recipe beats the default; it is exported.",
        "metric": "probe/accuracy",
        "exported": exported,
        "winner": figures("finalist 1", 0.9),
        "default": figures("default", 0.8),
        "difference": {"mean": 0.1, "low": 0.05, "high": NAN},
        "floors": {"raw": {**figures("raw", 0.5), "test_low": NAN}},
        "optimism": 0.01,
        "cost": {"device_hours": 0.1, "overhead_fraction": 0.2},
        "trials": {"ok": 3, "stopped": 2, "nan": 1, "oom": 1},
    }


@pytest.mark.parametrize(("exported", "test"), [("finalist 1", 0.9), ("default", 0.8)])
def test_the_figures_of_what_is_exported_stand_in_the_columns_of_trials(
    exported: str, test: float
) -> None:
    made = flat_metrics(result(exported))
    assert made["test"] == test
    assert made["test_low"] == pytest.approx(test - 0.1)
    assert made["floor/raw/test"] == 0.5
    assert made["trials/failed"] == 2
    assert "difference/high" not in made  # not known


def test_the_description_begins_with_the_verdict() -> None:
    space = load(SPACES[0], [])
    told = result("default")
    text = describe(space.default(), told)
    assert text.startswith(told["verdict"])
    assert "- this recipe (default): 0.800 [0.700, 0.900]" in text
    assert "- floor raw: 0.500\n" in text
    assert role(told) == "default"
    assert interval(told["winner"]) == "0.900 [0.800, 1.000]"
    tags = study_tags(space.default(), told)
    assert tags["mlflow.note.content"] == text
    assert tags["sslsearch.exported"] == "default"
