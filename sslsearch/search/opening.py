"""What must hold before a study starts: the same question as before, batches that fit; and the
recipes that come first, of the literature or of another study."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from sslsearch import registry
from sslsearch.data.samples import Samples
from sslsearch.probe.base import build
from sslsearch.search.record import Row, read_rows
from sslsearch.space import Space, literature, load, parse
from sslsearch.track.params import scrub
from sslsearch.values import Recipe


def refuse_other_question(path: Path, space: Space) -> None:
    """A study's scores must stay comparable: its data, rungs, probe and goal cannot change.

    Raises:
        ValueError: the study that `path` (its space.yaml) belongs to asks something else.
    """
    if not path.exists():
        return
    before, space = load(path), parse(scrub(space.text))  # on disk there are no passwords
    was = {"goal": before.goal, "data": before.data, "fidelity": before.fidelity}
    now = {"goal": space.goal, "data": space.data, "fidelity": space.fidelity}
    kinds = ("name", "judge_by", "knobs")
    was["probe"] = {k: getattr(before.probe, k) for k in kinds}
    now["probe"] = {k: getattr(space.probe, k) for k in kinds}
    for section, value in was.items():
        if value != now[section]:
            raise ValueError(
                f"{path.parent} holds a study with another `{section}` "
                f"({changes(value, now[section])}): its scores would not compare; "
                "give another folder with --out"
            )


def changes(was: Any, now: Any) -> str:
    """`labels: 8 per class -> all`, for two values of one section."""
    before, after = (dict(v) if isinstance(v, dict) else dict(vars(v)) for v in (was, now))
    return ", ".join(f"{k}: {before[k]} -> {after[k]}" for k in before if before[k] != after[k])


def refuse_large_batches(space: Space, train: Samples) -> None:
    """Every batch size of the space must fit the pool, or a trial would fail on it later.

    Raises:
        ValueError: with those that fit.
    """
    sizes = {space.default()["optim"]["batch_size"]}
    for question in space.questions():
        if question.name == "optim.batch_size":
            sizes |= set(question.options or (question.high,))
    pool = len(train.pool)
    if train.batch_size(max(sizes)) > pool:
        fitting = " | ".join(str(size) for size in sorted(sizes) if size <= pool)
        cure = f"; as in --set 'optim.batch_size={fitting}'" if fitting else ""
        raise ValueError(
            f"optim.batch_size {max(sizes)} exceeds the pool of {pool} samples; "
            f"write at most {pool}{cure}"
        )


def refuse_what_cannot_be_judged(space: Space, train: Samples) -> None:
    """A probe needs samples to learn from, and one that tells classes apart two classes of them.

    Raises:
        ValueError: there are none: each trial would fail at its first rung.
    """
    probe = build(space.probe.model_dump())
    gives = registry.get("probe", space.probe.name).gives
    rows = probe.rows(train)
    cure = "data.columns.label names the column that holds them"
    if not len(rows):
        what = "row has a label" if "labels" in gives else "row is of use to it"
        raise ValueError(f"probe {space.probe.name}: no training {what}; {cure}")
    if "classes" in gives and len(classes := torch.unique(train.labels_N[rows])) < 2:
        raise ValueError(
            f"probe {space.probe.name} tells classes apart, but all {len(rows)} labels that may "
            f"be seen are {train.classes[int(classes[0])]!r}; {cure}, data.labels how many"
        )


def starts(space: Space) -> tuple[Recipe, list[Recipe]]:
    """The default recipe, and the literature's others in the order of the space's pretext tasks.

    The default is what one would run without a search: the literature's recipe of the first
    pretext task of the space, or failing that the parts' own defaults.
    """
    plain = space.default()
    if space.search.start_from == "none":
        return plain, []
    order = next((q.options for q in space.questions() if q.name == "pretext.kind"), ())
    place = {family: i for i, family in enumerate(order)}

    def rank(recipe: Recipe) -> tuple[int, int]:
        """Of several recipes of one family the one comes first of which this space takes most."""
        return place.get(recipe.family, len(place)), -len(recipe["augment"])

    recipes = sorted(literature(space), key=rank)
    if recipes and recipes[0].family == plain.family:
        return recipes[0], recipes[1:]
    return plain, recipes


def best_of(folder: Path) -> list[Recipe]:
    """What another study found: its finalists, best first, then the best of each pretext task.

    Only recipes travel. The scores of other data say nothing here, so the sampler is not told
    them: it learns from these recipes' own scores on these data.

    Raises:
        ValueError: `folder` is no study, or nothing in it has been judged.
    """
    rows = [row for row in read_rows(folder) if row.status in ("ok", "stopped") and row.judged]
    if not rows:
        raise ValueError(f"{folder} has no judged trial: there is nothing to start from")
    confirmed: dict[str, list[Row]] = {}
    for row in rows:
        if row.kind == "finalist":
            confirmed.setdefault(row.recipe.hash, []).append(row)
    means = {key: sum(r.score for r in runs) / len(runs) for key, runs in confirmed.items()}
    best = [confirmed[key][0].recipe for key in sorted(means, key=lambda key: -means[key])]
    trials = [row for row in rows if row.kind == "trial"]
    trials.sort(key=lambda row: (len(row.reports), row.score), reverse=True)
    first = {row.recipe.family: row.recipe for row in reversed(trials)}
    best += [first[family] for family in dict.fromkeys(row.recipe.family for row in trials)]
    return list({recipe.hash: recipe for recipe in best}.values())
