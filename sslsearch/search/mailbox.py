"""Between a slot and its workers: one command at a time, absolute, answered once.

The slot (a Tune trial's actor) submits; the workers (a Ray Train worker group) poll for what comes
after the last command that they answered. A worker that starts late, or again after a crash, asks
from zero and is handed the command that still waits for its answer: nothing is lost with it.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any

import ray

POLL_SECONDS = 20.0  # a poll comes back empty after this, so that a lost peer is noticed


@dataclass(frozen=True)
class Look:
    """How the waiting command fares.

    Attributes:
        handed: times that it was handed to a worker of rank 0; more than once: one died over it.
        held: the longest that one of them has had it, in seconds.
        free: seconds since it waits for a worker; 0 while one has it.
        losses: why workers were lost over it, as Ray Train says.
        starved: how often the kernel killed a process of the node for want of memory meanwhile.
        fault: why workers cannot start, if they cannot.
    """

    handed: int
    held: float
    free: float
    losses: tuple[str, ...]
    starved: int
    fault: str


class Mailbox:
    """The post of one slot. An async actor: a waiting call costs nothing."""

    def __init__(self) -> None:
        self._sequence = 0
        self._command: dict[str, Any] | None = None
        self._closed = False
        self._fault = ""
        self._groups = 0  # worker groups lost: what a dead worker still polls for comes to nothing
        self._forget()
        self._changed = asyncio.Condition()

    def _forget(self) -> None:
        """A new command: nobody has it, nobody was lost over it."""
        self._answer: dict[str, Any] | None = None
        self._handed, self._held, self._starved = 0, 0.0, 0
        self._losses: list[str] = []
        self._holder: dict[str, Any] = {}  # the worker that was handed it last
        self._since, self._has = time.monotonic(), False  # a worker has it, or it is free

    async def submit(self, command: dict[str, Any]) -> int:
        """Post the next command; returns its number. The last one is forgotten."""
        async with self._changed:
            self._sequence += 1
            self._command = command
            self._forget()
            self._changed.notify_all()
            return self._sequence

    async def next(self, worker: dict[str, Any], after: int) -> tuple[int, dict[str, Any] | None]:
        """For workers: (number, command) of an unanswered command later than `after`.

        (0, None) when there was none for a while: ask again. (-1, None): the slot is closing.
        """
        groups = self._groups
        async with self._changed:
            try:
                await asyncio.wait_for(
                    self._changed.wait_for(
                        lambda: self._closed or self._groups > groups or self._waiting(after)
                    ),
                    POLL_SECONDS,
                )
            except TimeoutError:
                return 0, None
            if self._closed:
                return -1, None
            if self._groups > groups or not self._waiting(after):
                return 0, None
            if worker["rank"] == 0:
                self._hand(worker)
            return self._sequence, self._command

    def _hand(self, worker: dict[str, Any]) -> None:
        self._free()
        if self._holder.get("node") == worker.get("node"):
            killed = worker.get("killed", 0) - self._holder.get("killed", 0)
            self._starved += max(0, killed)
        self._holder, self._has = worker, True
        self._handed += 1

    def _free(self) -> None:
        """Whoever had the command has it no longer."""
        if self._has:
            self._held = max(self._held, time.monotonic() - self._since)
        self._since, self._has = time.monotonic(), False

    def _waiting(self, after: int) -> bool:
        return self._command is not None and self._answer is None and self._sequence > after

    async def answer(self, sequence: int, answer: dict[str, Any]) -> None:
        """For the worker of rank 0. An answer to a forgotten command is dropped."""
        async with self._changed:
            if sequence == self._sequence and self._answer is None:
                self._answer = answer
                self._changed.notify_all()

    async def wait(self, sequence: int, seconds: float) -> dict[str, Any] | None:
        """For the slot: the answer, or None when none has come within `seconds`."""
        async with self._changed:
            try:
                await asyncio.wait_for(
                    self._changed.wait_for(
                        lambda: self._sequence == sequence and self._answer is not None
                    ),
                    seconds,
                )
            except TimeoutError:
                return None
            return self._answer

    async def look(self) -> Look:
        """For the slot: how the command fares."""
        since = time.monotonic() - self._since
        held, free = (max(self._held, since), 0.0) if self._has else (self._held, since)
        losses = tuple(self._losses)
        return Look(self._handed, held, free, losses, self._starved, self._fault)

    async def lost(self, reasons: list[str]) -> None:
        """For Ray Train's controller: workers have died, and their whole group with them."""
        async with self._changed:
            self._groups += 1
            self._free()
            self._losses += reasons
            self._changed.notify_all()

    async def retire(self) -> None:
        """For a worker that leaves the command it was handed to its successor."""
        self._free()
        self._handed -= 1

    async def cannot_start(self, reason: str) -> None:
        """For a worker whose program could not be built."""
        self._fault = reason

    async def close(self) -> None:
        async with self._changed:
            self._closed = True
            self._changed.notify_all()


def open_mailbox() -> Any:
    """A new mailbox actor; it dies with the process that opened it."""
    return ray.remote(num_cpus=0, max_concurrency=64)(Mailbox).remote()
