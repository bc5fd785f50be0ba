"""The folder `best/`: a recipe, its encoder's weights and its fitted probe; saved and loaded whole.

recipe.yaml          what to train; `sslsearch.pretrain` runs it
encoder.safetensors  the weights
probe.json           the fitted probe, preprocessing, classes and scores
README.md            the same for people

No pickle: nothing that is loaded can run code. Loading needs neither Ray, Optuna nor MLflow.
"""

from __future__ import annotations

import hashlib
import json
import math
import platform
import shutil
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, TypedDict, Unpack

import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as serialised

import sslsearch
from sslsearch.encoders.base import Encoder
from sslsearch.probe.base import FittedProbe
from sslsearch.train import hub
from sslsearch.train.build import build_encoder
from sslsearch.train.card import card
from sslsearch.train.folder import swapped
from sslsearch.train.trained import TrainedEncoder
from sslsearch.values import InputSpec, Recipe

SCHEMA = 1  # of probe.json; raised when an older sslsearch could not read a newer folder
RECIPE, WEIGHTS, PROBE, CARD = FILES = (
    "recipe.yaml",
    "encoder.safetensors",
    "probe.json",
    "README.md",
)
LIBRARIES = ("torch", "numpy", "pyarrow", "scikit-learn", "safetensors")
AGAIN = "export it again from its study: python -m sslsearch.export STUDY"


class Parts(TypedDict):
    """What a bundle is made of.

    weights: a safetensors file with the encoder's state dict, or the state dict.
    scores: plain values, kept as they are (nan becomes null). The README shows `metric`,
        `judge_by`, `verdict`, `winner`, `default`, `exported`, `floors` and the exported run's own
        `run_score` and `run_test`, where they are there.
    """

    recipe: Recipe
    weights: Path | Mapping[str, torch.Tensor]
    probe: FittedProbe | None
    spec: InputSpec
    preprocess: Mapping[str, Any]
    classes: list[str]
    scores: Mapping[str, Any]


def save(to: Path, **parts: Unpack[Parts]) -> None:
    """Write the folder `to`, replacing an older bundle there; a reader never finds half of one."""
    into(to, lambda folder: fill(folder, **parts))


def fill(
    folder: Path,
    *,
    recipe: Recipe,
    weights: Path | Mapping[str, torch.Tensor],
    probe: FittedProbe | None,
    spec: InputSpec,
    preprocess: Mapping[str, Any],
    classes: list[str],
    scores: Mapping[str, Any],
) -> None:
    """As `save`, into a folder that nobody reads yet."""
    recipe.save(folder / RECIPE)
    if isinstance(weights, Path):
        shutil.copyfile(weights, folder / WEIGHTS)
    else:
        tensors = {k: v.detach().cpu().contiguous().clone() for k, v in weights.items()}
        (folder / WEIGHTS).write_bytes(serialised(tensors))  # save_file hides it from others
    libraries = {name: metadata.version(name) for name in LIBRARIES}
    about = {
        "schema": SCHEMA,
        "sslsearch": sslsearch.__version__,
        "python": platform.python_version(),
        "libraries": libraries,
        "recipe_hash": recipe.hash,
        "weights_sha256": _digest(folder / WEIGHTS),
        "spec": spec.to_dict(),
        "classes": classes,
        "preprocess": dict(preprocess),
        "scores": _plain(scores),
        "probe": None if probe is None else probe.to_dict(),
    }
    text = json.dumps(about, allow_nan=False, indent=1)
    (folder / PROBE).write_text(text, encoding="utf-8")
    (folder / CARD).write_text(card(recipe, about), encoding="utf-8")


def copy(source: Path, to: Path) -> TrainedEncoder:
    """Copy a bundle, proven to load before and after; returns it."""
    loaded = load(source)

    def write(folder: Path) -> None:
        for name in FILES:
            if (source / name).is_file():  # people may have removed the README
                shutil.copyfile(source / name, folder / name)

    into(to, write)
    return loaded


def load(path: str | Path, device: str | torch.device = "cpu") -> TrainedEncoder:
    """The encoder of a bundle, ready to embed. ValueError says what is wrong with the folder.

    path: a folder in either layout, or `hf://owner/name` (`hf://owner/name@revision`) on the
    Hugging Face Hub.
    """
    folder = hub.fetched(path) if hub.is_address(path) else Path(path)
    hubs = (folder / hub.CONFIG).is_file()
    weights = folder / (hub.WEIGHTS if hubs else WEIGHTS)
    others = hub.OTHERS if hubs else ()
    wanted = (RECIPE, weights.name, PROBE, *others)
    missing = [name for name in wanted if not (folder / name).is_file()]
    if missing:
        inside = folder / "best"
        hint = f"; did you mean {inside}?" if (inside / PROBE).is_file() else ""
        what = f"has no {', '.join(missing)}" if folder.is_dir() else "is not a folder"
        raise ValueError(f"{folder} {what}: it is not an exported encoder{hint}")
    about = _about(folder / PROBE)
    for name in others:
        about |= _parsed(json.loads, folder / name, json.JSONDecodeError)
    recipe = Recipe(_parsed(yaml.safe_load, folder / RECIPE, yaml.YAMLError))
    spec = InputSpec(**about["spec"])
    try:
        encoder = build_encoder(recipe, spec)
    except (KeyError, ValueError) as error:
        raise ValueError(f"{folder / RECIPE}: no encoder can be built of it: {error}") from error
    _load_weights(encoder, weights, about["weights_sha256"])
    return TrainedEncoder(
        encoder=encoder.to(device).eval(),
        recipe=recipe,
        classes=about["classes"],
        scores=about["scores"],
        spec=spec,
        preprocess=about["preprocess"],
        probe=None if about["probe"] is None else FittedProbe.from_dict(about["probe"]),
    )


def into(to: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill the folder `to` with a bundle, of either layout, that loads."""

    def proven(folder: Path) -> None:
        write(folder)
        load(folder)

    swapped(to, proven, {*FILES, *hub.FILES}, mark=PROBE)


def recipe_hash(folder: Path) -> str | None:
    """Whose weights lie in `folder`; None where there is no bundle."""
    return str(_about(folder / PROBE)["recipe_hash"]) if (folder / PROBE).is_file() else None


def _about(path: Path) -> dict[str, Any]:
    about = _parsed(json.loads, path, json.JSONDecodeError)
    schema = about.get("schema")
    if not isinstance(schema, int):
        raise ValueError(f"{path} was not written by sslsearch: {AGAIN}")
    if schema > SCHEMA:
        raise ValueError(
            f"{path} was written by sslsearch {about.get('sslsearch')} (schema {schema}); this is "
            f"{sslsearch.__version__}, which reads up to schema {SCHEMA}: upgrade sslsearch"
        )
    return about


def _parsed(parse: Callable[[str], Any], path: Path, fault: type[Exception]) -> dict[str, Any]:
    try:
        found = parse(path.read_text(encoding="utf-8"))
    except (fault, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is damaged ({error}): {AGAIN}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path} is damaged (no mapping): {AGAIN}")
    return found


def _load_weights(encoder: Encoder, path: Path, sha256: str) -> None:
    try:
        encoder.load_state_dict(load_file(path))
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged ({error}): {AGAIN}") from error
    except RuntimeError as error:
        raise ValueError(
            f"{path} holds the weights of another encoder than {path.with_name(RECIPE)} describes: "
            f"{AGAIN}"
        ) from error
    if _digest(path) != sha256:
        raise ValueError(f"{path} is not the file its probe was fitted with (sha256): {AGAIN}")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _plain(value: Any) -> Any:
    """As JSON can hold it: numpy's numbers as numbers, nan and infinity as null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value
