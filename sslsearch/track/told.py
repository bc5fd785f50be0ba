"""What a study has told so far, read back: from its event log, or from MLflow."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sslsearch.track.params import scrub
from sslsearch.track.place import quieten
from sslsearch.track.shipping import Pending
from sslsearch.track.snapshot import snapshot
from sslsearch.track.spool import Event, read_events

SCORES = ("score", "score_low", "score_high")  # what is asked of MLflow rung by rung
KEPT = (*SCORES, "seconds/")  # of a trial; a loss at every step would fill the memory
PAGE = 1000  # runs in one answer of MLflow's
STATES = {"study": "running", "pause": "paused", "summary": "finished"}
OF_MLFLOW = {"RUNNING": "running", "KILLED": "paused", "FINISHED": "finished"}


@dataclass
class Told:
    """A study in words and figures.

    Attributes:
        runs: what is known of the study (None) and of each trial, finalist's run and floor.
        state: running (or killed: nobody could tell), paused, finished.
        heard: when something was told last; milliseconds since 1970.
        spent: milliseconds that its runs have taken, pauses left out.
        messages: the last one of each trial.
        study: its id, the same in the log and in MLflow.
    """

    runs: dict[str | None, Pending] = field(default_factory=dict)
    state: str = "running"
    heard: int = 0
    spent: int = 0
    messages: dict[str, str] = field(default_factory=dict)
    study: str = ""

    def add(self, event: Event) -> None:
        trial, time = event.get("trial"), int(event["time"])
        if trial is not None:
            kept = [one for one in event.get("metrics") or () if one[0].startswith(KEPT)]
            event = {**event, "metrics": kept}
        self.runs.setdefault(trial, Pending(started=time)).add(event)
        if self.heard and event["kind"] != "study":  # a study that goes on had paused until then
            self.spent += max(0, time - self.heard)
        self.heard = max(self.heard, time)
        if event.get("message"):
            self.messages[str(trial)] = event["message"]
        self.study = event.get("study", self.study)
        if trial is None:
            self.state = STATES.get(event["kind"], self.state)


class Log:
    """The event log of a study folder, of which only what is new is read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._told, self._read = Told(), 0

    def told(self) -> Told:
        """All of it, as it stands now: the same object each time, with more in it."""
        if self.path.stat().st_size < self._read:
            self._told, self._read = Told(), 0  # another log under the same name
        events, self._read = read_events(self.path, self._read)
        for event in events:
            self._told.add(event)
        return self._told


@dataclass(frozen=True)
class StudyRun:
    """A study as MLflow lists it; `study` is the id that its event log has too."""

    study: str
    name: str
    experiment: str
    run: str
    experiment_id: str


def studies_of(uri: str) -> list[StudyRun]:
    """The studies that an MLflow knows, the newest first.

    Raises:
        ValueError: MLflow does not answer, or is not where it should be.
    """
    with _client(uri) as client:
        return [
            StudyRun(
                run.data.tags.get("sslsearch.study", run.info.run_id),
                run.info.run_name,
                experiment.name,
                run.info.run_id,
                experiment.experiment_id,
            )
            for experiment in client.search_experiments(filter_string="name LIKE 'sslsearch/%'")
            for run in _runs(client, experiment.experiment_id, "sslsearch.kind", "study")
        ]


def told_by(uri: str, study: StudyRun) -> tuple[Told, str]:
    """A study out of MLflow, and its space as YAML."""
    with _client(uri) as client:
        run = client.get_run(study.run)
        state = OF_MLFLOW.get(run.info.status, "paused")
        told = Told({None: _pending(run)}, state, study=study.study)
        for child in _runs(client, study.experiment_id, "mlflow.parentRunId", study.run):
            name = child.data.tags.get("sslsearch.trial", child.info.run_id)
            told.runs[name] = pending = _pending(child)
            for key in SCORES if "score_low" in child.data.metrics else ():
                for one in client.get_metric_history(child.info.run_id, key):
                    pending.metrics[key, one.timestamp, one.step] = one.value
        times = [time for pending in told.runs.values() for _, time, _ in pending.metrics]
        told.heard = max([run.info.end_time or 0, run.info.start_time, *times])
        told.spent = told.heard - run.info.start_time
        return told, _space(client, study.run)


@contextmanager
def _client(uri: str) -> Iterator[Any]:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    quieten()
    try:
        if uri.startswith("sqlite:///"):
            with snapshot(Path(uri.removeprefix("sqlite:///"))) as copy:
                try:
                    yield MlflowClient(f"sqlite:///{copy}")
                finally:
                    _forget(f"sqlite:///{copy}")
        else:
            yield MlflowClient(uri)
    except MlflowException as error:
        host = urlsplit(uri).hostname or scrub(uri)
        raise ValueError(f"MLflow at {host} does not answer: {str(error)[:160]}") from error


def _forget(uri: str) -> None:
    """MLflow keeps the connections to every database it has seen; those to a copy are of no use."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    engine = SqlAlchemyStore._engine_map.pop(uri, None)
    if engine is not None:
        engine.dispose()


def _runs(client: Any, experiment_id: str, tag: str, value: str) -> Iterator[Any]:
    token = None
    while True:
        page = client.search_runs(
            [experiment_id], f"tags.`{tag}` = '{value}'", max_results=PAGE, page_token=token
        )
        yield from page
        token = page.token
        if not token:
            return


def _pending(run: Any) -> Pending:
    """A run of MLflow's as the event log would tell it; of each metric the last value."""
    info, data = run.info, run.data
    pending = Pending(info.start_time, info.run_name, dict(data.tags), dict(data.params))
    end = info.end_time or info.start_time
    rungs = SCORES if "score_low" in data.metrics else ()  # a floor's score is of no rung
    pending.metrics = {(k, end, 0): v for k, v in data.metrics.items() if k not in rungs}
    pending.ended = info.end_time
    return pending


def _space(client: Any, run: str) -> str:
    from mlflow.exceptions import MlflowException

    with tempfile.TemporaryDirectory(prefix="sslsearch-") as folder:
        try:
            return Path(client.download_artifacts(run, "space.yaml", folder)).read_text()
        except (MlflowException, OSError):
            return ""  # its artifacts are out of reach from here
