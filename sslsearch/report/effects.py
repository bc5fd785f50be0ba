"""What a part did: trials with it against trials without it, overall and in each pretext family.

Scores of different rungs do not compare, and those who reached the last are a chosen few. So every
trial counts, at its own last rung, levelled by what other trials gained from there on (`levelled`).
The sampler prefers what works, so an effect is a hint and no proof.

Overall, trials are compared within their family and the differences averaged, each weighing n1 n0 /
(n1 + n0): that is the coefficient of least squares with a level for each family. So an augmentation
that the sampler tried with a good pretext mostly does not get the pretext's credit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

NAN = math.nan


@dataclass(frozen=True)
class Trial:
    """One trial as it is compared."""

    family: str
    parts: frozenset[str]
    score: float


@dataclass(frozen=True)
class Effect:
    """Trials with a part against trials without it.

    Attributes:
        difference: mean with - mean without, within families; nan where none has both.
        low, high: its 95 % interval (Student's t, one variance within all groups); nan where
            nothing is left to tell a variance by.
        by_family: the same within each family that has trials with and without it.
    """

    name: str
    trials_with: int
    trials_without: int
    mean_with: float
    mean_without: float
    difference: float = NAN
    low: float = NAN
    high: float = NAN
    by_family: Mapping[str, Effect] = field(default_factory=dict)


def levelled(scores: Sequence[Mapping[int, float]]) -> list[float]:
    """Each trial's score at its last rung, plus what others gained from there to the deepest rung:
    from rung to rung the mean gain of the trials that were seen at both. nan without any score.

    scores: of each trial, by rung.
    """
    known = [{rung: y for rung, y in one.items() if math.isfinite(y)} for one in scores]
    deepest = max((rung for one in known for rung in one), default=0)
    to_come = [0.0] * (deepest + 1)
    for rung in range(deepest - 1, -1, -1):
        gains = [one[rung + 1] - one[rung] for one in known if rung in one and rung + 1 in one]
        to_come[rung] = to_come[rung + 1] + (float(np.mean(gains)) if gains else 0.0)
    return [one[max(one)] + to_come[max(one)] if one else NAN for one in known]


def effects(trials: Sequence[Trial], families: bool = True) -> list[Effect]:
    """Of every part that some trials have and others have not, the best first."""
    names = sorted({name for trial in trials for name in trial.parts})
    found = [one for name in names if (one := effect(name, trials, families)) is not None]
    return sorted(found, key=lambda one: -np.nan_to_num(one.difference, nan=-math.inf))


def effect(name: str, trials: Sequence[Trial], families: bool = True) -> Effect | None:
    """Of one part; None where all trials have it, or none."""
    inside = [trial.score for trial in trials if name in trial.parts]
    outside = [trial.score for trial in trials if name not in trial.parts]
    if not inside or not outside:
        return None
    strata = [
        [
            [t.score for t in trials if t.family == family and (name in t.parts) is side]
            for side in (True, False)
        ]
        for family in sorted({trial.family for trial in trials})
    ]
    by_family: dict[str, Effect] = {}
    for family in sorted({trial.family for trial in trials}) if families else ():
        own = effect(name, [trial for trial in trials if trial.family == family], families=False)
        by_family |= {family: own} if own is not None else {}
    means = float(np.mean(inside)), float(np.mean(outside))
    return Effect(name, len(inside), len(outside), *means, *_pooled(strata), by_family)


def levels(trials: Sequence[Trial]) -> list[Effect]:
    """Of choices of which each trial has one (pretext, encoder): each against all others."""
    whole = [Trial("", trial.parts, trial.score) for trial in trials]
    return effects(whole, families=False)


def _pooled(strata: Sequence[Sequence[Sequence[float]]]) -> tuple[float, float, float]:
    """The difference of two sides averaged over strata, with its 95 % interval."""
    both = [(np.array(a), np.array(b)) for a, b in strata if a and b]
    if not both:
        return NAN, NAN, NAN
    weights = [len(a) * len(b) / (len(a) + len(b)) for a, b in both]
    mean = float(np.average([a.mean() - b.mean() for a, b in both], weights=weights))
    freedom = sum(len(a) + len(b) - 2 for a, b in both)
    squares = sum(((a - a.mean()) ** 2).sum() + ((b - b.mean()) ** 2).sum() for a, b in both)
    if freedom < 1 or not squares:
        return mean, NAN, NAN
    from scipy.stats import t  # slow to import, and only here

    half = float(t.ppf(0.975, freedom)) * math.sqrt(squares / freedom / sum(weights))
    return mean, mean - half, mean + half
