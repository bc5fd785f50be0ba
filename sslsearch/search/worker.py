"""What runs in every Ray Train worker of a slot: take a command, obey it, answer, again."""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import importlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import psutil
import ray
import ray.train
import torch
import torch.distributed as dist

from sslsearch import distributed

GROWTH_BYTES = 2 << 30  # own memory gained over the first trial's that makes a worker restart
STDERR = 2
COUNTS = Path("/proc/vmstat")  # Linux; elsewhere nobody tells that memory ran out


class Program(Protocol):
    """What a worker does with a command; built once per worker as `Program(setup, rank, world)`."""

    def obey(self, command: dict[str, Any]) -> dict[str, Any]:
        """Bring about what the command says and return plain values. Must be idempotent."""

    def free(self) -> None:
        """Let go of the last trial's memory."""


def serve(config: dict[str, Any]) -> None:
    """The Train loop of one worker: serves until the slot closes or it is time to restart."""
    context = ray.train.get_context()
    rank, mailbox = context.get_world_rank(), config["mailbox"]
    try:
        module, _, name = config["program"].partition(":")
        make = getattr(importlib.import_module(module), name)
        program: Program = make(config["setup"], rank, context.get_world_size())
    except Exception as fault:  # noqa: BLE001 - told to the slot, which raises it
        ray.get(mailbox.cannot_start.remote(f"{type(fault).__name__}: {fault}"))
        return
    me = {"rank": rank, "pid": os.getpid(), "node": ray.get_runtime_context().get_node_id()}
    trials: set[str] = set()
    first_rss = 0
    after = 0
    gc.freeze()  # imported modules never become garbage: collecting between trials stays quick
    while True:
        me["killed"] = killed_for_memory()
        sequence, command = ray.get(mailbox.next.remote(me, after))
        if sequence < 0:
            return
        if command is None:
            continue
        if command["trial"] not in trials:
            trials.add(command["trial"])
            program.free()
            gc.collect()
            rss = own_memory()
            first_rss = first_rss or rss
            old = len(trials) > config["recycle_after"] or rss > first_rss + GROWTH_BYTES
            if anyone(old) and len(trials) > 1:
                if rank == 0:
                    ray.get(mailbox.retire.remote())
                return  # the slot starts a fresh group, which is handed this same command
        with _watchdog(command.get("seconds")):
            answer = program.obey(command)
        if rank == 0:
            ray.get(mailbox.answer.remote(sequence, answer))
        after = sequence


def anyone(old: bool) -> bool:
    """Is any worker of the group due? All go together: one alone would leave the others hanging
    in a collective."""
    if not dist.is_initialized():
        return old
    device = torch.device("cuda" if dist.get_backend() == "nccl" else "cpu")
    return distributed.most(int(old), device) > 0


def own_memory() -> int:
    """Resident bytes of this process alone: pages of mapped samples are the kernel's to drop."""
    info = psutil.Process().memory_info()
    return int(info.rss - getattr(info, "shared", 0))  # known on Linux


def killed_for_memory() -> int:
    """How many processes of this machine the kernel has killed because memory ran out."""
    if not COUNTS.exists():
        return 0
    counts = dict(line.split() for line in COUNTS.read_text().splitlines())
    return int(counts.get("oom_kill", 0))


@contextlib.contextmanager
def _watchdog(seconds: float | None) -> Iterator[None]:
    """End this process if the command takes longer: a hung step cannot be asked to stop.

    The interpreter may hang with it (a step that holds its lock), so the timer must not need it.
    """
    if seconds:
        faulthandler.dump_traceback_later(seconds, exit=True, file=STDERR)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
