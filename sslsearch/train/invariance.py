"""What an encoder has become blind to: how like a sample's view its embedding stays.

For each augmentation of the modality, at growing strength: the cosine similarity of a sample's
embedding with that of its view. Embeddings are taken from their mean over the samples, so that two
different samples are alike by about 0, whatever the encoder adds to all of them.

Shapes: B = samples, D = pooled width.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from pydantic.fields import FieldInfo

from sslsearch import registry
from sslsearch.augment.compose import Compose
from sslsearch.data.samples import Samples
from sslsearch.encoders.base import Encoder
from sslsearch.registry import Identity, Part, marker
from sslsearch.values import Batch

SAMPLES, LEAST = 48, 8  # of the pool, evenly spaced; of a slow encoder fewer
STRENGTHS = (0.25, 0.5, 1.0, 1.5, 2.0)  # 0 = nothing changes, 1 = the augmentation's default
DRAWS = 2  # views of each sample
NEAR = 0.1  # how near a limit that is not legal itself is gone, as a share of the way there
P = "p"  # the knob that says how often; always, where others say how much


@dataclass(frozen=True)
class Level:
    """An augmentation at one strength: knobs, and each encoder's mean similarity with the 95 %
    interval of that mean over the samples."""

    strength: float
    knobs: Mapping[str, Any]
    alike: Mapping[str, tuple[float, float, float]]


def levels(part: Part) -> list[tuple[float, dict[str, Any]]]:
    """Knobs of growing strength, from the value that changes nothing through the default and, as
    far as it is legal, beyond. One level where no knob says how much."""
    fields = part.knobs.model_fields
    moved = {n: i for n, i in fields.items() if marker(i, Identity) is not None}
    how_much = {n: i for n, i in moved.items() if n != P} or moved
    if not how_much:
        return [(1.0, {})]
    always = {P: 1.0} if P in moved and P not in how_much else {}
    found: dict[str, tuple[float, dict[str, Any]]] = {}
    for strength in STRENGTHS:
        knobs = {name: _at(info, strength) for name, info in how_much.items()}
        name, info = next(iter(how_much.items()))
        reached = strength_of(info, knobs[name])
        found.setdefault(str(knobs), (reached, {**always, **knobs}))
    return sorted(found.values(), key=lambda level: level[0])


def strength_of(info: FieldInfo, value: float) -> float:
    """0 where the knob changes nothing, 1 at its default."""
    start = marker(info, Identity).value
    whole = info.default - start
    return round(float((value - start) / whole), 6) if whole else 1.0


def _at(info: FieldInfo, strength: float) -> float | int:
    start, default = marker(info, Identity).value, info.default
    if strength == 1.0:
        return default  # type: ignore[no-any-return]
    value = start + strength * (default - start)
    for law in info.metadata:
        for word, side in (("ge", 1), ("gt", 1), ("le", -1), ("lt", -1)):
            limit = getattr(law, word, None)
            if limit is not None and side * value <= side * limit:
                open_end = NEAR * abs(default - limit) if word in ("gt", "lt") else 0.0
                value = limit + side * open_end
    return max(1, round(value)) if isinstance(default, int) else float(value)


@torch.no_grad()
def invariance(
    encoders: Mapping[str, Encoder],
    samples: Samples,
    names: Sequence[str],
    seconds: float,
    seed: int = 0,
) -> tuple[dict[str, list[Level]], dict[str, float]]:
    """Of each augmentation its levels; and each encoder's similarity of two different samples.

    Args:
        encoders: by name, on the CPU; each sees the same views.
        names: augmentations; those that are not done after `seconds` are left out.
    """
    began = time.monotonic()
    batch = _some(samples, SAMPLES)
    origins = {name: _pooled(encoder, batch) for name, encoder in encoders.items()}
    whole = (time.monotonic() - began) * len(names) * len(STRENGTHS) * DRAWS
    if whole > seconds:
        batch = _some(samples, max(LEAST, int(SAMPLES * seconds / whole)))
        origins = {name: _pooled(encoder, batch) for name, encoder in encoders.items()}
    floor = {name: _others(x_BD - x_BD.mean(0)) for name, x_BD in origins.items()}
    found: dict[str, list[Level]] = {}
    for name in names:
        known: list[Level] = []
        for strength, knobs in levels(registry.get("augment", name)):
            if time.monotonic() - began > seconds:
                return found, floor
            rng, compose = torch.Generator().manual_seed(seed), Compose({name: knobs})
            views = [compose(batch, rng) for _ in range(DRAWS)]
            alike = {
                one: _alike([_pooled(encoder, view) for view in views], origins[one])
                for one, encoder in encoders.items()
            }
            known.append(Level(strength, knobs, alike))
        found[name] = known
    return found, floor


def _some(samples: Samples, most: int) -> Batch:
    """Evenly spaced samples of the pool."""
    n = min(most, len(samples.pool))
    return samples.batch(
        samples.pool[torch.linspace(0, len(samples.pool) - 1, n).round().long()], "cpu"
    )


def _pooled(encoder: Encoder, batch: Batch) -> torch.Tensor:
    encoder.eval()
    pooled_BD: torch.Tensor = encoder(batch).pooled_BD.float()
    return pooled_BD


def _alike(views: list[torch.Tensor], x_BD: torch.Tensor) -> tuple[float, float, float]:
    middle_D = x_BD.mean(0)
    cosine = torch.nn.functional.cosine_similarity
    each_B = torch.stack([cosine(v_BD - middle_D, x_BD - middle_D) for v_BD in views]).mean(0)
    mean = float(each_B.mean())
    half = 1.96 * float(each_B.std(correction=1)) / len(each_B) ** 0.5 if len(each_B) > 1 else 0.0
    return mean, mean - half, mean + half


def _others(x_BD: torch.Tensor) -> float:
    """The mean similarity of two different samples."""
    unit_BD = torch.nn.functional.normalize(x_BD, dim=1)
    n = len(unit_BD)
    total = float((unit_BD @ unit_BD.T).sum() - unit_BD.square().sum())
    return total / (n * (n - 1)) if n > 1 else 0.0
