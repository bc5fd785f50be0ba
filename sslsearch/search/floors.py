"""The floors of a study, computed beside the slots in a process of their own.

A floor turns samples into features; the driver judges them with the same probe as every trial. One
that predicts is judged by what it predicts.
They are kept in the study folder, so a resumed study does not compute them again.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import ray
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from sslsearch import registry
from sslsearch.data.prepare import Prepared
from sslsearch.data.samples import Samples
from sslsearch.probe.base import build, rung_scores
from sslsearch.probe.metrics import sign
from sslsearch.search.board import Line
from sslsearch.search.confirm import Contender
from sslsearch.search.shelf import Shelf, shelf_of_worker
from sslsearch.space import Space
from sslsearch.values import Recipe, Scores

RESTARTS = 3  # of the floors' actor, should it or its node die: what is done lies on disk
NICE = 5  # floors yield to the slots; they are wanted at the end only
ALWAYS = "majority"  # costs nothing, and no score means anything without it


class FloorRunner:
    """Computes floors one after another. An actor."""

    def __init__(
        self, train: Any, test: Any, folder: str, probe: dict[str, Any], storage: str | None = None
    ) -> None:
        os.nice(NICE)
        whole, self.test = Samples.from_table(train), Samples.from_table(test)
        self.probe = build(probe)
        self.train = whole.showing(self.probe.rows(whole))
        self.shelf = shelf_of_worker(folder, storage)

    def run(self, name: str, seed: int, encoder: dict[str, Any], key: str) -> str:
        """Compute one floor, unless it lies there already; returns the name of its features."""
        torch.set_num_threads(1)  # again each time: numba's threads raise it
        file = f"floors/{name}-{key}-s{seed}.safetensors"
        path = self.shelf.fetch(file)
        if not path.exists():
            floor = registry.get("floor", name)
            eyes = (self.probe,) if "probe" in signature(floor.make).parameters else ()
            made = floor.bind({})(self.train, self.test, seed, encoder, *eyes)
            path.parent.mkdir(parents=True, exist_ok=True)
            tensors = {
                "train": torch.as_tensor(made.train_ND).float().contiguous(),
                "test": torch.as_tensor(made.test_ND).float().contiguous(),
            }
            part = path.with_suffix(".part")
            about = {"sees_labels": made.sees_labels, "predicts": made.predicts}
            save_file(tensors, part, metadata={k: json.dumps(v) for k, v in about.items()})
            part.replace(path)
            self.shelf.put(file)
        return file


class Floors:
    """The floors of one study: started first, collected at the end.

    Args:
        encoder: the encoder choice that floors with an encoder use until a winner is known.
        storage: through which features come here, None if the folder is shared.
    """

    def __init__(
        self,
        space: Space,
        encoder: dict[str, Any],
        data: Prepared,
        folder: Path,
        storage: str | None = None,
    ) -> None:
        self.space, self.encoder, self.shelf = space, encoder, Shelf(folder, storage)
        self.storage = storage
        self.probe = build(space.probe.model_dump())
        samples = Samples.from_table(data.train)
        samples = samples.showing(self.probe.rows(samples))
        self.truth = self.probe.truth(samples, samples.labelled, samples)
        self.judging = samples.judging
        self.classes = np.unique(samples.labels_N[samples.labelled].numpy()).tolist()
        self.groups = None if samples.groups_N is None else samples.groups_N[samples.labelled]
        gives = registry.get("probe", space.probe.name).gives
        always = [ALWAYS] if registry.get("floor", ALWAYS).needs <= gives else []
        self.names = list(dict.fromkeys([*always, *space.probe.against]))
        self.refs: dict[str, list[Any]] = {}  # by floor, what its seeds will have written
        self.asked: dict[str, dict[str, Any]] = {}  # by floor, the encoder

    def place(self, train: Any, test: Any) -> None:
        """Say where the samples lie in Ray's object store."""
        self.tables = (train, test)

    def start(self) -> None:
        """Begin, once: at low priority and asking for no CPU, beside the slots.

        Called when the slots are up: a floor's imports and compilation must not slow their start.
        """
        if not self.refs:
            self._start(dict.fromkeys(self.names, self.encoder))

    def _start(self, asked: dict[str, dict[str, Any]]) -> None:
        """An actor of its own, asked for floors by name, each of an encoder."""
        probe = self.space.probe.model_dump()
        self.runner = ray.remote(num_cpus=0)(FloorRunner).remote(
            *self.tables, str(self.shelf.folder), probe, self.storage
        )
        for name, encoder in asked.items():
            self._begin(name, encoder)

    def _begin(self, name: str, encoder: dict[str, Any]) -> None:
        self.asked[name] = encoder
        seeded = "random" in registry.get("floor", name).traits
        key = Recipe({"encoder": encoder, "augment": {}}).hash[:6]
        seeds = range(self.space.confirm.seeds if seeded else 1)
        self.refs[name] = [self.runner.run.remote(name, seed, encoder, key) for seed in seeds]

    def _files(self, name: str) -> list[Path]:
        """Of each seed, once they are there; where the actor has died another goes on."""
        for death in range(RESTARTS + 1):
            try:
                return [self.shelf.fetch(file) for file in ray.get(self.refs[name])]
            except ray.exceptions.RayActorError:
                if death == RESTARTS:
                    raise
                self._start(dict(self.asked))
        raise AssertionError("the last death is raised")

    def collect(self, winning: dict[str, Any]) -> Iterator[tuple[Contender, Line]]:
        """Wait for each floor and judge it; the untrained one is that of the winning encoder."""
        self.start()
        if winning != self.encoder and "untrained" in self.refs:
            self._begin("untrained", winning)
        for name in self.names:
            runs = {path.stem: path for path in self._files(name)}
            scored = [s for s in map(self._score, runs.values()) if s is not None]
            mean = np.mean(scored, axis=0) if scored else np.full(3, math.nan)
            predicts = all(_about(path, "predicts") for path in runs.values())
            contender = Contender(name, "floor", None, runs, tuple(s[0] for s in scored), predicts)
            score, low, high = (float(value) for value in mean)
            yield contender, Line("floor", name, "ok", score, low, high)

    def _score(self, path: Path) -> tuple[float, float, float] | None:
        """(score, low, high), cross-validated; None for a floor that was fitted on the labels."""
        if _about(path, "sees_labels"):
            return None
        scores = self._cross_validated(path)
        metric = self.space.probe.judge_by
        better = sign(metric)
        sides = (scores.low.get(metric, math.nan), scores.high.get(metric, math.nan))
        low, high = sorted(better * side for side in sides)
        return better * scores.values[metric], low, high

    def _cross_validated(self, path: Path) -> Scores:
        """By the probe that judges the trials, or of what the floor itself has predicted."""
        train = load_file(path)["train"]
        if _about(path, "predicts"):
            shown = slice(None) if self.judging is None else self.judging
            groups = None if self.groups is None else self.groups[shown]
            return self.probe.taken(self.classes).score(train[shown], self.truth[shown], groups)
        return rung_scores(self.probe, train, self.truth, self.groups, self.judging)


def _about(path: Path, word: str) -> bool:
    """What a floor said of its features; a word that an older file has not is false."""
    with safe_open(path, framework="pt") as file:
        return bool(json.loads(file.metadata().get(word, "false")))
