"""Shared by all tests: tiny real data, tiny recipes, and one Ray cluster for the whole session."""

import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from sslsearch import registry
from sslsearch.data.prepare import Prepared, prepare
from sslsearch.space import Space, parse

torch.set_num_threads(1)
hypothesis.settings.register_profile("steady", derandomize=True, deadline=None)
hypothesis.settings.load_profile("steady")  # the same examples each time: no luck in CI

SPACE = """
name: tiny
data: {{modality: timeseries, source: "parquet:{source}", labels: 8 per class}}
encoder:
  conv1d: {{depth: 2, width: 16, kernel: 3, stride: 2}}
pretext:
  one_of:
    simclr: {{temperature: 0.05..1.0 log}}
    vicreg: {{}}
augment:
  subset_of:
    jitter: {{sigma: 0.01..0.50 log}}
    crop_resize: {{keep: 0.40..1.00}}
optim: {{batch_size: 8 | 16, lr: 1e-3..1e-2 log}}
probe: {{against: [untrained, raw]}}
fidelity: {{first: 32, last: 288, eta: 3}}
budget: {{trials: 4, minutes: 5}}
search: {{start_from: none}}
confirm: {{top: 1, seeds: 2}}
track: {{mlflow: none}}
"""


@pytest.fixture(scope="session")
def series_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Parquet file of 120 short two-channel series of three classes."""
    modality = registry.get("modality", "timeseries").bind({})()
    table: pa.Table = modality.synthetic(120, 0)
    path = tmp_path_factory.mktemp("data") / "tiny.parquet"
    pq.write_table(table, path)
    return path


@pytest.fixture(scope="session")
def prepared(series_file: Path) -> Prepared:
    data = {"modality": "timeseries", "source": f"parquet:{series_file}", "labels": "8 per class"}
    return prepare(data, Path.cwd())


@pytest.fixture
def space(series_file: Path) -> Space:
    return parse(SPACE.format(source=series_file))


@pytest.fixture
def space_file(series_file: Path, tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(SPACE.format(source=series_file))
    return path


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """One local Ray for all tests that need one; studies use it as they find it."""
    from sslsearch.search.cluster import cluster

    here = Path(__file__).parent
    os.environ["PYTHONPATH"] = f"{here / 'search'}:{here}"  # programs of tests, what they import
    with cluster(None):
        yield
