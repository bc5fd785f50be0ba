"""Runs of the door in a process of its own that may be killed, and what they leave behind."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import psutil


def door(space_file: Path, out: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "sslsearch.run", str(space_file), "--out", str(out), *more]


def begin(command: list[str]) -> Any:
    """Start the door; its words come when it has ended."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, env=environment, **pipes)


def until(look: Callable[[], Any], seconds: float) -> Any:
    """Wait for something to be there (or true); what it is."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)
    return found


def raylet_of(node: Any) -> int:
    """The process of a `Cluster`'s node under which its workers are."""
    (raylet,) = node.all_processes["raylet"]
    return int(raylet.process.pid)


def processes(title: str, parent: int | None = None) -> list[psutil.Process]:
    """Processes under this one, or under `parent`, whose title holds `title`."""
    found = []
    for process in psutil.Process(parent).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if title in " ".join(process.cmdline()):
                found.append(process)
    return found


def kill_tree(process: Any) -> None:
    """kill -9 a driver and, so that no test leaves anything behind, its cluster."""
    with contextlib.suppress(psutil.NoSuchProcess):
        tree = psutil.Process(process.pid)
        for one in [tree, *tree.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.send_signal(signal.SIGKILL)
    process.wait(timeout=30)


def events(out: Path) -> list[dict[str, Any]]:
    """The study's log; a line that a kill has torn is left out."""
    found = []
    for line in (out / "events.jsonl").read_text().splitlines() if out.exists() else []:
        with contextlib.suppress(json.JSONDecodeError):
            found.append(json.loads(line))
    return found


def finished(out: Path) -> set[str]:
    """The trials that the log says are over."""
    if not (out / "events.jsonl").exists():
        return set()
    return {event["trial"] for event in events(out) if event["kind"] == "finish"}


def told_once(out: Path) -> bool:
    """Was every rung of every trial told once, and no finished trial begun again?"""
    rungs = [(e["trial"], e["rung"]) for e in events(out) if e["kind"] == "report"]
    over: set[str] = set()
    for event in events(out):
        if event["kind"] == "trial" and event["trial"] in over:
            return False
        over |= {event["trial"]} if event["kind"] == "finish" else set()
    return len(rungs) == len(set(rungs))


def board(out: Path) -> pd.DataFrame:
    return pd.read_csv(out / "leaderboard.csv")


def flat(text: str) -> str:
    """A terminal's text without its line breaks."""
    return " ".join(text.split())
