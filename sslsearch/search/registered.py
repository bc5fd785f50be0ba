"""The answer of a study for MLflow's registry: what the model version says of itself."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from sslsearch import registry
from sslsearch.track.packing import write_example
from sslsearch.train import bundle
from sslsearch.train.card import in_words
from sslsearch.values import Recipe

if TYPE_CHECKING:
    from sslsearch.search.study import Study

EXAMPLE = "example.arrow"  # in the study folder: raw samples as a served model is asked about them
FIGURES = ("score", "score_low", "score_high", "test", "test_low", "test_high")


def register(study: Study, recipe: Recipe, result: dict[str, Any]) -> None:
    """Hand best/ to the tracker, which sees to the rest; a note where it cannot be served."""
    track, state = study.space.track, study.data.preprocess
    if track.mlflow == "none" or not track.registry:
        return
    modality = registry.get("modality", state["modality"]).bind(state["rules"])()
    try:
        modality.to_arrays(study.data.example, state)
    except ValueError as reason:
        study.console.note(f"The encoder is not registered in MLflow: {reason}")
        return
    best, chosen = study.folder / "best", exported(result)
    study.tracker.model(
        best=best,
        example=write_example(study.data.example, study.folder / EXAMPLE),
        name=f"sslsearch-{study.space.name}",
        space=study.space.name,
        sentence=result["verdict"],
        description=describe(recipe, result),
        recipe=recipe,
        tags=tags(study, bundle.recipe_hash(best) or "", result),
        metrics={key: chosen[key] for key in FIGURES if math.isfinite(chosen[key])},
    )


def exported(result: dict[str, Any]) -> dict[str, Any]:
    """The figures of what is exported: the winner's or the default's."""
    which = "winner" if result["exported"] == result["winner"]["name"] else "default"
    figures: dict[str, Any] = result[which]
    return figures


def role(result: dict[str, Any]) -> str:
    return "default" if result["exported"] == result["default"]["name"] else "winner"


def tags(study: Study, digest: str, result: dict[str, Any]) -> dict[str, str]:
    chosen, floors = exported(result), result["floors"].values()
    return {
        "sslsearch.exported": role(result),
        "sslsearch.recipe": digest,
        "sslsearch.pretext": chosen["pretext"],
        "sslsearch.source": study.space.data.source,
        "sslsearch.metric": result["metric"],
        "sslsearch.test": interval(chosen),
        "sslsearch.floors": ", ".join(f"{one['name']} {one['test']:.3f}" for one in floors),
    }


def describe(recipe: Recipe, result: dict[str, Any]) -> str:
    """Markdown, the verdict first."""
    metric, chosen = result["metric"].removeprefix("probe/"), exported(result)
    floors = "\n".join(
        f"- floor {one['name']}: {interval(one)}" for one in result["floors"].values()
    )
    return f"""{result["verdict"]}

Test {metric}, with 95 % intervals over seeds:

- this recipe ({role(result)}): {interval(chosen)}
- default recipe: {interval(result["default"])}
{floors}

The recipe:

{in_words(recipe)}
"""


def interval(figures: dict[str, Any]) -> str:
    value, low, high = (figures[f"test{end}"] for end in ("", "_low", "_high"))
    known = math.isfinite(low) and math.isfinite(high)
    return f"{value:.3f} [{low:.3f}, {high:.3f}]" if known else f"{value:.3f}"
