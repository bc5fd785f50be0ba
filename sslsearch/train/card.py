"""The README of an exported encoder: what it is, how good it is against what, how to use it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sslsearch import registry
from sslsearch.probe.metrics import as_score
from sslsearch.values import Recipe


def card(recipe: Recipe, about: Mapping[str, Any]) -> str:
    """Markdown. `about` is what probe.json holds."""
    scores, spec = about["scores"], about["spec"]
    verdict = f"\n{scores['verdict']}\n" if scores.get("verdict") else ""
    return f"""# {recipe["name"]}: a self-supervised encoder

Trained by sslsearch {about["sslsearch"]} without labels
on {recipe["data"]["source"]} ({spec["modality"]}; {_sizes(spec)});
judged by a {recipe["probe"]["name"]} probe{_classes(about["classes"])}.

## Recipe `{about["recipe_hash"]}`

{in_words(recipe)}

`recipe.yaml` says it in full and runs: `python -m sslsearch.pretrain recipe.yaml`.

## Scores
{verdict}
{_table(scores)}

## Use

```python
import sslsearch
trained = sslsearch.load("this/folder")                    # needs no cluster
raw = trained.read("parquet:my.parquet"{_columns(recipe)})  # or arrays
{_asked(about)}
```

A whole file, from the command line:

```
python -m sslsearch.embed this/folder parquet:my.parquet --to embeddings.parquet
```

## Licence

The weights were learnt from {recipe["data"]["source"]}, whose licence sslsearch does not know: what
that licence says of derived works applies to them.
"""


def _sizes(spec: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in spec["sizes"].items())


def _classes(names: Sequence[str]) -> str:
    said = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
    return f" of {len(names)} classes ({said})" if names else ""


def _asked(about: Mapping[str, Any]) -> str:
    """What the encoder is asked for: embeddings, and classes where its probe tells them."""
    asked = {"embeddings = trained.embed(raw)": "(samples, features) float32"}
    probe = about["probe"]  # None without labels
    if probe is not None and "classes" in registry.get("probe", probe["probe"]).gives:
        asked["names = trained.predict(raw)"] = "the probe's classes"
    return "\n".join(f"{code:<58} # {what}" for code, what in asked.items())


def _columns(recipe: Recipe) -> str:
    """The columns that training was told of, as the second argument of `read`."""
    columns = recipe["data"].get("columns") or {}
    told = {role: name for role, name in columns.items() if name is not None}
    return f", {json.dumps(told)}" if told else ""


def in_words(recipe: Recipe) -> str:
    """The recipe as a list of sentences."""
    optim, augment = recipe["optim"], recipe["augment"] or {}
    steps = " → ".join(_part(name, knobs) for name, knobs in augment.items()) or "none"
    pretext = recipe["pretext"].get("mix_of", recipe["pretext"])
    return "\n".join(
        (
            f"- pretext: {' + '.join(_part(name, knobs) for name, knobs in pretext.items())}",
            f"- augmentations, in this order: {steps}",
            f"- encoder: {_part(*recipe.part('encoder'))}",
            f"- batches of {optim['batch_size']} samples, {recipe['fidelity']['last']:,} samples "
            f"seen, learning rate {optim['lr']:.3g}, weight decay {optim['weight_decay']:.3g}",
        )
    )


def _part(name: str, knobs: Mapping[str, Any] | None) -> str:
    said = ", ".join(f"{key} {_value(value)}" for key, value in (knobs or {}).items())
    return f"{name} ({said})" if said else name


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, Mapping):
        return " + ".join(_part(name, knobs) for name, knobs in value.items())
    return str(value)


def _table(scores: Mapping[str, Any]) -> str:
    """Rows: these very weights, the recipe over seeds, the default recipe, the floors."""
    metric = str(scores.get("metric", "score")).removeprefix("probe/")
    judged = "validation" if scores.get("validation_judges") else "cross-validated"
    rows = [
        f"| | {as_score(scores.get('judge_by', 'score'))}, {judged} | {metric}, test split |",
        "|---|---|---|",
        _row("**these weights** (one run)", scores, "run_score", "run_test"),
    ]
    winner, default = scores.get("winner"), scores.get("default")
    if winner and winner["name"] == scores.get("exported"):
        rows.append(_row(f"this recipe, {winner['seeds']} seeds", winner))
    if default:
        name = "this, the default recipe" if len(rows) == 3 else "the default recipe"
        rows.append(_row(f"{name}, {default['seeds']} seeds", default))
    floors = scores.get("floors") or {}
    rows += [_row(f"floor: {name}", floor) for name, floor in floors.items()]
    notes = "\n\nIn brackets: 95 % intervals." if any("[" in row for row in rows) else ""
    if not floors:
        notes += "\n\nNo floors were measured: how far an untrained encoder gets is not known here."
    return "\n".join(rows) + notes


def _row(name: str, of: Mapping[str, Any], score: str = "score", test: str = "test") -> str:
    return f"| {name} | {_interval(of, score)} | {_interval(of, test)} |"


def _interval(of: Mapping[str, Any], key: str) -> str:
    value, low, high = (of.get(key + end) for end in ("", "_low", "_high"))
    if value is None:
        return "–"
    around = "" if low is None or high is None else f" [{low:.3f}, {high:.3f}]"
    return f"{value:.3f}{around}"
