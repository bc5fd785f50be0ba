"""Preprocessing as tensor arithmetic is the preprocessing: same x, same valid."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from scipy.special import ndtri

from sslsearch import registry
from sslsearch.data.samples import Samples
from sslsearch.data.store import table_of
from sslsearch.modalities.base import Modality
from sslsearch.modalities.table_input import normal_score
from sslsearch.values import Batch


def batches(modality: Modality, raw: pa.Table, state: dict[str, Any]) -> tuple[Batch, Any]:
    """By the modality's own way, and by arithmetic."""
    tensors = modality.preprocess(raw, state)
    none = np.full(len(raw), -1, np.int64)
    table = table_of(tensors, raw, modality.spec(state), [], none, np.full(len(raw), "new"))
    own = Samples.from_table(table).batch(torch.arange(len(raw)), "cpu")
    given = modality.raw_input(state)
    return own, given(*(torch.tensor(array) for array in given.arrays(raw)))


@pytest.mark.parametrize("smaller", [False, True])
@pytest.mark.parametrize("missing", ["mask", "interpolate"])
@pytest.mark.parametrize("unequal", ["pad", "resample"])
@pytest.mark.parametrize("normalise", ["per_series", "per_channel", "none"])
def test_series(normalise: str, unequal: str, missing: str, smaller: bool) -> None:
    rules = {"normalise": normalise, "unequal": unequal, "missing": missing}
    modality: Modality = registry.get("modality", "timeseries").bind(rules)()
    state = modality.fit(modality.synthetic(30, 0))
    state["mean"], state["std"] = [1e6, -3.0], [2.0, 0.5]  # far from zero: float32 would lose it
    raw = modality.raw_input(state).made_up(23, np.random.default_rng(0), smaller=smaller)
    own, (x_BCT, valid_BT) = batches(modality, raw, state)
    T = x_BCT.shape[-1]
    assert T == 42 if smaller and unequal == "pad" and missing == "mask" else T == 64
    assert torch.equal(own.valid[:, :T], valid_BT)
    assert not own.valid[:, T:].any(), "what a graph leaves out is padding"
    torch.testing.assert_close(x_BCT, own.x[..., :T], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("normalise", ["quantile", "standard", "none"])
@pytest.mark.parametrize("seed", [0, 1])
def test_tables(normalise: str, seed: int) -> None:
    modality: Modality = registry.get("modality", "tabular").bind({"normalise": normalise})()
    state = modality.fit(modality.synthetic(200, seed))
    assert state["numbers"]
    assert state["categories"]
    raw = modality.raw_input(state).made_up(301, np.random.default_rng(seed))
    own, (x, valid_BF) = batches(modality, raw, state)
    assert torch.equal(own.valid, valid_BF)
    assert not valid_BF.all()
    assert torch.equal(own.x["code"], x["code"])
    torch.testing.assert_close(x["number"], own.x["number"], rtol=1e-6, atol=1e-6)


def test_quantiles_that_repeat() -> None:
    """Most values of a column are zero: their score is the middle of their places."""
    modality: Modality = registry.get("modality", "tabular").bind({})()
    amounts = np.concatenate([np.zeros(700), np.arange(1, 301)])
    table = pa.table({"amount": amounts, "other": np.random.default_rng(0).random(1000)})
    state = modality.fit(modality.of_table(table, {}, "here"))
    asked = np.array([-5.0, 0.0, 0.5, 1.0, 299.5, 300.0, 999.0, np.nan])
    raw = modality.of_table(pa.table({"amount": asked, "other": np.zeros(8)}), {}, "here")
    own, (x, _) = batches(modality, raw, state)
    torch.testing.assert_close(x["number"], own.x["number"], rtol=1e-6, atol=1e-6)


def test_images() -> None:
    modality: Modality = registry.get("modality", "image").bind({})()
    state = modality.fit(modality.synthetic(9, 0))
    raw = modality.raw_input(state).made_up(5, np.random.default_rng(0))
    own, (x_BCHW, valid_B1) = batches(modality, raw, state)
    assert torch.equal(own.valid, valid_B1)
    torch.testing.assert_close(x_BCHW, own.x, rtol=0, atol=1e-7)


def test_normal_score_against_scipy() -> None:
    share = torch.linspace(1e-9, 1 - 1e-9, 20_001, dtype=torch.float64)
    torch.testing.assert_close(normal_score(share), torch.from_numpy(ndtri(share.numpy())))


def test_graphs_say_why_not() -> None:
    modality: Modality = registry.get("modality", "graph").bind({})()
    with pytest.raises(ValueError, match="edges"):
        modality.raw_input({"modality": "graph"})
