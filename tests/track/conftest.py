"""Fixtures: an empty MLflow, a small trained encoder, and the data that it was trained on."""

from pathlib import Path

import pytest
from exported import exported as exported
from exported import waves as waves

from sslsearch.track.mlflow import Tracker


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory) -> Path:
    """An MLflow database with its tables: making them takes seconds, copying them does not."""
    folder = tmp_path_factory.mktemp("empty")
    tracker = Tracker(folder, f"sqlite:///{folder}/mlflow.db", "warm")
    tracker.study()
    tracker.close(60)
    return folder / "mlflow.db"
