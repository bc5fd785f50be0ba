"""Made-up studies whose lessons are known."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from sslsearch.report.answers import Axis, Lessons, Told

KIND = Axis("pretext.kind", "choice", "simclr", options=("simclr", "mae", "byol"))
TEMPERATURE = Axis(
    "pretext.simclr.temperature", "real", 0.5, 0.05, 1.0, True,
    condition=[("pretext.kind", "simclr")],
)  # fmt: skip
ON = Axis("augment.jitter.on", "choice", True, options=(False, True))
SIGMA = Axis(
    "augment.jitter.sigma", "real", 0.03, 0.01, 0.5, True,
    condition=[("augment.jitter.on", True)],
)  # fmt: skip
BATCH = Axis("optim.batch_size", "choice", 32, options=(16, 32, 64))
AXES = [KIND, TEMPERATURE, ON, SIGMA, BATCH]


def told(name: str, family: str, scores: list[float | None], **answers: Any) -> Told:
    said = {key.replace("__", "."): value for key, value in answers.items()}
    status = "ok" if len(scores) == 3 else "stopped"
    return Told(name, status, "sampler", family, {"pretext.kind": family, **said}, scores)


def lessons(trials: list[Told], axes: list[Axis] = AXES) -> Lessons:
    asked = {"labels": "5 per class", "eta": 3, "seeds": 3, "top": 2, "modality": "timeseries"}
    return Lessons(axes=axes, trials=trials, rungs=[100, 300, 900], asked=asked)


def random_trials(n: int, seed: int = 0, peak: float = 0.5) -> list[Told]:
    """Scores fall with the distance of temperature and sigma from `peak` of their ranges."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(n):
        family, place, batch = (
            str(rng.choice(["simclr", "mae"])),
            rng.random(),
            rng.choice([16, 32]),
        )
        answers = {"augment__jitter__on": True, "augment__jitter__sigma": SIGMA.at(place)}
        answers["optim__batch_size"] = int(batch)
        score = 0.6 - 0.3 * abs(place - peak) - 0.2 * (family == "mae") + 0.01 * rng.normal()
        if family == "simclr":
            answers["pretext__simclr__temperature"] = TEMPERATURE.at(rng.random())
        made.append(told(f"t{number:04d}", family, [score, score, score], **answers))
    return made


def write(folder: Path, known: Lessons) -> None:
    """answers.json as the search writes it."""
    body = {
        "questions": [vars(axis) for axis in known.axes],
        "trials": [vars(one) for one in known.trials],
        "rungs": list(known.rungs),
        "importance": list(known.importance),
        "within": dict(known.within),
        "default": known.default,
        "recipes": dict(known.recipes),
        "asked": dict(known.asked),
    }
    (folder / "answers.json").write_text(json.dumps(body))
