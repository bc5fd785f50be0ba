"""Where MLflow is, and how its client is to behave while a search goes on."""

from __future__ import annotations

import os
from pathlib import Path

from sslsearch.track.params import scrub

SCHEMES = ("sqlite", "http", "https", "postgresql", "mysql", "mssql", "databricks", "uc")
QUIET = {  # unless the user has said otherwise
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_UV_AUTO_DETECT": "false",  # a model holds no files of the working directory
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "15",  # seconds; its own 120 with 7 tries is ours to decide
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
}


def quieten() -> None:
    """MLflow's client says little, gives up soon, and lets us try again."""
    os.environ.update({key: os.environ.get(key, value) for key, value in QUIET.items()})


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
