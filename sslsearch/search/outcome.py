"""The end of a study: best/, result.json, pictures, the report, and the closing summary."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

import torch

from sslsearch import registry
from sslsearch.data.samples import Samples
from sslsearch.report.page import build as build_report
from sslsearch.search import confirm
from sslsearch.search.floors import read_features
from sslsearch.search.study import Answer, Study
from sslsearch.track.pictures import contact_sheet
from sslsearch.track.summary import Row, Summary
from sslsearch.train import bundle
from sslsearch.train.build import build
from sslsearch.values import Recipe

SHEET_SAMPLES, SHEET_VIEWS = 4, 4


def finish(study: Study, answer: Answer) -> Summary:
    """Write everything that is left to write; returns what to say."""
    result = describe(study, answer)
    (study.folder / "result.json").write_text(json.dumps(result, indent=1))
    write_best(study, answer.verdict.chosen, result)
    sheet = draw_views(study, recipe_of(answer.verdict.chosen))
    page = build_report(study.folder)
    tracker = study.tracker
    tracker.summary(flat_metrics(result), {"sslsearch.verdict": answer.verdict.sentence})
    for name in ("leaderboard.csv", "result.json", "best/recipe.yaml", "best/probe.json"):
        tracker.artifact(None, study.folder / name)
    for path in (sheet, page):
        tracker.artifact(None, path)
    return summarise(study, answer, result)


def recipe_of(one: confirm.Confirmed) -> Recipe:
    assert one.contender.recipe is not None, "only floors have no recipe"
    return one.contender.recipe


def describe(study: Study, answer: Answer) -> dict[str, Any]:
    """The answer as plain values: result.json."""
    verdict = answer.verdict
    mean, low, high = verdict.difference[:3]
    return {
        "verdict": verdict.sentence,
        "beats_default": verdict.beats_default,
        "difference": {"mean": mean, "low": low, "high": high},
        "exported": verdict.chosen.name,
        "metric": str(study.space.goal.metric),
        "judge_by": study.space.probe.judge_by,
        "winner": _figures(verdict.winner),
        "default": _figures(verdict.default),
        "finalists": {c.name: _figures(c) for c in answer.confirmed if c.kind == "finalist"},
        "floors": {c.name: _figures(c) for c in answer.confirmed if c.kind == "floor"},
        "optimism": answer.optimism,
        "test_opened": study.record.recall("test_opened", 0),
        "data": dict(study.data.summary),
        "notes": list(study.data.notes),
        "seconds": time.monotonic() - study.started,
    }


def _figures(one: confirm.Confirmed) -> dict[str, Any]:
    score, score_low, score_high = one.score_interval
    test, low, high = one.test_interval
    recipe = one.contender.recipe
    return {
        "name": one.name,
        "recipe_hash": recipe.hash if recipe else "",
        "pretext": recipe.family if recipe else "",
        "augment": "+".join(recipe["augment"] or {}) if recipe else "",
        "score": score,
        "score_low": score_low,
        "score_high": score_high,
        "test": test,
        "test_mean": test,
        "test_low": low,
        "test_high": high,
        "test_runs": list(one.test),
        "seeds": len(one.test),
    }


def flat_metrics(result: dict[str, Any]) -> dict[str, float]:
    """result.json as metrics of the study's MLflow run."""
    made = {
        f"{who}/{k}": result[who][k] for who in ("winner", "default") for k in ("score", "test")
    }
    made |= {f"floor/{name}/test": floor["test"] for name, floor in result["floors"].items()}
    made["optimism"] = result["optimism"]
    return {key: float(value) for key, value in made.items() if math.isfinite(value)}


def write_best(study: Study, chosen: confirm.Confirmed, result: dict[str, Any]) -> None:
    """Export the run of the chosen recipe with the best cross-validated score."""
    best = max(range(len(chosen.contender.scores)), key=chosen.contender.scores.__getitem__)
    path = list(chosen.contender.runs.values())[best]
    train = Samples.from_table(study.data.train)
    probe = registry.get("probe", study.space.probe.name).bind({})()
    fitted = probe.final(read_features(path)["train"], train.labels_N[train.labelled])
    bundle.save(
        study.folder / "best",
        recipe=recipe_of(chosen),
        weights=path.with_name("encoder.safetensors"),
        probe=fitted,
        spec=study.data.spec,
        preprocess=study.data.preprocess,
        classes=study.data.classes,
        scores={
            **result,
            "run": path.parent.name,
            "run_test": chosen.test[best],
            "run_score": chosen.contender.scores[best],
        },
    )


def draw_views(study: Study, recipe: Recipe) -> Path:
    """The contact sheet: samples of the pool, and what the chosen composition makes of them."""
    samples = Samples.from_table(study.data.train)
    _, compose = build(recipe, samples.spec, 0)
    batch = samples.batch(torch.arange(min(SHEET_SAMPLES, len(samples))), torch.device("cpu"))
    rng = torch.Generator().manual_seed(0)
    views = [compose(batch, rng).x.numpy() for _ in range(SHEET_VIEWS)]
    path = study.folder / "views.png"
    rows = [[view[i] for view in views] for i in range(len(batch))]
    contact_sheet(list(batch.x.numpy()), rows, path)
    return path


def summarise(study: Study, answer: Answer, result: dict[str, Any]) -> Summary:
    """What the terminal says at the end."""
    verdict = answer.verdict
    kinds = {verdict.winner.name: "winner", verdict.default.name: "default"}
    shown = (
        [verdict.winner, verdict.default]
        if verdict.winner is not verdict.default
        else [verdict.default]
    )
    floors = sorted(
        (c for c in answer.confirmed if c.kind == "floor"), key=lambda c: -c.test_interval[0]
    )
    rows = []
    for one in [*shown, *floors]:
        score, test = one.score_interval, one.test_interval
        kind = kinds.get(one.name, "floor")
        rows.append(Row(one.name, kind, *score, *test, seeds=len(one.test)))
    trials = study.record.rows("trial")
    families: dict[str, list[float]] = {}
    for row in trials:
        families.setdefault(row.recipe.family, []).append(row.score)
    out = study.folder
    shown_sections = {
        k: recipe_of(verdict.chosen)[k] for k in ("encoder", "pretext", "augment", "optim")
    }
    return Summary(
        title=study.space.name,
        verdict=verdict.sentence,
        metric=f"{study.space.probe.judge_by} (cross-validated)",
        test_metric=f"test {study.space.goal.metric.removeprefix('probe/')}",
        recipe_text=Recipe(shown_sections).to_yaml(),
        rows=rows,
        optimism=answer.optimism,
        counts={
            s: sum(r.status == s for r in trials) for s in dict.fromkeys(r.status for r in trials)
        },
        families=[
            (name, len(scores), max((s for s in scores if math.isfinite(s)), default=math.nan))
            for name, scores in families.items()
        ],
        notes=list(study.data.notes),
        files={
            "best recipe and encoder": str(out / "best"),
            "leaderboard": str(out / "leaderboard.csv"),
            "report": str(out / "report.html"),
        },
        commands=["mlflow ui", f"python -m sslsearch.report {out}"],
        seconds=result["seconds"],
    )
