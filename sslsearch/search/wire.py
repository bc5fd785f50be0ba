"""Between a long training and who watches it: news one way, the wish that it leave the other."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy


@dataclass(frozen=True)
class News:
    """How the training fares.

    Attributes:
        group: how many worker groups have begun.
        workers: of the group that trains now; 0 before the first has begun.
        began: samples that had been seen when it began.
        rungs: how many looks of the probe there will be, with those that were.
        samples_seen, loss: as of now; the loss is the mean of the last few steps.
        saved: samples seen when the state was saved last.
        left: the group has saved its state because it was asked to leave.
        trouble: why the last save has not reached the storage; "" if it has.
        reports: of all rungs that this run has reached, as plain values.
    """

    group: int = 0
    workers: int = 0
    began: int = 0
    rungs: int = 0
    samples_seen: int = 0
    loss: float = float("nan")
    saved: int = 0
    left: bool = False
    trouble: str = ""
    reports: tuple[dict[str, Any], ...] = field(default=())


class Wire:
    """An actor beside the driver. Nobody waits for the other here: both leave word and go on."""

    def __init__(self) -> None:
        self._news = News()
        self._leave = False

    def begin(self, **about: Any) -> None:
        """A group begins; a wish that was for an earlier one is forgotten."""
        self._leave = False
        self._news = replace(self._news, group=self._news.group + 1, left=False, **about)

    def tell(self, **news: Any) -> bool:
        """For the worker of rank 0; is the group to leave?"""
        self._news = replace(self._news, **news)
        return self._leave

    def report(self, report: dict[str, Any]) -> None:
        self._news = replace(self._news, reports=(*self._news.reports, report))

    def ask_to_leave(self) -> None:
        self._leave = True

    def look(self) -> News:
        return self._news


def lay_wire() -> Any:
    """A new wire; it stays on this node, and ends with the process that has laid it."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return ray.remote(num_cpus=0, scheduling_strategy=here)(Wire).remote()
