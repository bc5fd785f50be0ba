"""answers.json: what each trial was asked and answered, and what of it mattered; for the report.

It is written when a study ends, and by `python -m sslsearch.report` for a study that has not
ended, or that ended before there was such a file: study.db and space.yaml hold all it takes.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sslsearch.report.answers import NAME
from sslsearch.report.effects import levelled
from sslsearch.search.importance import Weight, importance, within
from sslsearch.search.record import read_rows
from sslsearch.search.row import Row
from sslsearch.search.surrogate import FAMILY
from sslsearch.space import Space, load
from sslsearch.train import checkpoint
from sslsearch.values import Recipe

SHOWN = ("encoder", "pretext", "augment", "optim")  # sections of a recipe that are compared
FAMILY_TRIALS = 16  # from so many on, what matters within a family is asked
FAMILIES = 2  # of the most trials


def refresh(folder: Path) -> None:
    """Write answers.json anew where the study's own files have more to tell than it."""
    over, known = (folder / "result.json").exists(), (folder / NAME).exists()
    if (folder / "study.db").exists() and (folder / "space.yaml").exists() and not (over and known):
        write(folder, load(folder / "space.yaml"), read_rows(folder))


def write(folder: Path, space: Space, rows: Sequence[Row]) -> None:
    """Write answers.json."""
    checkpoint.write_text(folder / NAME, json.dumps(plain(gathered(space, rows))))


def gathered(space: Space, rows: Sequence[Row]) -> dict[str, Any]:
    """Its content. Trials of an earlier form of the space, which it has no place for, are left
    out."""
    trials = [row for row in rows if row.kind == "trial" and row.status != "running"]
    known = [(row, space.project(row.recipe) if row.fits else None) for row in trials]
    fitting = [(row, said) for row, said in known if said is not None]
    scores = levelled([{r.rung: r.score for r in row.reports} for row, _ in fitting])
    questions, answers = space.questions(), [said for _, said in fitting]
    families = Counter(str(said.get(FAMILY)) for said in answers)
    large = [name for name, n in families.most_common(FAMILIES) if n >= FAMILY_TRIALS]
    recipes = {row.recipe.hash: row.recipe for row in rows if row.kind == "finalist"}
    default = space.default()
    return {
        "questions": [asdict(question) for question in questions],
        "rungs": list(space.fidelity.rungs()),
        "trials": [_trial(row, said) for row, said in fitting],
        "importance": _weights(importance(questions, answers, scores)),
        "within": {
            name: _weights(within(questions, answers, scores, name))
            for name in (large if len(families) > 1 else [])
        },
        "default": default.hash,
        "asked": {
            "modality": space.data.modality,
            "labels": str(space.data.labels),
            "trials": space.budget.trials,
            "eta": space.fidelity.eta,
            "scheduler": space.search.scheduler,
            **space.confirm.model_dump(),
        },
        "recipes": {key: _shown(one) for key, one in {**recipes, default.hash: default}.items()},
    }


def _trial(row: Row, said: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": row.name,
        "status": row.status,
        "origin": row.origin,
        "family": row.recipe.family,
        "answers": said,
        "scores": [report.score for report in row.reports],
    }


def _weights(weights: Sequence[Weight]) -> list[dict[str, Any]]:
    return [asdict(weight) for weight in weights]


def _shown(recipe: Recipe) -> dict[str, Any]:
    return {section: recipe[section] for section in SHOWN}


def plain(value: Any) -> Any:
    """As JSON can hold it: what is no number becomes null."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
