"""What MLflow is told of a study: params, metrics and tags, under the same names in every study.

Only what belongs to parts (knobs, a modality's rules, floors) differs between spaces.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from sslsearch.search.registered import FIGURES, describe, exported, role
from sslsearch.space import Space
from sslsearch.track.params import data_params
from sslsearch.values import Recipe

if TYPE_CHECKING:
    from sslsearch.search.study import Answer

SECTIONS = ("probe", "fidelity", "budget", "search", "confirm", "compute")
COUNTS = ("pool", "labelled", "test", "classes")  # of the data; the rest is sizes of a sample


def study_params(space: Space, summary: Mapping[str, Any]) -> dict[str, Any]:
    """How the study is run, and what it learns from: `samples` are counts, `data` the section."""
    sizes = {key: value for key, value in summary.items() if key not in (*COUNTS, "per_class")}
    least, most = (f(summary["per_class"].values(), default=0) for f in (min, max))
    return {
        "goal": str(space.goal),
        **data_params(space.data.model_dump()),
        **{section: getattr(space, section).model_dump() for section in SECTIONS},
        "samples": {**{key: summary[key] for key in COUNTS}, "per_class": f"{least}..{most}"},
        "sample": sizes,
    }


def told_of(space: Space) -> dict[str, str]:
    """Tags of a study that begins: what is asked of which data."""
    return {
        "sslsearch.goal": str(space.goal),
        "sslsearch.source": space.data.source,
        "sslsearch.modality": space.data.modality,
    }


def flat_metrics(result: dict[str, Any]) -> dict[str, float]:
    """result.json as metrics of the study's run."""
    made = {key: exported(result)[key] for key in FIGURES}  # in the columns of its trials
    made |= {f"{one}/{key}": result[one][key] for one in ("winner", "default") for key in FIGURES}
    made |= {f"difference/{key}": value for key, value in result["difference"].items()}
    made |= {f"floor/{name}/test": floor["test"] for name, floor in result["floors"].items()}
    made["optimism"] = result["optimism"]
    made["cost/device_hours"] = result["cost"]["device_hours"]
    made["cost/overhead_fraction"] = result["cost"]["overhead_fraction"]
    counts = result["trials"]
    made |= {f"trials/{status}": counts.get(status, 0) for status in ("ok", "stopped")}
    made["trials/failed"] = sum(counts.values()) - made["trials/ok"] - made["trials/stopped"]
    return {key: float(value) for key, value in made.items() if math.isfinite(value)}


def study_tags(recipe: Recipe, result: dict[str, Any]) -> dict[str, str]:
    """The answer in words; MLflow shows the note as the run's description."""
    return {
        "sslsearch.verdict": result["verdict"],
        "sslsearch.exported": role(result),
        "sslsearch.pretext": recipe.family,
        "sslsearch.encoder": recipe.part("encoder")[0],
        "mlflow.note.content": describe(recipe, result),
    }


def tests(answer: Answer) -> dict[str, float]:
    """Test figure by run of the confirmation; a floor has one run for all its seeds."""
    made: dict[str, float] = {}
    for one in answer.confirmed:
        if one.kind == "floor":
            made[one.name] = float(np.mean(one.test))
        else:
            made |= dict(zip(one.contender.runs, one.test, strict=True))
    return {run: test for run, test in made.items() if math.isfinite(test)}
