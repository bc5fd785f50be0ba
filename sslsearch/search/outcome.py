"""The end of a study: result.json, best/, front/, the report, and the closing summary."""

from __future__ import annotations

import json
import math
import shutil
import time
from collections import Counter
from pathlib import Path
from typing import Any

from sslsearch.probe.base import build as build_probe
from sslsearch.probe.metrics import as_score, sign
from sslsearch.report.page import build as build_report
from sslsearch.search import confirm, insight, lessons
from sslsearch.search.board import front, line_of
from sslsearch.search.cost import cost, rung_agreement, saved
from sslsearch.search.logged import flat_metrics, study_tags, tests
from sslsearch.search.pictured import draw, label, test_metric
from sslsearch.search.registered import register
from sslsearch.search.study import Answer, Study
from sslsearch.track.params import scrub
from sslsearch.track.summary import Row, Summary
from sslsearch.train import bundle, checkpoint
from sslsearch.train.remains import ENCODER, fitted_probe
from sslsearch.values import Recipe

SHOWN_OF_FRONT = 6  # trials, in the summary
SHOWN = ("encoder", "pretext", "augment", "optim")  # of the best recipe, in the summary


def finish(study: Study, answer: Answer) -> Summary:
    """Write everything that is left to write; returns what to say."""
    study.console.phase("writing the results")
    result = describe(study, answer)
    checkpoint.write_text(study.folder / "result.json", json.dumps(result, indent=1))
    write_best(study, answer.verdict.chosen, result)
    write_front(study, result)
    made = draw(study, _recipe(answer.verdict.chosen), result)
    learn(study, answer)
    made.append(build_report(study.folder))
    tracker = study.tracker
    chosen = _recipe(answer.verdict.chosen)
    tracker.summary(flat_metrics(result), study_tags(chosen, result))
    for run, test in tests(answer).items():
        tracker.figures(run, {"test": test})
    names = ("leaderboard.csv", "result.json", "best/recipe.yaml", "best/probe.json")
    for path in [study.folder / name for name in names] + made:
        tracker.artifact(None, path)
    register(study, chosen, result)
    study.mark_finished()
    return summarise(result, study.folder)


def learn(study: Study, answer: Answer) -> None:
    """Leave what the report says beyond the answer; a fault there is told and costs no answer."""
    try:
        lessons.write(study.folder, study.space, study.record.rows())
        insight.write(study.folder, study.train, answer.confirmed, answer.verdict.chosen)
    except Exception as fault:
        if checkpoint.no_room(fault, study.folder):
            raise
        study.console.note(f"the report will say less: {type(fault).__name__}: {fault}")


def recall(study: Study) -> Summary:
    """What a finished study said."""
    return summarise(json.loads((study.folder / "result.json").read_text()), study.folder)


def describe(study: Study, answer: Answer) -> dict[str, Any]:
    """The answer as plain values: result.json."""
    verdict = answer.verdict
    mean, low, high = verdict.difference
    trials, rungs = study.record.rows("trial"), study.space.fidelity.rungs()
    return {
        "name": study.space.name,
        "verdict": verdict.sentence,
        "beats_default": verdict.beats_default,
        "difference": {"mean": mean, "low": low, "high": high},
        "exported": verdict.chosen.name,
        "recipe": {section: _recipe(verdict.chosen)[section] for section in SHOWN},
        "metric": study.space.goal.metric,
        "judge_by": study.space.probe.judge_by,
        "validation_judges": bool(study.train.judges_N.any()),
        "winner": _figures(verdict.winner),
        "default": _figures(verdict.default),
        "finalists": {c.name: _figures(c) for c in answer.confirmed if c.kind == "finalist"},
        "floors": {c.name: _figures(c) for c in answer.confirmed if c.kind == "floor"},
        "ties": list(verdict.ties),
        "front": front_of(study),
        "optimism": answer.optimism,
        "test_opened": study.record.recall("test_opened", 0),
        "trials": dict(Counter(row.status for row in trials)),
        "families": _families([(row.recipe.family, row.score) for row in trials]),
        "cost": cost(study.record.rows(), answer.device, answer.devices),
        "early_stopping": {
            **saved(trials, rungs[-1], answer.devices),
            "agreement": rung_agreement(trials, rungs),
        },
        "data": dict(study.data.summary),
        "notes": list(study.data.notes),
        "tracked": study.space.track.mlflow != "none",
        "seconds": time.monotonic() - study.started,
    }


def front_of(study: Study) -> list[dict[str, Any]]:
    """Of several objectives the trials that no other beats in all; nothing of a single one."""
    goal, rows = study.space.goal, {row.name: row for row in study.record.rows("trial")}
    if not goal.others:
        return []
    return [
        {
            "id": line.id,
            "pretext": line.pretext,
            "encoder": line.encoder,
            "recipe_hash": line.recipe_hash,
            "score": line.score,
            **line.others,
        }
        for line in front([line_of(row, goal) for row in rows.values()], goal)
    ]


def write_front(study: Study, result: dict[str, Any]) -> None:
    """front/ID.yaml: the recipes of the front, each of which `sslsearch.pretrain` trains."""
    folder = study.folder / "front"
    shutil.rmtree(folder, ignore_errors=True)
    for one in result["front"]:
        folder.mkdir(exist_ok=True)
        shareable(study.record.row(one["id"]).recipe).save(folder / f"{one['id']}.yaml")


def _recipe(one: confirm.Confirmed) -> Recipe:
    assert one.contender.recipe is not None, "only floors have no recipe"
    return one.contender.recipe


def _families(scored: list[tuple[str, float]]) -> list[tuple[str, int, float]]:
    """Pretext family, its trials, its best score."""
    families: dict[str, list[float]] = {}
    for family, score in scored:
        families.setdefault(family, []).append(score)
    return [
        (family, len(scores), max(filter(math.isfinite, scores), default=math.nan))
        for family, scores in families.items()
    ]


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


def write_best(study: Study, chosen: confirm.Confirmed, result: dict[str, Any]) -> None:
    """Export the run of the chosen recipe with the best cross-validated score."""
    scores = chosen.contender.scores
    best = max(range(len(scores)), key=scores.__getitem__)
    path = list(chosen.contender.runs.values())[best]
    probe = build_probe(study.space.probe.model_dump())
    bundle.save(
        study.folder / "best",
        recipe=shareable(_recipe(chosen)),
        weights=path.with_name(ENCODER),
        probe=fitted_probe(path, probe, study.train),
        spec=study.data.spec,
        preprocess=study.data.preprocess,
        classes=study.data.classes,
        scores={
            **result,
            "run": path.parent.name,
            "run_test": chosen.test[best],
            "run_score": scores[best],
        },
    )


def shareable(recipe: Recipe) -> Recipe:
    """The recipe without the passwords that addresses in it may hold, and without the storage of
    the study that has found it; its weights are the same."""
    body = json.loads(scrub(json.dumps(recipe.body)))
    body.get("compute", {}).update(storage=None)
    return Recipe(body)


def summarise(result: dict[str, Any], folder: Path) -> Summary:
    """result.json in the terminal's words."""
    winner, default = result["winner"], result["default"]
    same = winner["name"] == default["name"]
    shown = [(default, "default")] if same else [(winner, "winner"), (default, "default")]
    contest = [*shown, *((floor, "floor") for floor in _best_first(result))]
    rows = [
        Row(
            name=label(one, kind),
            kind=kind,
            score=one["score"],
            low=one["score_low"],
            high=one["score_high"],
            test=one["test"],
            test_low=one["test_low"],
            test_high=one["test_high"],
            seeds=one["seeds"],
        )
        for one, kind in contest
    ]
    return Summary(
        title=result["name"],
        verdict=result["verdict"],
        metric=f"{as_score(result['judge_by'])} ({_judged(result)})",
        test_metric=test_metric(result),
        recipe_text=Recipe(result["recipe"]).to_yaml(),
        rows=rows,
        optimism=result["optimism"],
        counts=result["trials"],
        families=[tuple(family) for family in result["families"]],
        notes=result["notes"],
        remarks=remarks(result),
        files={
            "best recipe and encoder": str(folder / "best"),
            "leaderboard": str(folder / "leaderboard.csv"),
            "report": str(folder / "report.html"),
        },
        commands=["mlflow ui"] if result.get("tracked", True) else [],
        seconds=result["seconds"],
    )


def _best_first(result: dict[str, Any]) -> list[dict[str, Any]]:
    """The floors by their test figures."""
    better = sign(result["metric"].removeprefix("probe/"))
    return sorted(result["floors"].values(), key=lambda floor: -better * floor["test"])


def _judged(result: dict[str, Any]) -> str:
    return "validation" if result.get("validation_judges") else "cross-validated"


def remarks(result: dict[str, Any]) -> list[str]:
    """Ties, cost, and whether early stopping could be trusted, in sentences."""
    made = []
    if result["ties"]:
        made.append(f"Fresh seeds do not tell the winner from {', '.join(result['ties'])}.")
    made += _weighed(result)
    cost, early = result["cost"], result["early_stopping"]
    if cost["device_hours"]:
        share = f"{cost['overhead_fraction']:.0%} of them waiting"
        made.append(f"It took {cost['device_hours']:.2g} {cost['device']}-hours, {share}.")
    if early["trials"]:
        hours = f"{early['device_hours']:.2g} {cost['device']}-hours"
        made.append(f"Stopping {early['trials']} trials early saved {hours}.")
    for one in early["agreement"]:
        span = f"[{one['low']:.2f}, {one['high']:.2f}]"
        made.append(
            f"Ranks after {one['samples']:,} samples agree with the last rung's at "
            f"{one['rho']:.2f} {span} (Spearman, {one['trials']} trials that reached both)."
        )
    return made


def _weighed(result: dict[str, Any]) -> list[str]:
    """The front of several objectives, its best few with what they reach."""
    front = result["front"]
    if not front:
        return []
    said = [f"{len(front)} trials are beaten by no other in all objectives; see front/."]
    for one in front[:SHOWN_OF_FRONT]:
        others = ", ".join(f"{name} {value:,.6g}" for name, value in one.items() if "/" in name)
        score = f"{as_score(result['judge_by'])} {one['score']:.3f}"
        said.append(f"  {one['id']} {one['pretext']}, {one['encoder']}: {score}, {others}")
    return said
