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
from typing import Any

import ray
import ray.train
import ray.tune
from ray.train.torch import TorchTrainer

from sslsearch.search import mailbag
from sslsearch.search.mailbox import open_mailbox
from sslsearch.search.worker import serve
from sslsearch.values import Status

logger = logging.getLogger(__name__)

START_SECONDS = 180.0  # for the first worker to report: after that the slot gives up, loudly
LOOK_SECONDS = 2.0  # between looks at the health of the worker group while a command runs
MOST_DEATHS = 3  # workers that may die over one command before the trial is given up
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
        self._mailbox = open_mailbox()
        self._closing = False
        self._fault: BaseException | None = None
        self._thread = threading.Thread(target=self._keep_group, daemon=True)
        self._thread.start()

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._commands = new_config["commands"]
        self._done = 0
        return True

    def step(self) -> dict[str, Any]:
        command = self._commands[self._done]
        sequence = ray.get(self._mailbox.submit.remote(command))
        answer = self._await(sequence, command.get("seconds"))
        self._done += 1
        return {**answer, "done": self._done == len(self._commands)}

    def _await(self, sequence: int, seconds: float | None) -> dict[str, Any]:
        started = time.monotonic()
        while True:
            if self._fault is not None:
                raise RuntimeError(f"the slot's worker group is lost: {self._fault}")
            answer: dict[str, Any] | None = ray.get(
                self._mailbox.wait.remote(sequence, LOOK_SECONDS)
            )
            if answer is not None:
                return answer
            waited = time.monotonic() - started
            workers, handed, fault = ray.get(self._mailbox.look.remote())
            if fault:
                raise RuntimeError(f"a worker cannot start: {fault}")
            if workers and seconds and waited > seconds:
                return self._give_up(sequence, "timeout", f"no answer in {seconds:.0f} s")
            if handed > MOST_DEATHS:
                reason = f"its worker died {handed - 1} times (out of memory?)"
                return self._give_up(sequence, "error", reason)
            if waited > START_SECONDS and not workers:
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
                _, _, fault = ray.get(self._mailbox.look.remote())
                if fault:  # the next group could not start either
                    return
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
            failure_config=ray.train.FailureConfig(max_failures=-1),
        ),
    )
