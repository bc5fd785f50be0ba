"""The loss on the way to a rung: the mean of every few steps, looked at no more often than that."""

from __future__ import annotations

import math
from typing import Any

import torch

from sslsearch import distributed

CHECK_EVERY = 25  # steps between looks at the loss: each look waits for the device
POINTS = 10  # loss values kept for each rung


class Curve:
    """Losses since step `began`, where the last report was made (or nothing was yet).

    Attributes:
        points: (samples seen, mean loss) of every look so far.
    """

    def __init__(self, began: int) -> None:
        self.began = began
        self.points: list[tuple[int, float]] = []
        self._since: list[torch.Tensor] = []  # the losses of the steps since the last look

    def add(self, loss: torch.Tensor) -> None:
        self._since.append(loss)

    def due(self, target: int) -> bool:
        """Is it time to look, on the way to step `target`? The same wherever it is resumed."""
        every = max(1, (target - self.began) // POINTS)
        return len(self._since) >= min(every, CHECK_EVERY)

    def look(self, samples_seen: int) -> bool:
        """Note the mean over all workers; False where it is not finite."""
        mean = float(distributed.mean_over_workers(torch.stack(self._since).mean()))
        self._since.clear()
        if not math.isfinite(mean):
            return False
        self.points.append((samples_seen, mean))
        return True

    def sound(self) -> bool:
        """Are the losses that nobody has looked at yet all finite? Waits for the device."""
        return not self._since or bool(torch.stack(self._since).isfinite().all())

    def state(self) -> dict[str, Any]:
        """Plain values: a float32 loss survives JSON to the bit."""
        since = [float(loss) for loss in self._since]
        return {"began": self.began, "points": self.points, "since": since}

    def restore(self, state: dict[str, Any], device: torch.device) -> None:
        self.began = state["began"]
        self.points = [(int(at), float(loss)) for at, loss in state["points"]]
        self._since = [torch.tensor(loss, device=device) for loss in state["since"]]
