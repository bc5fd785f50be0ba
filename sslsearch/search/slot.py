"""A slot: a Tune trial's actor that outlives its trials and keeps one Ray Train group warm.

The documented way starts a Train run inside each Tune trial: 6 + N processes, each importing
torch. Here Tune reuses the actor (`reuse_actors=True`), the actor holds one `TorchTrainer.fit()`
in a thread, and a trial costs two messages per rung.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from pathlib import Path
from typing import Any

import ray
import ray.train
import ray.tune
from ray.train.torch import TorchTrainer

from sslsearch.search import mailbag
from sslsearch.search.mailbox import Look, open_mailbox
from sslsearch.search.resources import ACTOR
from sslsearch.search.worker import serve
from sslsearch.train import checkpoint
from sslsearch.values import Status

logger = logging.getLogger(__name__)

START_SECONDS = 180.0  # for a worker to take a command: after that the slot gives up, loudly
LOOK_SECONDS = 2.0  # between looks at the health of the worker group while a command runs
MOST_DEATHS = 3  # workers that may die over one command before the trial is given up
OUT_OF_MEMORY = ("OutOfMemory", "MemoryError", "low on memory", "can't allocate memory")
LONGEST_REASON = 300  # characters of what Ray says of a dead worker
HEALTH_ENV = {
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.3",  # default 2 s: how soon a dead worker is noticed
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",  # one process less for each slot
}


class Slot(ray.tune.Trainable):  # type: ignore[misc]
    """Runs one trial after another on the same workers. One `step` is one rung.

    config (the same for all trials but `commands`):
        setup: {"program": "module:Class", "setup": …, "workers": int, "resources": {…},
            "use_gpu": bool, "storage": str, "recycle_after": int}; read once, at the first trial.
        commands: the trial's commands in order, one for each step; each has `trial`, and `seconds`
            (its limit, or None).
    """

    def setup(self, config: dict[str, Any]) -> None:
        os.environ.update(HEALTH_ENV)
        self._commands: list[dict[str, Any]] = config["commands"]
        self._done = 0
        self._setup = ray.get(config["setup"])
        Path(self._setup["storage"]).mkdir(parents=True, exist_ok=True)  # on this node
        self._mailbox = open_mailbox()
        self._closing = False
        self._open()

    def _open(self) -> None:
        self._fault: BaseException | None = None
        self._thread = threading.Thread(target=self._keep_group, daemon=True)
        self._thread.start()

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._commands = new_config["commands"]
        self._done = 0
        if self._fault is not None:  # its workers found no place; there may be one now
            self._open()
        return True

    def step(self) -> dict[str, Any]:
        command = self._commands[self._done]
        sequence = ray.get(self._mailbox.submit.remote(command))
        answer = self._await(sequence, command.get("seconds"))
        self._done += 1
        over = self._done == len(self._commands) or answer["status"] == mailbag.NO_PLACE
        return {**answer, "done": over}

    def _await(self, sequence: int, seconds: float | None) -> dict[str, Any]:
        while True:
            if self._fault is not None:
                if checkpoint.no_room(self._fault, Path(self._setup["storage"])):
                    return mailbag.halt(str(self._fault))
                if isinstance(self._fault, ray.train.ControllerError):
                    return mailbag.no_place(str(self._fault))
                raise RuntimeError(f"the slot's worker group is lost: {self._fault}")
            answer: dict[str, Any] | None = ray.get(
                self._mailbox.wait.remote(sequence, LOOK_SECONDS)
            )
            if answer is not None:
                return answer
            look: Look = ray.get(self._mailbox.look.remote())
            if look.fault:
                raise RuntimeError(f"a worker cannot start: {look.fault}")
            if seconds and look.held >= seconds:
                return self._give_up(sequence, "timeout", f"no answer in {seconds:.0f} s")
            if look.handed > MOST_DEATHS:
                return self._give_up(sequence, *obituary(look))
            if look.free > START_SECONDS:
                raise RuntimeError(
                    f"no worker has started in {START_SECONDS:.0f} s; is the cluster too busy? "
                    "See `ray status`"
                )

    def _give_up(self, sequence: int, status: Status, reason: str) -> dict[str, Any]:
        """Answer in the workers' place, so that no restarted worker takes the command up again."""
        answer = mailbag.failure(status, reason)
        ray.get(self._mailbox.answer.remote(sequence, answer))
        return answer

    def _keep_group(self) -> None:
        """Keep one worker group up until the slot closes; a group that retires is replaced."""
        try:
            while not self._closing:
                _trainer(self._mailbox, self._setup).fit()
                if ray.get(self._mailbox.look.remote()).fault:
                    return  # the next group could not start either
        except BaseException as fault:  # noqa: BLE001 - told to the next step, which raises
            self._fault = fault

    def cleanup(self) -> None:
        self._closing = True
        ray.get(self._mailbox.close.remote())
        self._thread.join(timeout=10.0)
        if self._thread.is_alive():
            logger.warning("a worker group did not end in 10 s; Ray will end it with the study")

    # Tune asks for these when it pauses or moves a trial. A slot keeps nothing of a trial: the
    # workers save each rung in the study folder and any other slot takes up from there.
    def save_checkpoint(self, checkpoint_dir: str) -> None:
        return None

    def load_checkpoint(self, checkpoint: Any) -> None:
        return None


def slot_of(config: dict[str, Any]) -> ray.tune.PlacementGroupFactory:
    """What Tune reserves for a trial: one byte more for each slot, so that no two are alike.

    Tune gives a waiting trial any idle actor that reserves the same, and ends the actor that is
    starting for it: while trials are shorter than a slot's start, no second slot would come up.
    """
    return ray.tune.PlacementGroupFactory([{ACTOR: config["slot"]}])


def obituary(look: Look) -> tuple[Status, str]:
    """How a command ends over which worker after worker has died, and why."""
    deaths = f"its worker died {look.handed - 1} times"
    last = last_words(look.losses[-1]) if look.losses else "no reason is known"
    if look.starved:
        return "oom", f"{deaths}, killed by the kernel because memory ran out"
    if any(word in loss for loss in look.losses for word in OUT_OF_MEMORY):
        return "oom", f"{deaths} because memory ran out: {last}"
    return "error", f"{deaths}: {last}"


def last_words(loss: str) -> str:
    """The line that says most of what Ray Train tells of a lost worker: the last one of a
    traceback, or the first that names a cause of death."""
    lines = [line.strip() for line in loss.splitlines() if line.strip()]
    told = [line for line in lines if "exit detail" in line.lower()]
    return (told or lines[-1:] or ["no reason is known"])[0][:LONGEST_REASON]


class Undertaker(ray.train.UserCallback):  # type: ignore[misc]
    """Tells the mailbox of workers that died; Ray Train runs it in its controller."""

    def __init__(self, mailbox: Any) -> None:
        self._mailbox = mailbox

    def after_exception(self, run_context: Any, worker_exceptions: dict[int, Exception]) -> None:
        reasons = [f"{type(e).__name__}: {e}" for e in worker_exceptions.values()]
        self._mailbox.lost.remote(reasons)


def _trainer(mailbox: Any, setup: dict[str, Any]) -> TorchTrainer:
    return TorchTrainer(
        serve,
        train_loop_config={
            "mailbox": mailbox,
            "program": setup["program"],
            "setup": setup["setup"],
            "recycle_after": setup["recycle_after"],
        },
        scaling_config=ray.train.ScalingConfig(
            num_workers=setup["workers"],
            use_gpu=setup["use_gpu"],
            resources_per_worker=setup["resources"],
        ),
        run_config=ray.train.RunConfig(
            name=f"slot-{os.getpid()}-{time.time_ns()}",
            storage_path=setup["storage"],
            failure_config=ray.train.FailureConfig(max_failures=-1, controller_failure_limit=0),
            callbacks=[Undertaker(mailbox)],
        ),
    )
