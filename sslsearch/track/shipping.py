"""Events become MLflow runs, and doing it twice changes nothing.

A run is found again by its tags. A metric row carries the time of its event, so MLflow knows it
again; params and tags are set to what they are already. Whatever may have been half done can
therefore be done once more.
"""

from __future__ import annotations

import getpass
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sslsearch.track.registering import Registrar
from sslsearch.track.spool import Event

ENDED = {  # any other status: FAILED
    "ok": "FINISHED",
    "stopped": "FINISHED",
    "timeout": "KILLED",
    "paused": "KILLED",
}
HOPELESS = {"INVALID_PARAMETER_VALUE", "BAD_REQUEST"}  # the same request can only fail again
NO_SUCH_RUN = "RESOURCE_DOES_NOT_EXIST"
EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}  # not MLflow's GenAI pages
NAMED, METRICS = 100, 800  # MLflow takes 100 params, 100 tags, and 1000 of all in one request


@dataclass
class Pending:
    """All that some events say of one run."""

    started: int
    name: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    metrics: dict[tuple[str, int, int], float] = field(default_factory=dict)  # key, time, step
    texts: dict[str, str] = field(default_factory=dict)
    files: list[tuple[str, str]] = field(default_factory=list)  # path, folder
    models: list[Event] = field(default_factory=list)
    status: str | None = None
    ended: int | None = None

    def add(self, event: Event) -> None:
        """Fold one event in; a later one wins."""
        if event["kind"] == "model":  # its tags and figures are the model's
            self.models.append(event)
            return
        self.name = event.get("name") or self.name
        self.tags.update(event.get("tags") or {})
        self.params.update(event.get("params") or {})
        for key, value, step in event.get("metrics") or ():
            if value is not None:
                self.metrics[key, event["time"], step] = value
        if event["kind"] == "study" and event.get("space"):
            self.texts["space.yaml"] = event["space"]
        if event["kind"] in ("study", "trial"):
            self.status, self.ended = "RUNNING", None
        if event["kind"] in ("finish", "summary", "pause"):
            self.status = ENDED.get(event["status"], "FAILED")
            self.ended = event["time"]
        if event["kind"] == "artifact":
            self.files.append((event["path"], event["folder"]))


class Shipper:
    """One study's runs in one MLflow experiment. Every method may wait for the server."""

    def __init__(
        self, uri: str, experiment: str, study: str, folder: Path, note: Callable[[str], None]
    ) -> None:
        self.uri, self.experiment, self.study, self.folder = uri, experiment, study, folder
        self._note = note
        self._client: Any = None
        self._experiment_id = ""
        self._runs: dict[str | None, str] = {}  # trial -> run; None is the study's own run

    def connect(self) -> bool:
        """Reach MLflow and look up this study's runs; says whether it knew the study."""
        from mlflow import MlflowClient  # seconds: here, off the search's path

        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.WARNING)
        client = MlflowClient(tracking_uri=self.uri)
        self._experiment_id = self._find_experiment(client)
        self._client = client
        self.tidy()
        return None in self._runs

    @property
    def connected(self) -> bool:
        return self._client is not None

    def disconnect(self) -> None:
        """After a failure nobody knows what the server did: look the runs up afresh."""
        self._client, self._runs = None, {}

    def tidy(self) -> None:
        """Look up the study's runs; one made twice by a request that timed out is deleted."""
        runs, page = dict(self._runs), None
        while True:
            found = self._client.search_runs(
                [self._experiment_id],
                f"tags.`sslsearch.study` = '{self.study}'",
                max_results=1000,
                order_by=["attributes.start_time ASC", "attributes.run_id ASC"],
                page_token=page,
            )
            for run in found:
                mine = runs.setdefault(run.data.tags.get("sslsearch.trial"), run.info.run_id)
                if mine != run.info.run_id:
                    self._client.delete_run(run.info.run_id)
            page = found.token
            if not page:
                self._runs = runs
                return

    def ship(self, events: Iterable[Event]) -> None:
        """Bring MLflow up to date with `events`. Raises when it cannot be reached."""
        pending: dict[str | None, Pending] = {}
        for event in events:
            group = pending.setdefault(event.get("trial"), Pending(started=event["time"]))
            group.add(event)
        if pending and None not in self._runs:  # children need their parent
            first = min(group.started for group in pending.values())
            pending = {None: pending.pop(None, Pending(started=first)), **pending}
        for trial, group in pending.items():
            self._ship_run(trial, group)

    def _ship_run(self, trial: str | None, group: Pending) -> None:
        from mlflow.exceptions import MlflowException

        try:
            known = trial in self._runs
            run = self._runs.get(trial) or self._create(trial, group)
            self._log(run, group, known)
            if group.status == "RUNNING" and known:
                self._client.update_run(run, status="RUNNING")
            elif group.ended is not None:
                self._client.set_terminated(run, status=group.status, end_time=group.ended)
            for name, text in group.texts.items():
                self._client.log_text(run, text, name)
            for path, folder in group.files:
                self._upload(run, self.folder / path, folder)
            for event in group.models:
                self._register(run, event)
        except MlflowException as error:
            if error.error_code not in HOPELESS:
                raise
            what = "the study's run" if trial is None else f"trial {trial}"
            self._note(f"MLflow refuses part of {what}: {_first_line(error)}")

    def _create(self, trial: str | None, group: Pending) -> str:
        tags = {"sslsearch.study": self.study, "mlflow.source.name": "sslsearch", **_who()}
        if trial is None:
            tags["sslsearch.kind"] = "study"
        else:
            tags |= {"sslsearch.trial": trial, "mlflow.parentRunId": self._runs[None]}
        name = group.name or (self.folder.name if trial is None else trial)
        run = self._client.create_run(
            self._experiment_id,
            start_time=group.started,
            tags={**tags, **group.tags},
            run_name=name,
        )
        self._runs[trial] = run.info.run_id
        return self._runs[trial]

    def _log(self, run: str, group: Pending, known: bool) -> None:
        from mlflow.entities import Metric, Param, RunTag

        params, tags = group.params, group.tags if known else {}  # a new run has its tags
        if params and known:  # a param never changes in MLflow; a longer budget is told as a tag
            old = self._client.get_run(run).data.params
            tags = tags | {f"now.{k}": v for k, v in params.items() if old.get(k, v) != v}
            params = {k: v for k, v in params.items() if k not in old}
        named = _batches([Param(k, v) for k, v in params.items()], NAMED)
        tagged = _batches([RunTag(k, v) for k, v in tags.items()], NAMED)
        rows = [Metric(k, v, time, step) for (k, time, step), v in group.metrics.items()]
        for three in zip_longest(named, tagged, _batches(rows, METRICS), fillvalue=()):
            self._client.log_batch(run, params=three[0], tags=three[1], metrics=three[2])

    def _upload(self, run: str, path: Path, folder: str) -> None:
        files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
        if not files:
            self._note(f"{path} is gone; MLflow does without it")
        for file in files:
            inside = file.parent.relative_to(path) if path.is_dir() else Path()
            place = (Path(folder) / inside).as_posix()
            try:
                self._client.log_artifact(run, str(file), None if place == "." else place)
            except Exception as error:  # noqa: BLE001  any artifact store, any error
                self._client.get_run(run)  # raises too if it is MLflow that is away
                self._note(f"MLflow's artifact store refuses {file.name}: {_first_line(error)}")

    def _register(self, run: str, event: Event) -> None:
        """A model version, or a note of why there is none; a second try where MLflow lives."""
        for last in (False, True):
            try:
                Registrar(self._client, self._experiment_id, run, self.folder).register(event)
                return
            except Exception as error:  # noqa: BLE001  any registry, any artifact store, any error
                self._client.get_run(run)  # raises too if it is MLflow that is away
                if last:
                    self._note(
                        f"MLflow has no model version of {event['name']}: {_first_line(error)}"
                    )

    def _find_experiment(self, client: Any) -> str:
        found = client.get_experiment_by_name(self.experiment)
        if found is None:
            place = _artifacts_beside(self.uri, self.experiment)
            return str(client.create_experiment(self.experiment, place, EXPERIMENT_TAGS))
        if found.lifecycle_stage == "deleted":
            client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)


def _who() -> dict[str, str]:
    """MLflow's column `User`, on a server that serves several."""
    try:
        return {"mlflow.user": getpass.getuser()}
    except (KeyError, OSError):  # a container whose user has no name
        return {}


def _artifacts_beside(uri: str, experiment: str) -> str | None:
    """A database has no place for files: next to it, wherever the process stands. A server has."""
    if not uri.startswith("sqlite:///"):
        return None
    database = Path("/" + urlsplit(uri).path.lstrip("/"))
    database.parent.mkdir(parents=True, exist_ok=True)
    return (database.parent / "mlartifacts" / experiment).as_uri()


def _batches(items: Sequence[Any], size: int) -> list[Sequence[Any]]:
    return [items[i : i + size] for i in range(0, len(items), size)]


def _first_line(error: BaseException) -> str:
    text = (str(error) or type(error).__name__).splitlines()[0]
    return text if len(text) <= 160 else text[:157] + "…"
