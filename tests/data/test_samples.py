"""Samples: views, not copies, of read-only Arrow buffers; and the batches gathered from them."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path

import pyarrow as pa
import pytest
import torch

from sslsearch.data import prepare
from sslsearch.data.samples import Samples


@pytest.fixture(scope="module")
def table() -> pa.Table:
    data = {"modality": "timeseries", "source": "synthetic:60", "labels": "4 per class"}
    return prepare(data, Path()).train


def mapped(table: pa.Table) -> pa.Table:
    """The table over read-only buffers that it does not own, as out of an object store."""
    buffers: list[pickle.PickleBuffer] = []
    head = pickle.dumps(table, protocol=5, buffer_callback=buffers.append)
    return pickle.loads(head, buffers=[bytes(buffer.raw()) for buffer in buffers])  # noqa: S301


def test_columns_are_views_of_the_arrow_buffers_without_a_warning(table: pa.Table) -> None:
    there = mapped(table)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        samples = Samples.from_table(there)
    x = there["x"].chunk(0).flatten().flatten()
    valid = there["valid"].chunk(0).flatten()
    assert not x.buffers()[1].is_mutable
    assert samples.columns["x"].data_ptr() == x.buffers()[1].address
    assert samples.columns["valid"].data_ptr() == valid.buffers()[1].address
    assert samples.columns["x"].shape == (len(table), 2, 64)
    assert samples.columns["x"][3, 1].tolist() == there["x"][3].as_py()[1]


def test_the_buffers_outlive_the_table(table: pa.Table) -> None:
    there = mapped(table)
    samples = Samples.from_table(there)
    wanted = samples.columns["x"].sum().item()
    del there
    assert samples.columns["x"].sum().item() == wanted


def test_a_slice_or_several_chunks_read_the_same(table: pa.Table) -> None:
    whole = Samples.from_table(table)
    part = Samples.from_table(table.slice(5, 7))
    assert torch.equal(part.columns["x"], whole.columns["x"][5:12])
    assert torch.equal(part.labels_N, whole.labels_N[5:12])
    two = Samples.from_table(pa.concat_tables([table.slice(0, 5), table.slice(5)]))
    assert torch.equal(two.columns["x"], whole.columns["x"])


def test_labels_and_places(table: pa.Table) -> None:
    samples = Samples.from_table(table)
    assert len(samples) == 42
    assert samples.classes == ["class 0", "class 1", "class 2"]
    assert samples.labels_N.dtype == torch.int64
    assert samples.labels_N[samples.labelled].bincount().tolist() == [4, 4, 4]
    assert (samples.labels_N == -1).sum() == 30
    assert samples.groups_N is None
    assert dict(samples.spec.sizes) == {"channels": 2, "length": 64}


def test_groups_are_numbers(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("a,b,label,who\n1,2,x,p\n2,1,y,q\n3,1,x,p\n1,3,y,r\n")
    data = {"modality": "timeseries", "source": "csv:s.csv", "group": "who", "test": 0}
    samples = Samples.from_table(prepare(data, tmp_path).train)
    assert samples.groups_N is not None
    assert samples.groups_N.tolist() == [0, 1, 0, 2]


def test_a_batch_has_its_own_memory_and_says_where_it_is_from(table: pa.Table) -> None:
    samples = Samples.from_table(table)
    index_B = torch.tensor([7, 0, 7])
    batch = samples.batch(index_B, "cpu")
    before = samples.columns["x"][7].clone()
    assert torch.equal(batch.index, index_B)
    assert torch.equal(batch.x[0], before)
    batch.x.zero_()
    assert torch.equal(samples.columns["x"][7], before)
    assert batch.valid.shape == (3, 64)
    assert len(batch) == 3


def test_an_empty_test_split_still_reads() -> None:
    data = {"modality": "timeseries", "source": "synthetic:9", "test": 0}
    samples = Samples.from_table(prepare(data, Path()).test)
    assert len(samples) == 0
    assert samples.columns["x"].shape == (0, 2, 64)


@pytest.mark.gpu
def test_samples_live_on_the_device(table: pa.Table) -> None:
    samples = Samples.from_table(mapped(table)).to("cuda")
    batch = samples.batch(torch.tensor([3, 1]), "cuda")
    assert samples.columns["x"].is_cuda
    assert batch.x.is_cuda
    assert batch.valid.is_cuda
    assert samples.labels_N.device.type == "cpu"
    assert torch.equal(batch.x.cpu(), Samples.from_table(table).columns["x"][[3, 1]])
