"""A case: one method on one data set, with settings that were found by trying a few."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sslsearch import registry
from sslsearch.probe import base
from sslsearch.values import Recipe


@dataclass(frozen=True)
class Case:
    """One method on one data set.

    Attributes:
        data: the section of a recipe; a file's place starts at the data folder.
        seen: samples to pretrain on.
        probe: the section of a recipe; `metric` is what it is asked for, higher = better.
        seeds: how often to measure; each draws weights, and with `redraw` its own labels too.
        lost: measured and shown, though no better than untrained.
        note: what was tried, where it lost.
    """

    method: str
    knobs: dict[str, Any]
    data: dict[str, Any]
    encoder: dict[str, Any]
    augment: dict[str, Any] = field(default_factory=dict)
    seen: int = 2400
    lr: float = 3e-3
    batch: int = 16
    weight_decay: float = 1e-4
    probe: dict[str, Any] = field(default_factory=lambda: {"name": "linear"})
    metric: str = "accuracy"
    seeds: int = 3
    redraw: bool = False
    lost: bool = False
    note: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        """Method, modality, data set."""
        scheme, _, place = self.data["source"].partition(":")
        name = place if scheme in ("aeon", "sklearn") else Path(place).stem
        return self.method, self.data["modality"], name

    @property
    def file(self) -> Path | None:
        """Where its data lie below the data folder; None where a dependency ships them."""
        place = Path(self.data["source"].partition(":")[2])
        return place if place.suffix else None

    def recipe(self) -> Recipe:
        optim = {"batch_size": self.batch, "lr": self.lr, "weight_decay": self.weight_decay}
        part = registry.get("probe", self.probe["name"]).make
        assert issubclass(part, base.Probe)  # type: ignore[arg-type]
        return Recipe(
            {
                "data": self.data,
                "encoder": self.encoder,
                "pretext": {self.method: self.knobs},
                "augment": self.augment,
                "optim": {**optim, "warmup": 0.05, "lr_scaling": "sqrt"},
                "probe": {**self.probe, "watch": [], "judge_by": part.ranks[0]},
            }
        )
