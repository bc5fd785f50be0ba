"""A recipe as flat, readable names, the same in every study so that runs can be compared.

`pretext: {simclr: {temperature: 0.1}}` becomes `pretext = simclr` and
`pretext.simclr.temperature = 0.1`; the names are the paths that `--set` understands.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sslsearch.values import HASHED, Recipe

SHOWN = (*HASHED, "probe")  # the other sections say how a study is run, not what is trained
SECRET = re.compile(
    r"(password|passwd|secret|token|credential|api_?key|access_?key)", re.IGNORECASE
)


def recipe_params(recipe: Recipe) -> dict[str, str]:
    """Every knob of a recipe, and one param per choice that was made."""
    params: dict[str, str] = {}
    for section in SHOWN:
        body = recipe.body.get(section)
        if section == "augment":
            params["augment"] = "+".join(body) if body else "none"
            params |= _parts("augment", body)
        elif section == "pretext":
            name, knobs = recipe.part("pretext")
            params["pretext"] = recipe.family
            params |= _parts("pretext", knobs if name == "mix_of" else body)
        elif section == "data":
            params |= data_params(body)
        elif body is not None:
            params |= flatten({section: body})
    return params


def data_params(section: Mapping[str, Any] | None) -> dict[str, str]:
    """What is learnt from; of its columns those that are named."""
    body = dict(section or {})
    body["columns"] = {k: v for k, v in (body.get("columns") or {}).items() if v is not None}
    return flatten({"data": body})


def flatten(body: Mapping[str, Any]) -> dict[str, str]:
    """Any nested mapping as `a.b.c -> text`, without secrets."""
    params: dict[str, str] = {}
    for key, value in body.items():
        params |= _flat(str(key), value)
    return params


def scrub(text: str) -> str:
    """Text without the user and password, or the signature, of any address in it."""
    text = re.sub(r"(?<=://)[^/@\s'\"]+@", "", text)
    return re.sub(r"(://[^\s?'\"]+)\?[^\s'\",\]}]+", r"\1", text)


def _parts(path: str, parts: Mapping[str, Any] | None) -> dict[str, str]:
    params: dict[str, str] = {}
    for name, knobs in (parts or {}).items():
        params |= _flat(f"{path}.{name}", knobs or {}, knobs=True)
    return params


def _flat(path: str, value: Any, knobs: bool = False) -> dict[str, str]:
    """`knobs` says that the mapping is a part's knobs, so one that is alone is still no choice."""
    if not isinstance(value, Mapping):
        return {path: "***" if SECRET.search(path) else scrub(_text(value))}
    if not knobs and len(value) == 1 and isinstance(next(iter(value.values())), Mapping):
        return {path: str(next(iter(value))), **_parts(path, value)}  # {name: {knob: value}}
    params: dict[str, str] = {}
    for key, item in value.items():
        params |= _flat(f"{path}.{key}", item)
    return params


def _text(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        return ", ".join(_text(item) for item in value)
    return str(value)
