"""Several pretext tasks at once: the weighted sum of their losses, each with heads of its own.

Not a registered part: its knobs are the names of its members (see build.py).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from torch import nn

from sslsearch.encoders.base import Encoder
from sslsearch.pretext.base import Pretext
from sslsearch.values import Batch, Loss


class Mix(Pretext):
    """A weighted sum of pretext tasks.

    Weights are shares of their sum. Each member gets as many of the views as it wants and draws
    from the one generator in the order written. Its log terms are named `simclr/nt_xent` and its
    whole unweighted loss `simclr`.

    Members named in `moved` see views of their own, which augmentations have moved but whose
    values they have not changed: strong colours teach contrast and spoil what is restored.
    """

    def __init__(
        self,
        members: Mapping[str, Pretext],
        weights: Mapping[str, float],
        moved: Collection[str] = (),
    ) -> None:
        super().__init__()
        total = sum(weights.values())
        if total <= 0 or min(weights.values()) < 0:
            raise ValueError(f"mix_of needs weights >= 0 of which one is > 0, got {dict(weights)}")
        self.members = nn.ModuleDict(members)
        self.weights = {name: weights[name] / total for name in members}
        self.sees_moved = frozenset(moved)
        others = [member for name, member in members.items() if name not in moved]
        self.moved = max((members[name].views for name in moved), default=0)
        self.views = max((member.views for member in others), default=0) + self.moved
        self.clean = min((member.clean for member in others), default=0)  # no more than all see

    def loss(self, encoder: Encoder, views: list[Batch], rng: torch.Generator) -> Loss:
        terms: list[torch.Tensor] = []
        parts: dict[str, torch.Tensor] = {}
        for name, member in self.members.items():
            assert isinstance(member, Pretext)
            first = self.views - self.moved if name in self.sees_moved else 0
            own = member.loss(encoder, views[first : first + member.views], rng)
            terms.append(self.weights[name] * own.total)
            parts[name] = own.total.detach()
            parts |= {f"{name}/{key}": value for key, value in own.parts.items()}
        return Loss(torch.stack(terms).sum(), parts)

    def collapsed(self, pooled_MD: torch.Tensor) -> str:
        """The first member's reason."""
        for name, member in self.members.items():
            assert isinstance(member, Pretext)
            if reason := member.collapsed(pooled_MD):
                return f"{name}: {reason}"
        return ""

    def after_step(self, encoder: Encoder, progress: float) -> None:
        for member in self.members.values():
            assert isinstance(member, Pretext)
            member.after_step(encoder, progress)
