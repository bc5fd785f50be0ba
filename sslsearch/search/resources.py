"""What a slot asks of the cluster, how many slots fit, and a clear word when none does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

DRIVER_CPUS = 0.01  # a Tune trial's actor only waits


@dataclass(frozen=True)
class Fit:
    """The slots of a study.

    Attributes:
        slots: worker groups that run at once.
        workers: Train workers in each.
        resources: what each worker asks for.
        use_gpu: whether workers get a GPU (NCCL) or not (gloo).
        threads: torch threads of a worker without a GPU.
    """

    slots: int
    workers: int
    resources: dict[str, float]
    use_gpu: bool
    threads: int


def fit(compute: Any, cluster: Mapping[str, float]) -> Fit:
    """Fit the `compute` section into the cluster's total resources.

    Raises:
        ValueError: not even one slot fits; says what it needs, what there is, and the cure.
    """
    workers: int = compute.workers_per_trial
    gpus_there = cluster.get("GPU", 0.0)
    auto = compute.gpus_per_worker == "auto"
    gpus = float(gpus_there > 0) if auto else float(compute.gpus_per_worker)
    cpus = float(compute.cpus_per_worker)
    need = {"CPU": cpus * workers + DRIVER_CPUS, "GPU": gpus * workers}
    fits = [int(cluster.get(name, 0.0) / amount) for name, amount in need.items() if amount]
    most = min(fits)
    wanted = most if compute.slots == "auto" else int(compute.slots)
    if most < 1 or wanted > most:
        raise ValueError(
            f"compute asks for {max(wanted, 1)} slot(s) of {workers} worker(s) with {cpus:g} CPU "
            f"and {gpus:g} GPU each, but the cluster has {cluster.get('CPU', 0):g} CPU and "
            f"{gpus_there:g} GPU: {most} slot(s) fit. Lower compute.slots, "
            "compute.workers_per_trial or compute.gpus_per_worker, or join a larger cluster "
            "with --address"
        )
    resources = {"CPU": cpus} | ({"GPU": gpus} if gpus else {})
    return Fit(wanted, workers, resources, gpus > 0, max(1, int(cpus + 0.5)))
