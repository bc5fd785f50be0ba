"""What a trial is called in MLflow, and what a report is told as."""

from __future__ import annotations

from typing import Literal

from sslsearch.values import Recipe, Report

Kind = Literal["trial", "finalist", "floor", "default", "pretrain"]
LOSS_POINTS = 100  # per report; MLflow draws no more, and each is a row in its database


def run_name(
    trial_id: str, number: int, kind: Kind, recipe: Recipe | None, seed: int | None
) -> str:
    """What MLflow's table calls a run: `0012 simclr`, `simclr final s101`, `floor raw`,
    `simclr pretrain s0`."""
    if kind == "floor" or recipe is None:
        return f"{kind} {trial_id.split('/')[-1]}"
    if kind == "trial":
        return f"{number:04d} {recipe.family}"
    role = {"finalist": "final"}.get(kind, kind)
    return f"{recipe.family} {role}" + ("" if seed is None else f" s{seed}")


def thin(points: tuple[tuple[int, float], ...], most: int) -> list[tuple[int, float]]:
    """A curve as at most `most` means of neighbours, each at its last place."""
    step = -(-len(points) // most) if points else 1
    groups = (points[i : i + step] for i in range(0, len(points), step))
    return [(group[-1][0], sum(y for _, y in group) / len(group)) for group in groups]


def report_metrics(report: Report) -> dict[str, float]:
    """A report's figures under the names MLflow shows; a slash makes a section of its charts."""
    return {
        "score": report.score,
        "score_low": report.low,
        "score_high": report.high,
        **{k if "/" in k else f"scores/{k}": v for k, v in report.scores.items()},
        **{f"seconds/{stage}": v for stage, v in report.seconds.items()},
    }
