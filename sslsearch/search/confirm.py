"""Confirmation: who deserves fresh seeds, the one opening of the test split, and the verdict."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from sslsearch import registry
from sslsearch.data.samples import Samples
from sslsearch.probe.base import Probe
from sslsearch.probe.details import details
from sslsearch.probe.interval import mean_interval, paired_difference
from sslsearch.probe.metrics import LOSSES
from sslsearch.search.pareto import objectives, standing
from sslsearch.search.race import in_the_race
from sslsearch.search.record import Record, Row
from sslsearch.search.shelf import Shelf
from sslsearch.space import Goal
from sslsearch.train.remains import FEATURES, FILES, fitted_probe
from sslsearch.values import Recipe

Floats = NDArray[np.float64]


def finalists(
    rows: Sequence[Row],
    top: int,
    goal: Goal | None = None,
    worth: Mapping[str, float] | None = None,
) -> list[Recipe]:
    """The `top` best recipes, different from one another; full-length trials come first.

    Args:
        goal: of several objectives the front comes first, in it the best of the first objective.
        worth: scores by trial that rank in the place of the observed ones (denoise.py).
    """
    if worth is None:
        worth = {row.name: row.score for row in rows}
    able = [row for row in rows if row.fits and row.status in ("ok", "stopped") and row.judged]
    best: dict[str, tuple[float, ...]] = {}
    for length in {len(row.reports) for row in able}:
        race = [row for row in able if len(row.reports) == length]
        values = [
            (
                worth.get(row.name, -math.inf),
                *(objectives(row.reports[-1], row.seconds, goal)[1:] if goal else ()),
            )
            for row in race
        ]
        best.update(zip((row.name for row in race), standing(values), strict=True))
    ranked = sorted(able, key=lambda row: (len(row.reports), best[row.name]), reverse=True)
    unique = {row.recipe.hash: row.recipe for row in reversed(ranked)}
    best_first = [row.recipe.hash for row in ranked]
    return [unique[key] for key in dict.fromkeys(best_first)][:top]


@dataclass(frozen=True)
class Contender:
    """A finalist recipe, the default, or a floor: what its runs over seeds left behind.

    Attributes:
        runs: run name -> file with `train` and `test` features.
        scores: cross-validated selection scores on the training labels, one for each run; empty
            for what was fitted on those labels and so has no honest one.
        predicts: those features are probabilities of the labelled classes, sorted: no probe is
            fitted on them.
    """

    name: str
    kind: str  # finalist | default | floor
    recipe: Recipe | None
    runs: dict[str, Path]
    scores: tuple[float, ...] = ()
    predicts: bool = False


@dataclass(frozen=True)
class Confirmed:
    """A contender after the test split was opened."""

    contender: Contender
    test: tuple[float, ...]  # the goal's metric on the test split, one for each run
    samples_RN: Floats  # (runs, test samples): each sample's share in it, more = better
    details: tuple[dict[str, Any], ...] = ()  # where each run errs: see probe/details.py

    @property
    def name(self) -> str:
        return self.contender.name

    @property
    def kind(self) -> str:
        return self.contender.kind

    @property
    def test_interval(self) -> tuple[float, float, float]:
        return mean_interval(self.test)

    @property
    def score_interval(self) -> tuple[float, float, float]:
        if not self.contender.scores:
            return math.nan, math.nan, math.nan
        return mean_interval(self.contender.scores)


def open_test(
    record: Record,
    contenders: Sequence[Contender],
    train: Samples,
    test: Samples,
    probe: Probe,
    metric: str,
) -> list[Confirmed]:
    """The one place where the test is read: fit each run's final probe, score it, once.

    Each opening is counted in the study's record.
    """
    record.remember("test_opened", record.recall("test_opened", 0) + 1)
    truth = probe.truth(test, torch.arange(len(test)), train)
    classes = np.unique(train.labels_N[train.labelled].numpy()).tolist()
    confirmed = []
    for contender in contenders:
        scores, samples, errs = [], [], []
        for path in contender.runs.values():
            seen = load_file(path)["test"]
            knows = probe.taken(classes) if contender.predicts else fitted_probe(path, probe, train)
            scores.append(knows.score(seen, truth).values[metric])
            samples.append(knows.shares(metric, seen, truth))
            errs.append(details(knows, seen, truth))
        confirmed.append(Confirmed(contender, tuple(scores), np.stack(samples), tuple(errs)))
    return confirmed


@dataclass(frozen=True)
class Verdict:
    """The answer of a study.

    Attributes:
        winner: the finalist with the best cross-validated score over fresh seeds.
        chosen: what is exported: the winner, or the default where the winner is not better.
        difference: (mean, low, high) of winner − default on the test split, paired.
        sentence: the same in words.
        ties: finalists that fresh seeds do not tell apart from the winner.
    """

    winner: Confirmed
    chosen: Confirmed
    default: Confirmed
    difference: tuple[float, float, float]
    beats_default: bool
    sentence: str
    ties: tuple[str, ...] = ()


def decide(
    confirmed: Sequence[Confirmed], metric: str, groups_N: torch.Tensor | None = None
) -> Verdict:
    """Choose the winner by cross-validation, then ask the test split one question only: is it
    better than the default beyond noise? If not, the default is the answer."""
    default = next(c for c in confirmed if c.contender.kind == "default")
    rivals = [c for c in confirmed if c.contender.kind == "finalist"] or [default]
    winner = max(rivals, key=lambda c: float(np.mean(c.contender.scores)))
    able = in_the_race({c.name: c.contender.scores for c in rivals})
    ties = tuple(c.name for c in rivals if c.name in able and c is not winner)
    if winner.contender.recipe is None or default.contender.recipe is None:
        raise AssertionError("finalists have recipes")
    if winner.contender.recipe.hash == default.contender.recipe.hash:
        sentence = "The search found nothing better than the default recipe, which is exported."
        return Verdict(default, default, default, (0.0, 0.0, 0.0), False, sentence, ties)
    groups = None if groups_N is None else groups_N.numpy()
    gap = paired_difference(winner.samples_RN, default.samples_RN, groups)
    mean, low, high = gap.mean, gap.low, gap.high
    points = f"{100 * mean:+.1f} points of test {metric} [{100 * low:+.1f}, {100 * high:+.1f}]"
    if metric in LOSSES:
        points = f"{-mean:+.3f} of test {metric} [{-high:+.3f}, {-low:+.3f}]"
    if low > 0 and math.isfinite(gap.se_seeds):  # one seed says nothing of the next
        sentence = f"The best recipe beats the default by {points}; it is exported."
        return Verdict(winner, winner, default, (mean, low, high), True, sentence, ties)
    sentence = (
        f"The best recipe does not beat the default beyond noise ({points}); "
        "the default is exported."
    )
    return Verdict(winner, default, default, (mean, low, high), False, sentence, ties)


def optimism(verdict: Verdict, trials: Sequence[Row]) -> float:
    """The winner's score while searching minus its score on fresh seeds."""
    recipe = verdict.winner.contender.recipe
    assert recipe is not None
    seen = [r.score for r in trials if r.recipe.hash == recipe.hash and math.isfinite(r.score)]
    return max(seen) - verdict.winner.score_interval[0] if seen else math.nan


def contender_of(name: str, kind: str, rows: Sequence[Row], shelf: Shelf) -> Contender | None:
    """A recipe's confirmation runs as a contender; None if no run came through."""
    done = [row for row in rows if row.status == "ok"]
    if not done:
        return None
    for row in done:
        for file in FILES:
            shelf.fetch(f"trials/{row.name}/{file}")
    runs = {row.name: shelf.path(f"trials/{row.name}/{FEATURES}") for row in done}
    scores = tuple(row.score for row in done)
    return Contender(name, kind, done[0].recipe, runs, scores)


def without_labels(table: pa.Table) -> pa.Table:
    """The test table as workers may see it: every label null, with nothing under the null, and
    nothing of what its modality judges by in the place of labels."""
    name = json.loads(table.schema.metadata[b"spec"])["modality"]
    modality = registry.get("modality", name).bind(None)()
    table = modality.seal(table, np.ones(len(table), bool))
    at = table.schema.get_field_index("label")
    field = table.schema.field(at)
    return table.set_column(at, field, pa.nulls(len(table), field.type))
