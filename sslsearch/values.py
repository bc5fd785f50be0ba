"""The frozen values that flow one way through the house: Recipe, Batch, Encoded, Loss, Report.

Shapes: B = samples of a batch, C = channels, N = tokens, D = token width, T = time steps.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml

if TYPE_CHECKING:
    import torch

Status = Literal["ok", "stopped", "nan", "collapsed", "oom", "timeout", "error"]

# What decides a trial's weights; the rest of a recipe (budget, tracking …) only says how to run it.
HASHED = ("data", "encoder", "pretext", "augment", "optim", "fidelity")


@dataclass(frozen=True)
class Recipe:
    """A space with nothing left open: plain nested mappings, every default written out.

    A part is written `{name: {knob: value}}`; `augment` holds several, applied in order.
    """

    body: dict[str, Any]

    def __getitem__(self, section: str) -> Any:
        return self.body[section]

    def part(self, kind: str) -> tuple[str, dict[str, Any]]:
        """The one part chosen for `kind` (encoder, pretext): its name and knobs."""
        ((name, knobs),) = self.body[kind].items()
        return name, knobs

    @property
    def family(self) -> str:
        """The pretext's name; a mix is named by its members: `simclr+mae`."""
        name, knobs = self.part("pretext")
        return "+".join(sorted(knobs)) if name == "mix_of" else name

    @property
    def hash(self) -> str:
        """Twelve hex digits over the sections that decide the weights; order counts in augment."""
        body = {key: self.body.get(key) for key in HASHED}
        body["augment"] = list((self.body.get("augment") or {}).items())
        text = json.dumps(body, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def to_yaml(self) -> str:
        """The recipe as a space without open questions."""
        return yaml.safe_dump(self.body, sort_keys=False, default_flow_style=None, width=100)

    def save(self, path: Path) -> None:
        """Write it as YAML, which `sslsearch.run` and `sslsearch.pretrain` read."""
        path.write_text(self.to_yaml())


@dataclass(frozen=True)
class InputSpec:
    """What an encoder must know of its input: the modality and its sizes.

    For series: sizes = {"channels": C, "length": T}; for images {"channels", "height", "width"},
    with the statistics `mean` and `std` of each channel over the training samples.
    """

    modality: str
    sizes: Mapping[str, Any]
    statistics: Mapping[str, Sequence[float]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        said: dict[str, Any] = {"modality": self.modality, "sizes": dict(self.sizes)}
        if self.statistics:
            said["statistics"] = {name: list(v) for name, v in self.statistics.items()}
        return said


@dataclass(frozen=True)
class Batch:
    """Samples on their way through augmentations into an encoder.

    For series: x is (B, C, T) float32, valid is (B, T) bool, False = padding or missing.
    For images: x is (B, C, H, W) float32 in 0..1, valid is (B, 1) bool, all True.
    """

    x: Any
    valid: torch.Tensor
    index: torch.Tensor  # (B,) int64: the samples' places in the store

    def with_x(self, x: Any, valid: torch.Tensor | None = None) -> Batch:
        """The same samples with other values (and, if given, other valid steps or tokens)."""
        return replace(self, x=x, valid=self.valid if valid is None else valid)

    def __len__(self) -> int:
        return int(self.index.shape[0])


@dataclass(frozen=True)
class Encoded:
    """What an encoder makes of a batch: one vector per token and one per sample."""

    tokens_BND: torch.Tensor
    pooled_BD: torch.Tensor  # its width is encoder.pooled_width, which may differ from tokens'
    valid_BN: torch.Tensor  # False = no information here (padding, missing or dropped)


@dataclass(frozen=True)
class Loss:
    """A pretext's loss: the scalar to descend, and its named terms for the log (detached)."""

    total: torch.Tensor
    parts: Mapping[str, torch.Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Scores:
    """What a probe saw: metric name -> value, a 95 % interval where one is known, its settings."""

    values: Mapping[str, float]
    low: Mapping[str, float] = field(default_factory=dict)
    high: Mapping[str, float] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """What was seen of a trial at a rung. Everything in it is plain numbers: it crosses processes.

    Attributes:
        rung: place in the ladder, from 0.
        samples_seen: samples trained on so far, counted over all workers.
        score: the selection score, higher is better; nan when status is not ok.
        scores: all probe metrics (`accuracy`, `log_loss`, …), watched metrics and health figures.
        low, high: 95 % interval of the score.
        losses: (samples_seen, loss) pairs since the last report.
        seconds: per stage (augment, train, probe, checkpoint …) since the last report.
    """

    rung: int
    samples_seen: int
    status: Status
    score: float
    scores: Mapping[str, float] = field(default_factory=dict)
    low: float = float("nan")
    high: float = float("nan")
    losses: tuple[tuple[int, float], ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    message: str = ""

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Report:
        """A report out of its JSON form (`vars(report)`)."""
        losses = tuple((int(at), float(loss)) for at, loss in values["losses"])
        return cls(**{**values, "losses": losses})
