"""What happened in a study, one JSON line per event, on disk before anybody is told.

`events.jsonl` is only ever appended to, and each line is synced. `events.shipped.json` remembers
how many bytes of it each MLflow has been given. Whoever reads the log must expect a torn line
where a process was killed, and skip it.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import threading
import time
from pathlib import Path
from typing import Any

Event = dict[str, Any]  # always has `kind` and `time` (milliseconds since 1970)


def read_events(path: Path, offset: int = 0, limit: int | None = None) -> tuple[list[Event], int]:
    """Up to `limit` whole events from byte `offset` on, and the byte after the last of them."""
    events: list[Event] = []
    with path.open("rb") as file:
        file.seek(offset)
        while limit is None or len(events) < limit:
            line = file.readline()
            if not line.endswith(b"\n"):  # the end, or a line still being written
                break
            offset += len(line)
            event = _parse(line)
            if event is not None:
                events.append(event)
    return events, offset


class Spool:
    """The event log of one study folder, and how much of it has been shipped where."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "events.jsonl"
        self._shipped = folder / "events.shipped.json"
        self._lock = threading.Lock()
        torn = _torn(self.path)
        self._file = self.path.open("ab", buffering=0)
        if torn:
            self._file.write(b"\n")  # closes the torn line: what follows stays readable

    def append(self, kind: str, **fields: Any) -> None:
        """Write one event; it survives the machine once this returns.

        Raises:
            OSError: the disk is full; the log is as it was.
        """
        event = {"kind": kind, "time": time.time_ns() // 1_000_000, **fields}
        line = json.dumps(_plain(event), allow_nan=False, ensure_ascii=False)
        with self._lock:
            end = os.fstat(self._file.fileno()).st_size
            try:
                self._write(line.encode() + b"\n")
            except OSError:
                os.ftruncate(self._file.fileno(), end)
                raise

    def _write(self, line: bytes) -> None:
        """All of it, for an unbuffered file may take less than it is given; then to the disk."""
        while line:
            line = line[self._file.write(line) :]
        os.fsync(self._file.fileno())

    def read(self, offset: int = 0, limit: int | None = None) -> tuple[list[Event], int]:
        """Up to `limit` whole events from byte `offset` on, and the byte after the last of them."""
        return read_events(self.path, offset, limit)

    def shipped(self, target: str) -> int:
        """The byte up to which `target` (an MLflow and its experiment) has been given the log."""
        offset = int(self._offsets().get(_key(target), 0))
        return offset if offset <= self.path.stat().st_size else 0

    def mark_shipped(self, target: str, offset: int) -> None:
        text = json.dumps({**self._offsets(), _key(target): offset})
        draft = self._shipped.with_suffix(".tmp")
        draft.write_text(text)
        draft.replace(self._shipped)  # no sync: an old offset only means shipping again

    def close(self) -> None:
        self._file.close()

    def _offsets(self) -> dict[str, int]:
        try:
            offsets: dict[str, int] = json.loads(self._shipped.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return {}
        return offsets


def read_log(folder: Path) -> list[Event]:
    """All whole events of a study; its log is not touched."""
    path = folder / "events.jsonl"
    lines = path.read_bytes().splitlines() if path.exists() else []
    return [event for event in map(_parse, lines) if event is not None]


def _key(target: str) -> str:
    return hashlib.sha256(target.encode()).hexdigest()[:12]  # a URI may hold a password


def _torn(path: Path) -> bool:
    if not path.exists() or not path.stat().st_size:
        return False
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"


def _parse(line: bytes) -> Event | None:
    try:
        event = json.loads(line)
    except ValueError:  # torn: json and unicode errors are both ValueErrors
        return None
    return event if isinstance(event, dict) and "kind" in event and "time" in event else None


def _plain(value: Any) -> Any:
    """What JSON can say: nan and infinities become null, unknown things their text."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    return _plain(value.item()) if hasattr(value, "item") else str(value)
