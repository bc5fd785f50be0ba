"""Slots and their mailbox on real Ray: crashes, hangs, retirement, two workers."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import ray
import torch

from sslsearch.search import mailbag, worker
from sslsearch.search.mailbox import open_mailbox
from sslsearch.search.slot import MOST_DEATHS, Slot
from sslsearch.values import Report

pytestmark = pytest.mark.usefixtures("ray_cluster")


class Odd:
    """A program that does what the command's `how` says."""

    def __init__(self, setup: dict[str, Any], rank: int, world: int) -> None:
        self.folder, self.rank, self.world = Path(setup["folder"]), rank, world

    def obey(self, command: dict[str, Any]) -> dict[str, Any]:
        mark = self.folder / command["trial"]
        how = command["how"]
        if how == "dies once" and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "dies always":
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "hangs":
            time.sleep(600)
        if how == "bloats the last" and self.rank == self.world - 1:
            worker.GROWTH_BYTES = -(1 << 60)  # its memory has grown too much, and only its own
        total = torch.ones(1)
        if torch.distributed.is_initialized() and torch.distributed.get_world_size() > 1:
            torch.distributed.all_reduce(total)
        answer = mailbag.pack(Report(0, 0, "ok", float(total)))
        return {**answer, "pid": os.getpid()}

    def free(self) -> None:
        """Nothing to free."""


@ray.remote(num_cpus=0)
class Held:
    """A slot outside Tune: the actor that Tune would hold."""

    def __init__(self, setup: dict[str, Any]) -> None:
        os.environ["RAY_TRAIN_HEALTH_CHECK_INTERVAL_S"] = "0.3"
        self.slot = Slot.__new__(Slot)
        self.slot.setup({"setup": ray.put(setup), "commands": []})

    def run(self, commands: list[dict[str, Any]]) -> list[dict[str, Any]]:
        self.slot.reset_config({"commands": commands})
        return [self.slot.step() for _ in commands]

    def close(self) -> None:
        self.slot.cleanup()


def setup_of(folder: Path, workers: int = 1, recycle_after: int = 100) -> dict[str, Any]:
    return {
        "program": "test_slot:Odd",
        "setup": {"folder": str(folder)},
        "workers": workers,
        "resources": {"CPU": 0.5},
        "use_gpu": False,
        "storage": str(folder),
        "recycle_after": recycle_after,
    }


def command(trial: str, how: str, seconds: float = 60.0) -> list[dict[str, Any]]:
    return [{"trial": trial, "how": how, "seconds": seconds, "rung": 0}]


@pytest.mark.slow  # a minute: workers start five times
def test_crash_hang_and_retirement(tmp_path: Path) -> None:
    held = Held.remote(setup_of(tmp_path, recycle_after=5))
    try:
        (first,) = ray.get(held.run.remote(command("a", "works")))
        (second,) = ray.get(held.run.remote(command("b", "works")))
        assert first["pid"] == second["pid"]  # the same warm worker
        (crashed,) = ray.get(held.run.remote(command("c", "dies once")))
        assert crashed["status"] == "ok"
        assert crashed["pid"] != first["pid"]
        (hung,) = ray.get(held.run.remote(command("d", "hangs", seconds=2.0)))
        assert hung["status"] == "timeout"
        (doomed,) = ray.get(held.run.remote(command("e", "dies always")))
        assert doomed["status"] == "error"
        assert f"died {MOST_DEATHS} times" in mailbag.unpack(doomed).message
        pids = [ray.get(held.run.remote(command(n, "works")))[0]["pid"] for n in "fghijklm"]
        assert len(set(pids)) == 2  # retired once, after recycle_after trials
    finally:
        ray.get(held.close.remote())


def test_a_program_that_cannot_start_says_so_at_once(tmp_path: Path) -> None:
    held = Held.remote({**setup_of(tmp_path), "program": "test_slot:Missing"})
    try:
        with pytest.raises(ray.exceptions.RayTaskError, match="a worker cannot start: Attribute"):
            ray.get(held.run.remote(command("a", "works")))
    finally:
        ray.get(held.close.remote())


def test_two_workers_form_a_group(tmp_path: Path) -> None:
    held = Held.remote(setup_of(tmp_path, workers=2))
    try:
        pids = []
        for trial, how in (("a", "works"), ("b", "bloats the last"), ("c", "works")):
            (answer,) = ray.get(held.run.remote(command(trial, how)))
            assert mailbag.unpack(answer).score == 2.0  # summed over both, trial after trial
            pids.append(answer["pid"])
        assert pids[0] == pids[1] != pids[2]  # one was due to restart: both have
    finally:
        ray.get(held.close.remote())


def test_a_late_worker_gets_the_waiting_command_and_no_old_one() -> None:
    box = open_mailbox()
    worker = {"rank": 0}
    one = ray.get(box.submit.remote({"trial": "a"}))
    assert ray.get(box.next.remote(worker, 0)) == (one, {"trial": "a"})
    assert ray.get(box.next.remote(worker, 0)) == (one, {"trial": "a"})  # it died: again
    assert ray.get(box.look.remote()).handed == 2
    ray.get(box.answer.remote(one, {"score": 1}))
    ray.get(box.answer.remote(one, {"score": 2}))  # answered once
    assert ray.get(box.wait.remote(one, 1.0)) == {"score": 1}
    two = ray.get(box.submit.remote({"trial": "b"}))
    ray.get(box.answer.remote(one, {"score": 3}))  # of a forgotten command
    assert ray.get(box.wait.remote(two, 0.1)) is None
    ray.get(box.close.remote())
    assert ray.get(box.next.remote(worker, two)) == (-1, None)
