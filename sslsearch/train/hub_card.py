"""The front matter of a model card: what the Hugging Face Hub reads of an encoder, as YAML."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import yaml

from sslsearch.values import Recipe

FREE = "other"  # a licence that the Hub does not know by name


def front_matter(recipe: Recipe, about: Mapping[str, Any], licence: str) -> str:
    """`about` is what probe.json holds; `licence` an identifier of the Hub's, as apache-2.0."""
    modality = about["spec"]["modality"]
    said: dict[str, Any] = {
        "license": licence,
        "library_name": "sslsearch",
        "pipeline_tag": "feature-extraction",
        "tags": ["sslsearch", "self-supervised-learning", modality, recipe.family],
    }
    metrics = _metrics(about["scores"])
    if metrics:
        said["metrics"] = sorted({metric["type"] for metric in metrics})
        said["model-index"] = [{"name": recipe["name"], "results": [_result(recipe, metrics)]}]
    if licence == FREE:
        said["license_name"] = "of-the-training-data"
    return f"---\n{yaml.safe_dump(said, sort_keys=False, allow_unicode=True)}---\n\n"


def _result(recipe: Recipe, metrics: list[dict[str, Any]]) -> dict[str, Any]:
    source = str(recipe["data"]["source"])
    return {
        "task": {"type": "feature-extraction", "name": f"{recipe['probe']['name']} probe"},
        "dataset": {"name": source, "type": source.partition(":")[2] or source, "split": "test"},
        "metrics": metrics,
    }


def _metrics(scores: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Of these very weights, and of the floors that they are held against, on the test split."""
    kind = str(scores.get("metric", "")).removeprefix("probe/")
    rows = [("these weights", scores.get("run_test"))]
    rows += [
        (f"floor: {name}", floor.get("test"))
        for name, floor in (scores.get("floors") or {}).items()
    ]
    there = [(name, float(value)) for name, value in rows if value is not None]
    return [
        {"type": kind, "value": round(value, 4), "name": f"{kind}, {name}"}
        for name, value in there
        if kind and math.isfinite(value)
    ]
