"""Between a slot and its workers: one command at a time, absolute, answered once.

The slot (a Tune trial's actor) submits; the workers (a Ray Train worker group) poll for what comes
after the last command that they answered. A worker that starts late, or again after a crash, asks
from zero and is handed the command that still waits for its answer: nothing is lost with it.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import ray

POLL_SECONDS = 20.0  # a poll comes back empty after this, so that a lost peer is noticed


class Mailbox:
    """The post of one slot. An async actor: a waiting call costs nothing."""

    def __init__(self) -> None:
        self._sequence = 0
        self._command: dict[str, Any] | None = None
        self._answer: dict[str, Any] | None = None
        self._closed = False
        self._fault = ""
        self._handed = 0  # times that the command was handed to a worker of rank 0
        self._workers: dict[int, dict[str, Any]] = {}  # rank -> who it is, when last seen
        self._changed = asyncio.Condition()

    async def submit(self, command: dict[str, Any]) -> int:
        """Post the next command; returns its number. The last one is forgotten."""
        async with self._changed:
            self._sequence += 1
            self._command, self._answer, self._handed = command, None, 0
            self._changed.notify_all()
            return self._sequence

    async def next(self, worker: dict[str, Any], after: int) -> tuple[int, dict[str, Any] | None]:
        """For workers: (number, command) of an unanswered command later than `after`.

        (0, None) when there was none for a while: ask again. (-1, None): the slot is closing.
        """
        self._workers[worker["rank"]] = {**worker, "seen": time.time()}
        async with self._changed:
            try:
                await asyncio.wait_for(
                    self._changed.wait_for(lambda: self._closed or self._waiting(after)),
                    POLL_SECONDS,
                )
            except TimeoutError:
                return 0, None
            if self._closed:
                return -1, None
            self._handed += worker["rank"] == 0
            return self._sequence, self._command

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

    async def look(self) -> tuple[dict[int, dict[str, Any]], int, str]:
        """Who works (rank -> pid, node, last seen), how often the command was handed out (more
        than once: a worker died over it), and why workers cannot start, if they cannot."""
        return self._workers, self._handed, self._fault

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
