"""Wall clock of a study over all its runs."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass
class Clock:
    """Wall clock of a study over all its runs.

    Attributes:
        minutes: the budget.
        spent: seconds used by earlier runs.
        started: when this run began, `time.monotonic()`.
    """

    minutes: float
    spent: float
    started: float = field(default_factory=time.monotonic)

    def elapsed(self) -> float:
        return self.spent + time.monotonic() - self.started

    def left(self) -> float:
        return self.minutes * 60 - self.elapsed()
