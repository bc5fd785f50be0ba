"""What travels through the mailbox: commands out, answers back; plain values only."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

from sslsearch.values import Recipe, Report, Status

NO_PLACE = "no place"


def commands(
    trial: str, recipe: Recipe, seed: int, rungs: list[int], seconds: float, keep: bool
) -> list[dict[str, Any]]:
    """One command for each rung.

    Args:
        trial: the trial's name in the study, unique and stable over restarts.
        seconds: limit for each command, after which the trial's status is `timeout`.
        keep: leave the encoder and its features behind at the last rung.
    """
    base = {
        "trial": trial,
        "recipe": recipe.body,
        "seed": seed,
        "rungs": rungs,
        "seconds": seconds,
    }
    last = len(rungs) - 1
    return [{**base, "rung": rung, "keep": keep and rung == last} for rung in range(len(rungs))]


def pack(report: Report) -> dict[str, Any]:
    """An answer: the report as JSON text, and what Tune must see beside it."""
    return {
        "report": json.dumps(vars(report)),
        "status": report.status,
        "score": report.score,
        "rung": report.rung,
    }


def failure(status: Status, message: str) -> dict[str, Any]:
    """The answer where no report could be made."""
    return pack(Report(0, 0, status, float("nan"), message=message))


def halt(reason: str) -> dict[str, Any]:
    """The answer where the storage has no room: no trial's fault, and no trial can go on."""
    return {**failure("error", reason), "halt": reason}


def no_place(reason: str) -> dict[str, Any]:
    """The answer of a slot whose workers find no place: the trial is to go on elsewhere."""
    return {"status": NO_PLACE, "score": float("nan"), "reason": reason}


def unpack(answer: dict[str, Any]) -> Report:
    """The report out of an answer (also out of a Tune result).

    Raises:
        OSError: it is no report, for the storage has no room; whoever hears it must stop.
    """
    if "halt" in answer:
        raise OSError(errno.ENOSPC, answer["halt"])
    return Report.from_dict(json.loads(answer["report"]))


def checkpoint_path(folder: Path, trial: str) -> Path:
    """Where a trial's last rung lies while it may still be needed."""
    return folder / checkpoint_name(trial)


def checkpoint_name(trial: str) -> str:
    return f"trials/{trial}/rung.safetensors"
