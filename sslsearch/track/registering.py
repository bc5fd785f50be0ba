"""An answer becomes a model version in MLflow's registry, once, however often it is told.

A version and the model behind it carry the answer's digest as a tag, by which they are found again.
The alias `champion` stands at the newest verdict.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sslsearch.track.packing import pack
from sslsearch.track.spool import Event
from sslsearch.train import bundle

ALIAS = "champion"
ANSWER, DECIDED = "sslsearch.answer", "sslsearch.decided"  # tags; decided: when, UTC
VERSIONS = "mlflow.modelVersions"  # a tag by which MLflow shows where a model is registered
NAMED = "best"  # the logged model, in the study's run
KNOWN = {"RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS"}
ABOUT = (
    "Encoders that sslsearch has found for the search space `{space}`: one version for each "
    f"finished study's answer. `{ALIAS}` is that of the newest verdict."
)


def answer_of(study: str, best: Path, sentence: str) -> dict[str, str]:
    """What makes an answer the same when it is told again: study, weights and verdict."""
    weights = hashlib.sha256((best / bundle.WEIGHTS).read_bytes()).hexdigest()
    digest = hashlib.sha256(f"{study} {weights} {sentence}".encode()).hexdigest()
    return {"answer": digest[:12], "weights": weights}


class Registrar:
    """Registers what one study's run has led to. Every method may wait for the server."""

    def __init__(self, client: Any, experiment_id: str, run: str, folder: Path) -> None:
        self._client, self._experiment_id, self._run = client, experiment_id, run
        self._folder = folder

    def register(self, event: Event) -> None:
        """See that there is a version of the event's answer, and that the alias is right.

        Raises:
            ValueError: best/ is no longer the one that was told of.
        """
        name = event["name"]
        if not self._ours(event):
            self._ensure_name(event)
            model = self._model(event)
            made = self._client.create_model_version(
                name,
                model.artifact_location,
                run_id=self._run,
                tags=_tags(event),
                description=event["description"],
                model_id=model.model_id,
            )
            known = json.dumps([{"name": name, "version": int(made.version)}])
            self._client.set_logged_model_tags(model.model_id, {VERSIONS: known})
        for double in self._ours(event)[1:]:  # a request that timed out may be served late
            self._client.delete_model_version(name, double.version)
        self._point_alias(name)

    def _versions(self, name: str) -> list[Any]:
        return _all(self._client.search_model_versions, f"name = '{name}'")

    def _ours(self, event: Event) -> list[Any]:
        """Versions of this answer, the oldest first."""
        ours = [v for v in self._versions(event["name"]) if v.tags.get(ANSWER) == event["answer"]]
        return sorted(ours, key=lambda version: int(version.version))

    def _ensure_name(self, event: Event) -> None:
        from mlflow.exceptions import MlflowException

        about = ABOUT.format(space=event["space"])
        try:
            self._client.create_registered_model(event["name"], description=about)
        except MlflowException as error:
            if error.error_code not in KNOWN:
                raise

    def _model(self, event: Event) -> Any:
        """The logged model of the answer: found again, or made; with its files."""
        best, digest = self._folder / event["best"], event["weights"]
        if not (best / bundle.WEIGHTS).is_file() or answer_of("", best, "")["weights"] != digest:
            raise ValueError(
                "best/ has changed since that verdict, whose encoder is no longer kept"
            )
        found = [
            model
            for model in _all(self._client.search_logged_models, [self._experiment_id])
            if model.tags.get(ANSWER) == event["answer"]
        ]
        model = found[0] if found else self._make(event)
        if str(model.status) != "READY":
            with tempfile.TemporaryDirectory() as work:
                about = {"run_id": self._run, "model_id": model.model_id}
                pack(best, self._folder / event["example"], Path(work) / "model", about)
                self._client.log_model_artifacts(model.model_id, str(Path(work) / "model"))
            self._link(event, model.model_id)
            self._client.finalize_logged_model(model.model_id, "READY")
        return model

    def _make(self, event: Event) -> Any:
        return self._client.create_logged_model(
            self._experiment_id,
            name=NAMED,
            source_run_id=self._run,
            tags=_tags(event),
            params=event["params"],
            model_type="encoder",
        )

    def _link(self, event: Event, model_id: str) -> None:
        """The run's page shows the model, and the model's its figures."""
        from mlflow.entities import LoggedModelOutput, Metric

        run = self._client.get_run(self._run)
        made = run.outputs.model_outputs if run.outputs else []
        if model_id not in {one.model_id for one in made}:
            self._client.log_outputs(self._run, [LoggedModelOutput(model_id, step=0)])
        rows = [
            Metric(key, value, event["time"], 0, model_id=model_id)
            for key, value in event["metrics"].items()
            if value is not None
        ]
        self._client.log_batch(self._run, metrics=rows)

    def _point_alias(self, name: str) -> None:
        decided = [v for v in self._versions(name) if DECIDED in v.tags]
        newest = max(decided, key=lambda v: (v.tags[DECIDED], int(v.version)))
        now = self._client.get_registered_model(name).aliases
        if str(now.get(ALIAS)) != str(newest.version):
            self._client.set_registered_model_alias(name, ALIAS, newest.version)


def _all(search: Callable[..., Any], what: Any) -> list[Any]:
    """Every page of a search."""
    found, page = [], None
    while True:
        some = search(what, page_token=page)
        found += some
        page = some.token
        if not page:
            return found


def _tags(event: Event) -> dict[str, str]:
    decided = datetime.fromtimestamp(event["time"] / 1000, UTC)
    when = decided.isoformat(sep=" ", timespec="milliseconds").removesuffix("+00:00")
    return {**event["tags"], ANSWER: event["answer"], DECIDED: when}
