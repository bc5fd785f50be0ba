"""From raw series to tensors: lengths, missing values, normalisation, and what is said of them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from sslsearch.modalities import series_tensors
from sslsearch.modalities.series_raw import Ragged
from sslsearch.modalities.timeseries import TimeSeries

NAN = np.nan


def raw_of(*rows: Any) -> pa.Table:
    """Each row is channels x steps, or steps of one channel."""
    rows_CT = [np.atleast_2d(np.array(row, float)) for row in rows]
    values = np.concatenate([x.ravel() for x in rows_CT])
    steps_N = np.array([x.shape[1] for x in rows_CT])
    return Ragged(values, steps_N, tuple("abcdef"[: len(rows_CT[0])])).to_table("here")


def tensors(raw: pa.Table, **rules: Any) -> tuple[np.ndarray, np.ndarray]:
    modality = TimeSeries(**rules)
    state = modality.fit(raw)
    table = modality.preprocess(raw, state)
    length, channels = state["length"], len(state["channels"])
    x = table["x"].combine_chunks().flatten().flatten().to_numpy()
    valid = table["valid"].combine_chunks().flatten().to_numpy().astype(bool)
    return x.reshape(-1, channels, length), valid.reshape(-1, length)


def test_per_series_is_a_z_score_of_each_channel_over_its_own_steps() -> None:
    rng = np.random.default_rng(0)
    rows = [rng.normal(5, 3, (2, n)) for n in (9, 4)]
    x_NCT, valid_NT = tensors(raw_of(*rows))
    for x_CT, row, valid_T in zip(x_NCT, rows, valid_NT, strict=True):
        n = row.shape[1]
        wanted = (row - row.mean(1, keepdims=True)) / row.std(1, keepdims=True)
        np.testing.assert_allclose(x_CT[:, :n], wanted, rtol=1e-5, atol=1e-6)
        assert (x_CT[:, n:] == 0).all()
        assert valid_T.tolist() == [True] * n + [False] * (9 - n)


def test_a_signal_far_from_zero_is_not_lost_in_rounding() -> None:
    wave = np.sin(np.arange(50.0))
    x_NCT, _ = tensors(raw_of(wave, wave + 1e7))
    np.testing.assert_allclose(x_NCT[0], x_NCT[1], atol=1e-5)


def test_resample_stretches_linearly_to_the_longest() -> None:
    x_NCT, valid_NT = tensors(
        raw_of([0, 2, 4], [0, 1, 2, 3, 4]), unequal="resample", normalise="none"
    )
    assert x_NCT[0, 0].tolist() == [0, 1, 2, 3, 4]
    assert x_NCT[1, 0].tolist() == [0, 1, 2, 3, 4]
    assert valid_NT.all()
    x_NCT, _ = tensors(raw_of([7], [1, 2, 3]), unequal="resample", normalise="none")
    assert x_NCT[0, 0].tolist() == [7, 7, 7]


def test_mask_hides_steps_that_no_channel_has_and_fills_other_gaps_with_the_mean() -> None:
    raw = raw_of([[1, NAN, 3, NAN], [5, 6, 7, NAN]])
    x_NCT, valid_NT = tensors(raw, normalise="none")
    assert valid_NT[0].tolist() == [True, True, True, False]
    assert x_NCT[0].tolist() == [[1, 2, 3, 0], [5, 6, 7, 0]]
    x_NCT, _ = tensors(raw)
    assert x_NCT[0, 0, 1] == 0
    np.testing.assert_allclose(x_NCT[0, 0, [0, 2]], [-1, 1], atol=1e-6)


def test_interpolate_draws_a_line_and_holds_the_ends() -> None:
    raw = raw_of([NAN, 1, NAN, NAN, 4, NAN], [1, NAN, 3])
    x_NCT, valid_NT = tensors(raw, missing="interpolate", normalise="none")
    np.testing.assert_allclose(x_NCT[0, 0], [1, 1, 2, 3, 4, 4])
    np.testing.assert_allclose(x_NCT[1, 0], [1, 2, 3, 0, 0, 0])
    assert valid_NT.sum(1).tolist() == [6, 3]  # padding is never filled


def test_interpolate_then_resample() -> None:
    raw = raw_of([0, NAN, 4], [1, 1, 1, 1, 1])
    x_NCT, valid_NT = tensors(raw, missing="interpolate", unequal="resample", normalise="none")
    np.testing.assert_allclose(x_NCT[0, 0], [0, 1, 2, 3, 4])
    assert valid_NT.all()


@pytest.mark.parametrize("normalise", ["per_series", "per_channel", "none"])
@pytest.mark.parametrize("missing", ["mask", "interpolate"])
def test_constant_and_wholly_missing_channels_stay_finite(normalise: str, missing: str) -> None:
    raw = raw_of([[0.1, 0.1, 0.1], [1, 2, 3]], [[NAN, NAN, NAN], [1, 2, 4]])
    x_NCT, valid_NT = tensors(raw, normalise=normalise, missing=missing)
    assert np.isfinite(x_NCT).all()
    assert valid_NT.all()
    if normalise != "none":
        np.testing.assert_allclose(x_NCT[:, 0], 0, atol=1e-15)


def test_per_channel_uses_the_training_pool_alone() -> None:
    train, test = raw_of([0, 2], [4, 6, NAN]), raw_of([100, 3, 3, 3])
    modality = TimeSeries(normalise="per_channel")
    state = modality.fit(train, [test])
    assert state["mean"] == [3.0]
    assert state["std"] == pytest.approx([np.sqrt(5)])
    assert state["length"] == 4  # a size may come from the test split, a statistic may not


def test_state_survives_json_and_rows_do_not_depend_on_each_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(1)
    rows = [rng.normal(3, 2, (2, n)) for n in rng.integers(3, 30, 20)]
    rows[3][0, 1] = NAN
    raw = raw_of(*rows)
    for rules in ({}, {"normalise": "per_channel", "unequal": "resample"}):
        state = TimeSeries(**rules).fit(raw)
        again = json.loads(json.dumps(state))
        whole = TimeSeries(**rules).preprocess(raw, state)
        assert TimeSeries(**again["rules"]).preprocess(raw, again).equals(whole)
        part = TimeSeries(**rules).preprocess(raw.slice(5, 4), state)
        assert part.equals(whole.slice(5, 4).combine_chunks())
        monkeypatch.setattr(series_tensors, "BLOCK", 100)
        assert TimeSeries(**rules).preprocess(raw, state).equals(whole)
        monkeypatch.undo()


def test_new_series_that_are_longer_are_cut_and_it_is_said() -> None:
    modality = TimeSeries(normalise="none")
    state = modality.fit(raw_of([1, 2, 3]))
    longer = raw_of([1, 2, 3, 4, 5])
    assert modality.preprocess(longer, state)["x"].to_pylist() == [[[1, 2, 3]]]
    assert any("1 series are longer than 3 steps" in n for n in modality.describe(longer, state))
    with pytest.raises(ValueError, match="have 2 channels"):
        modality.preprocess(raw_of([[1], [2]]), state)


def test_describe_counts_what_is_odd() -> None:
    modality = TimeSeries()
    raw = raw_of([1, 2, NAN], [4, 4], [NAN, NAN, 3])
    notes = " ".join(modality.describe(raw, modality.fit(raw)))
    assert "2 to 3 steps long: shorter ones are padded at the end to 3" in notes
    assert "3 values are missing in 2 series" in notes
    assert "2 series are constant: such a channel becomes zeros" in notes
    plain = raw_of([1, 2], [3, 4])
    assert modality.describe(plain, modality.fit(plain)) == []


def test_collate_gathers_channels_and_validity_into_its_own_memory() -> None:
    columns = {
        "x": torch.arange(24.0).view(4, 2, 3),
        "valid": torch.tensor([[1, 1, 0]] * 4, dtype=torch.uint8),
    }
    batch = TimeSeries().collate(columns, torch.tensor([2, 0]))
    assert torch.equal(batch.x, columns["x"][[2, 0]])
    assert batch.valid.dtype == torch.bool
    assert batch.valid.tolist() == [[True, True, False]] * 2
    batch.x.zero_()
    assert columns["x"][2].any()


def test_synthetic_is_repeatable_and_can_be_learnt() -> None:
    modality = TimeSeries()
    raw = modality.synthetic(120, seed=3)
    assert raw.equals(modality.synthetic(120, seed=3))
    assert not raw.equals(modality.synthetic(120, seed=4))
    x_NCT = np.stack([np.array(r).reshape(2, -1) for r in raw["series"].to_pylist()])
    label_N = np.array(raw["label"].to_pylist())
    power_NF = np.abs(np.fft.rfft(x_NCT))[:, :, 1:10].reshape(len(x_NCT), -1)
    means = {c: power_NF[:60][label_N[:60] == c].mean(0) for c in np.unique(label_N)}
    guess = [min(means, key=lambda c: np.linalg.norm(p - means[c])) for p in power_NF[60:]]
    assert np.mean(np.array(guess) == label_N[60:]) > 0.95
