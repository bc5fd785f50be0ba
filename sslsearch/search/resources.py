"""What a slot asks of the cluster, how many slots fit, and a clear word when none does."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ACTOR = "memory"  # what a slot's own actor reserves, in bytes: it only waits
LOOK_SECONDS = 2.0  # between looks at the cluster
CROWDED_SECONDS = 30.0  # before another slot is tried where one found no place
EPSILON = 1e-9  # 0.3 / 0.1 is three

Node = Mapping[str, float]


@dataclass(frozen=True)
class Fit:
    """The slots of a study.

    Attributes:
        slots: worker groups that run at once, as the cluster is at the start.
        most: how many may run at once if the cluster grows; None = as many as fit.
        workers: Train workers in each.
        resources: what each worker asks for.
        use_gpu: whether workers get a GPU (NCCL) or not (gloo).
        threads: torch threads of a worker without a GPU.
    """

    slots: int
    most: int | None
    workers: int
    resources: dict[str, float]
    use_gpu: bool
    threads: int

    @property
    def device(self) -> str:
        """What a run's cost is counted in."""
        return "GPU" if self.use_gpu else "CPU"

    @property
    def devices(self) -> float:
        """How many of them a run holds."""
        return self.workers * self.resources[self.device]


def places(resources: Mapping[str, float], nodes: Sequence[Node]) -> int:
    """How many workers fit on these nodes: a worker lies on one node, a slot may span several."""
    return sum(
        min(int(node.get(name, 0.0) / amount + EPSILON) for name, amount in resources.items())
        for node in nodes
    )


def fit(compute: Any, nodes: Sequence[Node]) -> Fit:
    """Fit the `compute` section into the total resources of the cluster's nodes.

    Raises:
        ValueError: not even one slot fits; says what it needs, what there is, and the cure.
    """
    workers, _ = compute.workers  # a study has one number; a training may grow from the fewest
    cpus_there, gpus_there = (sum(node.get(name, 0.0) for node in nodes) for name in ("CPU", "GPU"))
    auto = compute.gpus_per_worker == "auto"
    gpus = float(gpus_there > 0) if auto else float(compute.gpus_per_worker)
    _refuse_fractions(gpus, compute.workers[1])
    cpus = float(compute.cpus_per_worker)
    resources = {"CPU": cpus} | ({"GPU": gpus} if gpus else {})
    fits = places(resources, nodes) // workers
    most = None if compute.slots == "auto" else int(compute.slots)
    wanted = fits if most is None else most
    if fits < 1 or wanted > fits:
        spread = f" on {len(nodes)} nodes" if len(nodes) > 1 else ""
        raise ValueError(
            f"compute asks for {max(wanted, 1)} slot(s) of {workers} worker(s) with {cpus:g} CPU "
            f"and {gpus:g} GPU each, but the cluster has {cpus_there:g} CPU and "
            f"{gpus_there:g} GPU{spread}: {fits} slot(s) fit. Lower compute.slots, "
            "compute.workers_per_trial or compute.gpus_per_worker, or join a larger cluster "
            "with --address"
        )
    return Fit(wanted, most, workers, resources, gpus > 0, max(1, int(cpus + 0.5)))


def _refuse_fractions(gpus: float, workers: int) -> None:
    """Ray shares one GPU, not two; NCCL puts no two workers of a group on one GPU."""
    if gpus % 1 and gpus > 1:
        raise ValueError(
            f"compute.gpus_per_worker: {gpus:g} is neither a whole number nor less than 1; "
            f"use {int(gpus)} or {int(gpus) + 1}"
        )
    if gpus % 1 and workers > 1:
        raise ValueError(
            f"compute.gpus_per_worker: {gpus:g} shares a GPU among slots, not among the "
            f"{workers} workers of one; set compute.workers_per_trial to 1 or give each a whole GPU"
        )


class Room:
    """How many slots the cluster has room for now; called often, it looks every few seconds.

    Args:
        nodes: gives the total resources of every node that is alive.
    """

    def __init__(self, fitted: Fit, nodes: Callable[[], Sequence[Node]]) -> None:
        self.fitted, self.nodes = fitted, nodes
        self._slots, self._looked = fitted.slots, time.monotonic()
        self._ceiling, self._until = 0, 0.0
        self._taken: dict[str, int] = {}  # Tune's id of a trial -> its slot
        self._free: list[int] = []  # slots without a trial, the last to be taken first
        self._up: set[int] = set()  # slots whose workers have answered
        self._numbers = itertools.count(1)

    def __call__(self) -> int:
        now = time.monotonic()
        if now - self._looked > LOOK_SECONDS:
            fits = places(self.fitted.resources, self.nodes()) // self.fitted.workers
            most = self.fitted.most
            self._slots, self._looked = fits if most is None else min(fits, most), now
        return min(self._slots, self._ceiling) if now < self._until else self._slots

    def take(self, trial_id: str) -> int:
        """The slot for a trial: a warm one if there is any."""
        self._taken[trial_id] = self._free.pop() if self._free else next(self._numbers)
        return self._taken[trial_id]

    def answered(self, trial_id: str) -> None:
        """The workers of the trial's slot are up."""
        self._up.add(self._taken[trial_id])

    def starting(self, trial_id: str) -> bool:
        """Has the trial's slot not answered yet?"""
        return self._taken[trial_id] not in self._up

    def leave(self, trial_id: str, warm: bool = True) -> None:
        """A trial no longer needs its slot, whose workers are up (`warm`) or not."""
        slot = self._taken.pop(trial_id)
        self._free.insert(len(self._free) if warm else 0, slot)
        if not warm:
            self._up.discard(slot)

    def crowded(self, running: int) -> None:
        """A slot found no place beside `running` others: try no further one for a while.

        The totals say otherwise where others use the cluster too, or a node has just left.
        """
        self._ceiling, self._until = running, time.monotonic() + CROWDED_SECONDS
