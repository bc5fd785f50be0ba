"""Tracker: tells MLflow about a study without the study ever waiting for, or dying of, MLflow.

Every call writes a line to the study's event log and returns. A thread ships the log in the
background, however slow or dead the server is; what is left at the end, the next `run` ships.
"""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from sslsearch.track.params import flatten, recipe_params, scrub
from sslsearch.track.shipping import Shipper
from sslsearch.track.spool import Spool
from sslsearch.values import Recipe, Report, Status

Kind = Literal["trial", "finalist", "floor", "default", "pretrain"]

EVENTS = 50  # shipped at once: as much as is sent again after a failure
LOSS_POINTS = 100  # per report; MLflow draws no more, and each is a row in its database
FIRST_WAIT, LAST_WAIT, FAREWELL_WAIT = 0.5, 30.0, 1.0  # seconds between tries
FAREWELL_TRIES = 3  # a server that refuses this often at the end will not come back for us
SCHEMES = ("sqlite", "http", "https", "postgresql", "mysql", "mssql", "databricks", "uc")
QUIET = {  # unless the user has said otherwise
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "15",  # seconds; its own 120 with 7 tries is ours to decide
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
}


class Tracker:
    """The one voice of a study towards MLflow, used by the driver process alone.

    Args:
        folder: the study's folder; the event log lives in it.
        uri: `sqlite:///mlflow.db` (seen from the working directory), `http://…`; None or "none"
            keeps only the event log.
        experiment: MLflow experiment, one per space.
        console: called with a line when MLflow goes away or comes back.
        study_id: tells this study from others; by default made once and kept in the log.
    """

    def __init__(
        self,
        folder: Path,
        uri: str | None,
        experiment: str,
        console: Callable[[str], None] = print,
        study_id: str | None = None,
    ) -> None:
        self.uri = absolute_uri(uri)
        self._folder, self._say = Path(folder).resolve(), console
        self._spool = Spool(self._folder)
        past, _ = self._spool.read()
        known = [event["study"] for event in past if event["kind"] == "study"]
        self.study_id = study_id or (known[-1] if known else uuid.uuid4().hex[:12])
        self._told = {_once(event) for event in past if event["kind"] in ("report", "finish")}
        self._begun = False  # and not yet over
        self._wake, self._closing, self._stop = (threading.Event() for _ in range(3))
        self._drained = threading.Event()
        self._thread: threading.Thread | None = None
        if self.uri is not None:
            os.environ.update({key: os.environ.get(key, value) for key, value in QUIET.items()})
            self._target = f"{self.uri}|{experiment}"
            self._shipper = Shipper(self.uri, experiment, self.study_id, self._folder, console)
            self._thread = threading.Thread(target=self._ship, name="mlflow", daemon=True)
            self._thread.start()

    def study(
        self,
        tags: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
        space_text: str = "",
    ) -> None:
        """The study begins, or goes on."""
        self._begun = True
        self._append(
            "study",
            study=self.study_id,
            name=self._folder.name,
            tags=_texts(tags),
            params=flatten(params or {}),
            space=scrub(space_text),
        )

    def trial(
        self,
        trial_id: str,
        number: int,
        kind: Kind,
        recipe: Recipe | None,
        seed: int | None = None,
        **extra: Any,
    ) -> None:
        """A trial starts. `extra` are further params, such as optim={"lr_effective": 0.01}."""
        params = recipe_params(recipe) if recipe else {}
        params |= flatten({"kind": kind, **({} if seed is None else {"seed": seed}), **extra})
        tags = {"sslsearch.kind": kind, "sslsearch.status": "running"}
        if recipe:
            tags["sslsearch.recipe"] = recipe.hash
        name = run_name(str(trial_id), number, kind, recipe, seed)
        self._append("trial", trial=str(trial_id), name=name, tags=tags, params=params)

    def report(self, trial_id: str, report: Report) -> None:
        """What was seen at a rung; told twice (a trial that was restored), it counts once."""
        metrics = [
            (key, value, report.samples_seen) for key, value in _report_metrics(report).items()
        ]
        losses = [("loss", loss, seen) for seen, loss in thin(report.losses, LOSS_POINTS)]
        event: dict[str, Any] = {
            "trial": str(trial_id),
            "rung": report.rung,
            "samples_seen": report.samples_seen,
            "status": report.status,
            "message": report.message,
            "metrics": metrics + losses,
        }
        if _once(event) not in self._told:
            self._told.add(_once(event))
            self._append("report", **event)

    def finish(
        self,
        trial_id: str,
        status: Status,
        score: float | None = None,
        seconds: float | None = None,
    ) -> None:
        """A trial is over; told twice, its figures count once."""
        event: dict[str, Any] = {
            "trial": str(trial_id),
            "status": status,
            "tags": {"sslsearch.status": status},
        }
        if _once(event) not in self._told:
            self._told.add(_once(event))
            figures = {"score": None if self._judged(trial_id) else score, "seconds/total": seconds}
            event["metrics"] = [(k, v, 0) for k, v in figures.items() if v is not None]
        self._append("finish", **event)

    def artifact(self, trial_id: str | None, path: Path, folder: str = "") -> None:
        """Keep a file or a folder's files with a trial, or with the study (None)."""
        path = Path(path).resolve()
        inside = path.relative_to(self._folder) if path.is_relative_to(self._folder) else path
        self._append(
            "artifact",
            path=str(inside),
            folder=folder,
            **({} if trial_id is None else {"trial": str(trial_id)}),
        )

    def summary(self, metrics: Mapping[str, float], tags: Mapping[str, Any] | None = None) -> None:
        """The study's answer; it is over (until a larger budget extends it)."""
        self._begun = False
        rows = [(key, value, 0) for key, value in metrics.items()]
        self._append("summary", status="ok", tags=_texts(tags), metrics=rows)

    def close(self, timeout: float = 20.0) -> None:
        """Ship what is left for at most `timeout` seconds, then say what could not be."""
        if self._begun:
            self._append("pause", status="paused")
        if self._thread is not None:
            self._closing.set()
            self._wake.set()
            self._drained.wait(timeout)
            self._stop.set()
            self._wake.set()
            left = len(self._spool.read(self._spool.shipped(self._target))[0])
            if left:
                self._say(
                    f"{left} events have not reached MLflow at {scrub(str(self.uri))}; they are "
                    f"kept in {self._spool.path.name} and the next `run` of this study ships them."
                )
        self._spool.close()

    def _judged(self, trial_id: str) -> bool:
        """Whether a rung has told the trial's score; a floor has no rungs."""
        return any(trial == str(trial_id) and seen is not None for trial, seen, _ in self._told)

    def _append(self, kind: str, **fields: Any) -> None:
        self._spool.append(kind, **fields)
        self._wake.set()

    def _ship(self) -> None:
        """The thread: ship, and on any failure wait a little longer and ship again."""
        failures, shaky = 0, False
        while not self._stop.is_set():
            try:
                idle = self._ship_some()
                if idle and shaky and self._closing.is_set():
                    self._shipper.tidy()  # a request that timed out may have been served late
            except Exception as error:  # noqa: BLE001  whatever it is, the search goes on
                failures, shaky = failures + 1, True
                if failures == 1:
                    self._say(_away(self.uri, error))
                self._shipper.disconnect()
                if self._closing.is_set() and failures >= FAREWELL_TRIES:
                    break
                longest = FAREWELL_WAIT if self._closing.is_set() else LAST_WAIT
                self._closing.wait(min(FIRST_WAIT * 2 ** (failures - 1), longest))
                if self._closing.is_set():
                    self._stop.wait(FAREWELL_WAIT / 2)
                continue
            if failures:
                self._say("MLflow answers again.")
            failures = 0
            if idle and self._closing.is_set():
                break
            if idle:
                self._wake.wait()
                self._wake.clear()
        self._drained.set()

    def _ship_some(self) -> bool:
        """Ship the next events; says whether none were left."""
        if not self._shipper.connected:
            knew_us = self._shipper.connect()
            if not knew_us:  # another or an emptied MLflow: tell it everything
                self._spool.mark_shipped(self._target, 0)
        start = self._spool.shipped(self._target)
        events, end = self._spool.read(start, EVENTS)
        if events:
            self._shipper.ship(events)
        if end > start:
            self._spool.mark_shipped(self._target, end)
        return not events


def absolute_uri(uri: str | None) -> str | None:
    """The tracking URI as any working directory understands it; None where there is none."""
    if uri is None or uri.strip().lower() in ("", "none"):
        return None
    scheme, colon, rest = uri.partition(":")
    if not colon or scheme.split("+")[0] not in SCHEMES:
        raise ValueError(
            f"mlflow: {scrub(uri)!r} is no place MLflow can keep runs; write sqlite:///mlflow.db, "
            "the http://… of a server, or none"
        )
    if scheme.split("+")[0] == "sqlite" and rest.startswith("///"):
        path = rest.removeprefix("///")
        return f"{scheme}:///{Path(path).absolute()}"
    return uri


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


def _report_metrics(report: Report) -> dict[str, float]:
    """A report's figures under the names MLflow shows; a slash makes a section of its charts."""
    return {
        "score": report.score,
        "score_low": report.low,
        "score_high": report.high,
        **{k if "/" in k else f"scores/{k}": v for k, v in report.scores.items()},
        **{f"seconds/{stage}": v for stage, v in report.seconds.items()},
    }


def _once(event: Mapping[str, Any]) -> tuple[str, int | None, str]:
    """What makes a report, or an end (no samples), the same when it is told again."""
    return event["trial"], event.get("samples_seen"), event["status"]


def _texts(tags: Mapping[str, Any] | None) -> dict[str, str]:
    return {key: scrub(str(value)) for key, value in (tags or {}).items()}


def _away(uri: str | None, error: Exception) -> str:
    reason = (scrub(str(error)) or type(error).__name__).splitlines()[0][:160]
    return (
        f"MLflow at {scrub(str(uri))} does not answer; the search goes on, the results are kept "
        f"and shipped when it does ({reason})"
    )
