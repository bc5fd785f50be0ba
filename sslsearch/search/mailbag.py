"""What travels through the mailbox: commands out, answers back; plain values only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sslsearch.train.loop import report_from
from sslsearch.values import Recipe, Report, Status


def commands(
    trial: str, recipe: Recipe, seed: int, rungs: list[int], seconds: float, keep: bool = False
) -> list[dict[str, Any]]:
    """One command for each rung; a `keep` trial goes straight to the top and leaves its features.

    Args:
        trial: the trial's name in the study, unique and stable over restarts.
        seconds: limit for each command, after which the trial's status is `timeout`.
    """
    base = {
        "trial": trial,
        "recipe": recipe.body,
        "seed": seed,
        "rungs": rungs,
        "seconds": seconds,
        "keep": keep,
    }
    wanted = [len(rungs) - 1] if keep else range(len(rungs))
    return [{**base, "rung": rung} for rung in wanted]


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


def unpack(answer: dict[str, Any]) -> Report:
    """The report out of an answer (also out of a Tune result)."""
    return report_from(json.loads(answer["report"]))


def checkpoint_path(folder: Path, trial: str) -> Path:
    """Where a trial's last rung lies while it may still be needed."""
    return folder / "trials" / trial / "rung.safetensors"
