"""What a rung says of an encoder: probe scores, watched metrics, health."""

from __future__ import annotations

import math
from typing import Any

import torch

from sslsearch import registry
from sslsearch.data.samples import Samples
from sslsearch.encoders.base import Encoder
from sslsearch.pretext.base import Pretext
from sslsearch.probe.base import build
from sslsearch.probe.health import collapsed, health
from sslsearch.probe.metrics import sign
from sslsearch.train.embed import features
from sslsearch.values import Recipe, Report, Scores

WATCHED_POOL = 512  # pool samples on which label-free metrics are computed, the same every time


class Judge:
    """The probe of one recipe on one set of samples."""

    def __init__(self, recipe: Recipe, samples: Samples, device: torch.device) -> None:
        probe = recipe["probe"]
        self.device = device
        self.judge_by: str = probe["judge_by"]
        self.probe = build(probe)
        self.samples = samples = samples.showing(self.probe.rows(samples))
        self.watches = {name: registry.get("watch", name).bind({}) for name in probe["watch"]}
        rng = torch.Generator().manual_seed(0)
        chosen_M = torch.randperm(len(samples.pool), generator=rng)[:WATCHED_POOL].sort().values
        self.pool_M = samples.pool[chosen_M]
        self.labels = samples.labels_N[samples.labelled]
        self.truth = self.probe.truth(samples, samples.labelled, samples)
        self.groups = None if samples.groups_N is None else samples.groups_N[samples.labelled]

    def report(self, encoder: Encoder, pretext: Pretext) -> Report:
        """Scores of the encoder as it stands. The caller fills in rung, samples and seconds."""
        pool_MD = features(encoder, self.samples, self.pool_M, self.device)
        if not torch.isfinite(pool_MD).all():
            return Report(0, 0, "nan", math.nan, message="features are not finite")
        reason = collapsed(pool_MD) or pretext.collapsed(pool_MD.to(self.device))
        figures = {f"health/{k}": v for k, v in health(pool_MD).items()} | cost(encoder)
        if reason:
            return Report(0, 0, "collapsed", math.nan, scores=figures, message=reason)
        shown = self.samples.labelled
        seen_ND = features(encoder, self.samples, shown, self.device, self.probe)
        scores = self.probe.examine(
            encoder, self.samples, seen_ND, self.truth, self.groups, self.device
        )
        return self.scored(scores, figures | self._watched(encoder, pool_MD))

    def _watched(self, encoder: Encoder, pool_MD: torch.Tensor) -> dict[str, float]:
        """Metrics that judge nothing; those that say nothing here (too few labels) are left out."""
        seen_N = self.labels >= 0
        rows = self.samples.labelled[seen_N]
        labelled_ND = features(encoder, self.samples, rows, self.device)
        said = {
            name: float(watch(pool_MD, labelled_ND, self.labels[seen_N]))
            for name, watch in self.watches.items()
        }
        return {name: value for name, value in said.items() if math.isfinite(value)}

    def scored(self, scores: Scores, figures: dict[str, float]) -> Report:
        """A report with the probe's scores turned so that higher is better."""
        better = sign(self.judge_by)
        low, high = (side.get(self.judge_by, math.nan) for side in (scores.low, scores.high))
        settings: dict[str, Any] = {"probe": dict(scores.settings), "judge_by": self.judge_by}
        return Report(
            rung=0,
            samples_seen=0,
            status="ok",
            score=better * scores.values[self.judge_by],
            scores={**scores.values, **figures},
            low=better * (low if better > 0 else high),
            high=better * (high if better > 0 else low),
            settings=settings,
        )


def cost(encoder: Encoder) -> dict[str, float]:
    """What using the encoder costs: the numbers that it holds, and those of an embedding."""
    params = sum(weight.numel() for weight in encoder.parameters())
    return {"cost/params": float(params), "cost/features": float(encoder.pooled_width)}
