"""What a rung says of an encoder: probe scores, watched metrics, health."""

from __future__ import annotations

import math
from typing import Any

import torch

from sslsearch import registry
from sslsearch.data.samples import Samples
from sslsearch.encoders.base import Encoder
from sslsearch.pretext.base import Pretext
from sslsearch.probe.base import rung_scores
from sslsearch.probe.health import collapsed, health
from sslsearch.train.embed import features
from sslsearch.values import Recipe, Report, Scores

WATCHED_POOL = 512  # pool samples on which label-free metrics are computed, the same every time


class Judge:
    """The probe of one recipe on one set of samples."""

    def __init__(self, recipe: Recipe, samples: Samples, device: torch.device) -> None:
        probe = recipe["probe"]
        self.samples, self.device = samples, device
        self.judge_by: str = probe["judge_by"]
        self.probe = registry.get("probe", probe["name"]).bind({})()
        self.watches = {name: registry.get("watch", name).bind({}) for name in probe["watch"]}
        rng = torch.Generator().manual_seed(0)
        self.pool_M = torch.randperm(len(samples), generator=rng)[:WATCHED_POOL].sort().values
        self.labels = samples.labels_N[samples.labelled]
        self.groups = None if samples.groups_N is None else samples.groups_N[samples.labelled]

    def report(self, encoder: Encoder, pretext: Pretext) -> Report:
        """Scores of the encoder as it stands. The caller fills in rung, samples and seconds."""
        pool_MD = features(encoder, self.samples, self.pool_M, self.device)
        if not torch.isfinite(pool_MD).all():
            return Report(0, 0, "nan", math.nan, message="features are not finite")
        reason = collapsed(pool_MD) or pretext.collapsed(pool_MD.to(self.device))
        labelled_ND = features(encoder, self.samples, self.samples.labelled, self.device)
        watched = {
            name: float(watch(pool_MD, labelled_ND, self.labels))
            for name, watch in self.watches.items()
        }
        figures = watched | {f"health/{k}": v for k, v in health(pool_MD).items()}
        if reason:
            return Report(0, 0, "collapsed", math.nan, scores=figures, message=reason)
        judging = self.samples.judging
        scores = rung_scores(self.probe, labelled_ND, self.labels, self.groups, judging)
        return self.scored(scores, figures)

    def scored(self, scores: Scores, figures: dict[str, float]) -> Report:
        """A report with the probe's scores turned so that higher is better."""
        sign = selection_sign(self.judge_by)
        low, high = (side.get(self.judge_by, math.nan) for side in (scores.low, scores.high))
        settings: dict[str, Any] = {"probe": dict(scores.settings), "judge_by": self.judge_by}
        return Report(
            rung=0,
            samples_seen=0,
            status="ok",
            score=sign * scores.values[self.judge_by],
            scores={**scores.values, **figures},
            low=sign * (low if sign > 0 else high),
            high=sign * (high if sign > 0 else low),
            settings=settings,
        )


def selection_sign(metric: str) -> int:
    """+1 where more is better, −1 for losses: scores are always maximised."""
    return -1 if metric in {"log_loss", "mse", "mae"} else 1
