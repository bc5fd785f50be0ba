"""What runs in every Ray Train worker of a slot: take a command, obey it, answer, again."""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import threading
from collections.abc import Iterator
from typing import Any, Protocol

import psutil
import ray
import ray.train

GROWTH_BYTES = 2 << 30  # resident memory gained over the first trial's that makes a worker restart
HUNG_EXIT = 86


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
        sequence, command = ray.get(mailbox.next.remote(me, after))
        if sequence < 0:
            return
        if command is None:
            continue
        if command["trial"] not in trials:
            trials.add(command["trial"])
            program.free()
            gc.collect()
            rss = psutil.Process().memory_info().rss
            first_rss = first_rss or rss
            old = len(trials) > config["recycle_after"] or rss > first_rss + GROWTH_BYTES
            if old and len(trials) > 1:
                return  # the slot starts a fresh group, which is handed this same command
        with _watchdog(command.get("seconds")):
            answer = program.obey(command)
        if rank == 0:
            ray.get(mailbox.answer.remote(sequence, answer))
        after = sequence


@contextlib.contextmanager
def _watchdog(seconds: float | None) -> Iterator[None]:
    """End this process if the command takes longer: a hung step cannot be asked to stop."""
    timer = threading.Timer(seconds, os._exit, (HUNG_EXIT,)) if seconds else None
    if timer:
        timer.daemon = True
        timer.start()
    try:
        yield
    finally:
        if timer:
            timer.cancel()
