"""Long series cut into windows: which there are, in which split, and what they share."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from sslsearch.data import Prepared, prepare
from sslsearch.data.samples import Samples
from sslsearch.modalities.series_raw import Ragged
from sslsearch.modalities.timeseries import TimeSeries

STEPS, WINDOW, HORIZON = 100, 20, 8


def write(root: Path, days: int = STEPS) -> np.ndarray:
    """A csv of two channels, one row per day; its numbers say where they lie."""
    x_TC = np.stack([np.arange(days), 1000.0 + np.arange(days)], 1)
    lines = [f"{np.datetime64('2020-01-01') + t},{a},{b}" for t, (a, b) in enumerate(x_TC)]
    (root / "s.csv").write_text("\n".join(["date,a,b", *lines]) + "\n")
    return x_TC


def run(root: Path, **rules: Any) -> Prepared:
    asked = {"window": WINDOW, "horizon": HORIZON, "periods": [60, 20, 20], **rules}
    data = {"modality": "timeseries", "source": "csv:s.csv", "normalise": "none", **asked}
    return prepare({key: value for key, value in data.items() if value is not None}, root)


def begins(table: pa.Table) -> list[int]:
    return [int(name) for name in table["id"].to_pylist()]


def by_a_slow_loop(stride: int) -> dict[str, list[int]]:
    """Every window whose last steps all lie in one of the periods 0..60, 60..80, 80..100."""
    found: dict[str, list[int]] = {"train": [], "val": [], "test": []}
    borders = {"train": (0, 60), "val": (60, 80), "test": (80, 100)}
    for begin in range(0, STEPS - WINDOW + 1, stride):
        told = range(begin + WINDOW - HORIZON, begin + WINDOW)
        for word, (low, high) in borders.items():
            if all(low <= step < high for step in told):
                found[word].append(begin)
    return found


@pytest.mark.parametrize("stride", [1, 3])
def test_windows_are_those_of_a_slow_loop(stride: int, tmp_path: Path) -> None:
    x_TC = write(tmp_path)
    done = run(tmp_path, stride=stride)
    want = by_a_slow_loop(stride)
    assert begins(done.test) == want["test"]
    role = np.array(done.train["role"].to_pylist())
    begin = np.array(begins(done.train))
    assert begin[role == "pool"].tolist() == want["train"]
    assert begin[role == "val"].tolist() == want["val"]
    for table in (done.train, done.test):
        samples = Samples.from_table(table)
        x_NCT = samples.batch(torch.arange(len(samples)), "cpu").x.numpy()
        for x_CT, at in zip(x_NCT, begins(table), strict=True):
            assert np.array_equal(x_CT.T, x_TC[at : at + WINDOW])


def test_splits_share_no_step_of_their_horizons_but_inputs_reach_back(tmp_path: Path) -> None:
    write(tmp_path)
    done = run(tmp_path)
    role = np.array(done.train["role"].to_pylist())
    begin = np.array(begins(done.train))
    told = [
        {at + WINDOW - 1 - back for at in side for back in range(HORIZON)}
        for side in (begin[role == "pool"], begin[role == "val"], begins(done.test))
    ]
    assert told[0] | told[1] | told[2] == set(range(WINDOW - HORIZON, STEPS))
    assert sum(map(len, told)) == len(told[0] | told[1] | told[2])
    assert min(begins(done.test)) == 80 - (WINDOW - HORIZON)


def test_without_a_horizon_splits_share_no_step_at_all(tmp_path: Path) -> None:
    write(tmp_path)
    done = run(tmp_path, horizon=None)
    assert min(begins(done.test)) == 80
    assert max(begins(done.train)) == 80 - WINDOW
    assert done.spec.sizes["horizon"] == WINDOW


def test_shares_are_the_same_as_steps(tmp_path: Path) -> None:
    write(tmp_path)
    steps, shares = run(tmp_path), run(tmp_path, periods=[0.6, 0.2, 0.2])
    assert steps.train["id"] == shares.train["id"]
    assert begins(steps.test) == begins(shares.test)


@pytest.mark.parametrize("stride", [1, 3, 13])
def test_statistics_are_those_of_each_training_step_once(stride: int, tmp_path: Path) -> None:
    x_TC = write(tmp_path)
    done = run(tmp_path, stride=stride, normalise="per_channel", periods=[60, 20, 20])
    last = max(by_a_slow_loop(stride)["train"]) + WINDOW
    seen = np.zeros(STEPS, bool)
    for at in by_a_slow_loop(stride)["train"]:
        seen[at : at + WINDOW] = True
    assert seen[:last].sum() == seen.sum()
    np.testing.assert_allclose(done.preprocess["mean"], x_TC[seen].mean(0))
    np.testing.assert_allclose(done.preprocess["std"], x_TC[seen].std(0))


def test_validation_judges_and_is_not_pretrained_on(tmp_path: Path) -> None:
    write(tmp_path)
    done = run(tmp_path)
    samples = Samples.from_table(done.train)
    want = by_a_slow_loop(1)
    assert (len(samples.pool), int(samples.judges_N.sum())) == (
        len(want["train"]),
        len(want["val"]),
    )
    assert done.summary["pool"] == len(want["train"])
    assert not samples.judges_N[samples.pool].any()
    shown = samples.showing(torch.arange(len(samples)))
    assert shown.judging is not None
    assert torch.equal(shown.judging, samples.judges_N)


def test_windows_one_group_apart_share_no_step(tmp_path: Path) -> None:
    write(tmp_path)
    done = run(tmp_path)
    samples = Samples.from_table(done.train)
    assert samples.groups_N is not None
    begin, groups = np.array(begins(done.train)), samples.groups_N.numpy()
    order = list(dict.fromkeys(groups.tolist()))
    role = np.array(done.train["role"].to_pylist())
    for first, third in zip(order, order[2:], strict=False):
        if len({*role[groups == first], *role[groups == third]}) == 1:
            assert begin[groups == third].min() >= begin[groups == first].max() + WINDOW
    test = Samples.from_table(done.test)
    assert test.groups_N is not None
    assert not set(test.groups_N.tolist()) & set(groups.tolist())


def test_rows_of_a_csv_are_put_in_the_order_of_their_dates(tmp_path: Path) -> None:
    x_TC = write(tmp_path)
    lines = (tmp_path / "s.csv").read_text().splitlines()
    (tmp_path / "s.csv").write_text("\n".join([lines[0], *lines[:0:-1]]) + "\n")
    first = Samples.from_table(run(tmp_path).train).batch(torch.tensor([0]), "cpu")
    assert np.array_equal(first.x[0].numpy().T, x_TC[:WINDOW])


def test_several_series_keep_to_themselves(tmp_path: Path) -> None:
    who = ["p"] * 60 + ["q"] * 80 + ["too short"] * 3
    rows = {"who": who, "t": [*range(60), *range(80), *range(3)], "v": np.arange(143.0)}
    pq.write_table(pa.table(rows), tmp_path / "s.parquet")
    rule = TimeSeries(window=10, periods=[0.5, 0.25, 0.25])
    raw = rule.read("parquet:s.parquet", {"id": "who", "time": "t", "series": "v"}, tmp_path)
    values = Ragged.from_table(raw).values.reshape(-1, 10)
    assert (np.diff(values) == 1).all()  # none reaches from one series into the other
    own = {name.split(":")[0] for name in raw["id"].to_pylist()}
    assert own == {"p", "q"}
    assert set(raw["split"].to_pylist()) == {"train", "val", "test"}


def test_what_is_embedded_later_is_cut_into_all_its_windows(tmp_path: Path) -> None:
    write(tmp_path)
    rule = TimeSeries(window=WINDOW, stride=5, horizon=HORIZON, periods=[60, 20, 20])
    raw = rule.read("csv:s.csv", {}, tmp_path, unlabelled=True)
    assert begins(raw) == list(range(0, STEPS - WINDOW + 1, 5))
    assert "split" not in raw.column_names


def test_lists_that_come_with_a_split_keep_it(tmp_path: Path) -> None:
    series = [np.arange(30.0), np.arange(25.0), np.arange(40.0)]
    table = {"series": series, "split": ["train", "test", "val"], "label": ["a", "b", "a"]}
    pq.write_table(pa.table(table), tmp_path / "s.parquet")
    raw = TimeSeries(window=10, stride=10).read("parquet:s.parquet", {}, tmp_path)
    assert raw["split"].to_pylist() == ["train"] * 3 + ["test"] * 2 + ["val"] * 4
    assert raw["label"].to_pylist() == ["a"] * 3 + ["b"] * 2 + ["a"] * 4


@pytest.mark.parametrize(
    ("rules", "law"),
    [
        ({"window": None}, "data.horizon is of windows: write data.window"),
        ({"window": 500}, "no series has 500 steps (the longest has 100)"),
        ({"horizon": 21}, "21 steps are more than data.window has (20)"),
        ({"periods": [60, 20]}, "are not the periods of train, validation and test"),
        ({"periods": [0.6, 0.2, 0.0]}, "only the second may be 0"),
        ({"periods": [0.6, 0.3, 0.2]}, "are not the periods of train, validation and test"),
        ({"periods": [90, 20, 20]}, "130 steps are more than a series of 100 has"),
        (
            {"periods": [90, 5, 5]},
            "in the period of val (5) no window of 20 steps ends 8 steps long",
        ),
    ],
)
def test_what_is_wrong_is_said(rules: dict[str, Any], law: str, tmp_path: Path) -> None:
    write(tmp_path)
    with pytest.raises(ValueError, match=re.escape(law)):
        run(tmp_path, **rules)


def test_made_up_series_are_long_where_windows_are_asked_for() -> None:
    rule = {"modality": "timeseries", "source": "synthetic:400", "window": 24, "horizon": 6}
    done = prepare({**rule, "normalise": "per_channel"}, Path())
    assert done.spec.sizes == {"channels": 3, "length": 24, "stride": 1, "horizon": 6}
    again = prepare({**rule, "normalise": "per_channel"}, Path())
    assert done.test["x"] == again.test["x"]
