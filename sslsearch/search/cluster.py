"""Ray, started or joined: quiet, on loopback, and with what a study's processes must know."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray
from ray._private.runtime_env.constants import RAY_JOB_CONFIG_JSON_ENV_VAR as JOB
from ray._raylet import ActorID, PlacementGroupID
from ray.core.generated.gcs_pb2 import PlacementGroupTableData
from ray.util.placement_group import PlacementGroup, remove_placement_group

ENVIRONMENT = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # the study keeps its own record
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C is ours: state is durable at every moment
    "TUNE_WARN_THRESHOLD_S": "5",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # relative paths stay the user's
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.3",  # default 2 s: how soon a dead worker is noticed
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",  # one process less for each slot
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "20",  # to be placed; then the trial goes elsewhere
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
HARMLESS = "worker processes have been started on node"  # a slot is many small processes


@contextmanager
def cluster(address: str | None) -> Iterator[None]:
    """Join the cluster at `address`, or start one on this machine.

    A job of a cluster (`ray job submit`) joins that one by itself; its processes import what the
    job has brought along (`--working-dir`). A Ray that was running in this process already is used
    as it is and left running.
    """
    mine = not ray.is_initialized()
    for key, value in ENVIRONMENT.items():
        os.environ.setdefault(key, value)
    if mine:
        _hush()
        terminated = signal.getsignal(signal.SIGTERM)
        ray.init(
            address=address or os.environ.get("RAY_ADDRESS") or "local",
            include_dashboard=None if address else False,
            log_to_driver=False,
            logging_level="error",
            runtime_env={"env_vars": variables()},
        )
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, terminated)  # Ray takes it, and aborts
    try:
        yield
    finally:
        if mine:
            ray.shutdown()


def variables() -> dict[str, str]:
    """What our processes find in their environment, but for what the job has said of it: Ray
    refuses a variable that comes from both, and hands on the job's."""
    job = json.loads(os.environ.get(JOB, "{}")).get("runtime_env") or {}
    given = job.get("env_vars") or {}
    return {key: os.environ[key] for key in ENVIRONMENT if key not in given}


def nodes() -> list[dict[str, float]]:
    """The total resources of every node that is alive."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def swept_nodes() -> list[dict[str, float]]:
    """The same, after what dead worker groups still hold has been given back."""
    sweep()
    return nodes()


def sweep() -> None:
    """Remove the placement groups of actors that are dead.

    When a slot's actor is killed its workers end with it, but what they had reserved stays so
    until the job ends: Ray Train's own cleaner asks Ray's dashboard, which a local Ray has not.
    """
    held = ray._private.state.state._connect_and_get_accessor().get_placement_group_table()
    for line in held:
        group = PlacementGroupTableData.FromString(line)
        of_an_actor = not ActorID(group.creator_actor_id).is_nil()  # else the driver's own
        there = group.state != PlacementGroupTableData.REMOVED
        if of_an_actor and group.creator_actor_dead and there:
            remove_placement_group(PlacementGroup(PlacementGroupID(group.placement_group_id)))


def _hush() -> None:
    """Keep one warning of Ray's off the user's terminal; all others still reach it."""
    printed = ray._private.worker.print_to_stdstream

    def unless_harmless(data: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        if not any(HARMLESS in str(line) for line in data.get("lines", [])):
            printed(data, *args, **kwargs)

    ray._private.worker.print_to_stdstream = unless_harmless
