"""Every source of series, on files made here and on the problems that aeon ships."""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sslsearch.modalities.series_raw import Ragged
from sslsearch.modalities.timeseries import TimeSeries

RAGGED = [np.array([1.0, 2.0]), np.array([3.0]), np.array([4.0, 5.0, 6.0])]


def read(source: str, root: Path, **columns: object) -> pa.Table:
    return TimeSeries().read(source, columns, root)


def arrays(raw: pa.Table) -> list[np.ndarray]:
    """Each row as (channels, steps)."""
    ragged = Ragged.from_table(raw)
    edges, count = ragged.offsets, len(ragged.channels)
    return [ragged.values[a:b].reshape(count, -1) for a, b in pairwise(edges)]


def test_parquet_ragged_lists_keep_their_lengths(tmp_path: Path) -> None:
    pq.write_table(pa.table({"series": RAGGED, "label": ["a", "b", "a"]}), tmp_path / "s.parquet")
    raw = read("parquet:s.parquet", tmp_path)
    assert [x.tolist() for x in arrays(raw)] == [[x.tolist()] for x in RAGGED]
    assert raw["label"].to_pylist() == ["a", "b", "a"]


@pytest.mark.parametrize("kind", [pa.float32(), pa.int16()])
def test_parquet_nested_list_is_channels_by_steps(tmp_path: Path, kind: pa.DataType) -> None:
    # 3 channels of 2 steps, then of 5: whichever is smaller, the outer list is the channels.
    rows = [[[1, 2], [3, 4], [5, 6]], np.arange(15).reshape(3, 5).tolist()]
    table = pa.table({"series": pa.array(rows, pa.list_(pa.list_(kind)))})
    pq.write_table(table, tmp_path / "s.parquet")
    assert [x.tolist() for x in arrays(read("parquet:s.parquet", tmp_path))] == rows


def test_parquet_one_list_column_per_channel(tmp_path: Path) -> None:
    table = pa.table({"ax": RAGGED, "ay": [-x for x in RAGGED], "y": [1, 0, 1]})
    pq.write_table(table, tmp_path / "s.parquet")
    raw = read("parquet:s.parquet", tmp_path, series=["ax", "ay"], label="y")
    assert Ragged.from_table(raw).channels == ("ax", "ay")
    assert [x.tolist() for x in arrays(raw)] == [[x.tolist(), (-x).tolist()] for x in RAGGED]


def test_null_values_and_null_rows(tmp_path: Path) -> None:
    table = pa.table({"series": pa.array([[1.0, None], None, [2.0]])})
    pq.write_table(table, tmp_path / "s.parquet")
    raw = read("parquet:s.parquet", tmp_path)
    assert raw["steps"].to_pylist() == [2, 0, 1]
    assert np.isnan(arrays(raw)[0][0, 1])
    assert TimeSeries().usable(raw).tolist() == [True, False, True]


def test_csv_wide(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("t0,t1,t2,kind\n1,2,3,x\n4,,6,?\n7,8,,y\n")
    raw = read("csv:s.csv", tmp_path, label="kind")
    assert raw["steps"].to_pylist() == [3, 3, 2]  # empty at the end: shorter; in between: missing
    assert np.array_equal(arrays(raw)[1], [[4, np.nan, 6]], equal_nan=True)
    assert raw["label"].to_pylist() == ["x", "?", "y"]


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_long_is_sorted_by_time_within_each_series(tmp_path: Path, form: str) -> None:
    text = "who,t,a,b,y\nq,2,3,30,u\np,1,5,50,v\nq,0,1,10,u\nq,1,2,20,u\np,0,4,40,v\n"
    (tmp_path / "s.csv").write_text(text)
    if form == "parquet":
        import pyarrow.csv

        pq.write_table(pyarrow.csv.read_csv(tmp_path / "s.csv"), tmp_path / "s.parquet")
    columns = {"series": ["a", "b"], "id": "who", "time": "t", "label": "y"}
    raw = read(f"{form}:s.{form}", tmp_path, **columns)
    assert [x.tolist() for x in arrays(raw)] == [[[1, 2, 3], [10, 20, 30]], [[4, 5], [40, 50]]]
    assert raw["id"].to_pylist() == ["q", "p"]
    assert raw["label"].to_pylist() == ["u", "v"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("i,t,v,y\n1,0,1,a\n1,0,2,a\n", "two rows at one 't'"),
        ("i,t,v,y\n1,0,1,a\n1,1,2,b\n", "'y' changes within series 1"),
        ("i,t,v,y\n1,soon,1,a\n", "no order in time"),
    ],
)
def test_long_refuses_what_it_cannot_order(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "s.csv").write_text(text)
    with pytest.raises(ValueError, match=re.escape(says)):
        read("csv:s.csv", tmp_path, series="v", id="i", time="t", label="y")


TS = """# a comment
@problemName made
@timeStamps false
@univariate false
@equalLength false
@classLabel true Up Down
@data
1,2,3:4,5,6:Up
7,?:NaN,8:Down
"""


def test_ts_reads_channels_missing_values_and_labels_as_written(tmp_path: Path) -> None:
    (tmp_path / "s.ts").write_text(TS)
    raw = read("ts:s.ts", tmp_path)
    assert np.array_equal(arrays(raw)[0], [[1, 2, 3], [4, 5, 6]])
    assert np.array_equal(arrays(raw)[1], [[7, np.nan], [np.nan, 8]], equal_nan=True)
    assert raw["label"].to_pylist() == ["Up", "Down"]
    assert "split" not in raw.column_names


@pytest.mark.parametrize("written", ["m.ts", "m", "m_TRAIN.ts"])
def test_ts_pair_brings_its_split(tmp_path: Path, written: str) -> None:
    (tmp_path / "m_TRAIN.ts").write_text(TS)
    (tmp_path / "m_TEST.ts").write_text(TS + "0,0:0,0:Up\n")
    raw = read(f"ts:{written}", tmp_path)
    assert raw["split"].to_pylist() == ["train"] * 2 + ["test"] * 3
    assert len(read("ts:m_TEST.ts", tmp_path)) == 3


def test_ts_names_the_broken_line(tmp_path: Path) -> None:
    (tmp_path / "s.ts").write_text(TS + "1,2:3:Up\n")
    with pytest.raises(ValueError, match=r"s\.ts:10: channels of 2, 1 steps"):
        read("ts:s.ts", tmp_path)
    (tmp_path / "r.ts").write_text("@targetLabel true\n@data\n1,2:0.5\n")
    with pytest.raises(ValueError, match="only classes are read"):
        read("ts:r.ts", tmp_path)


def test_npz_takes_the_second_axis_for_channels(tmp_path: Path) -> None:
    # Eight channels of three steps: guessing by the smallest size would turn them over.
    x_NCT = np.random.default_rng(0).standard_normal((5, 8, 3))
    np.savez(tmp_path / "s.npz", X=x_NCT, y=np.arange(5))
    raw = read("npz:s.npz", tmp_path)
    assert np.array_equal(np.stack(arrays(raw)), x_NCT)
    assert raw["label"].to_pylist() == [0, 1, 2, 3, 4]
    np.savez(tmp_path / "u.npz", X=x_NCT[:, 0])
    assert arrays(read("npz:u.npz", tmp_path))[0].shape == (1, 3)


def test_npz_splits_and_refuses_objects(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "s.npz",
        X_train=np.zeros((4, 2, 3)),
        y_train=np.array(["a", "b", "a", "b"]),
        X_test=np.ones((2, 2, 3)),
        y_test=np.array(["a", "b"]),
    )
    raw = read("npz:s.npz", tmp_path)
    assert raw["split"].to_pylist() == ["train"] * 4 + ["test"] * 2
    ragged = np.empty(3, object)
    ragged[:] = RAGGED
    np.savez(tmp_path / "o.npz", X=ragged)
    with pytest.raises(ValueError, match="never loaded; write series of unequal length"):
        read("npz:o.npz", tmp_path)


@pytest.mark.parametrize(
    ("name", "sizes", "shape"),
    [
        ("OSULeaf", (200, 242), (1, 427)),
        ("BasicMotions", (40, 40), (6, 100)),
        ("JapaneseVowels", (270, 370), (12, None)),
        ("PickupGestureWiimoteZ", (50, 50), (1, None)),
    ],
)
def test_aeon_ships_these_with_their_split(
    name: str, sizes: tuple[int, int], shape: tuple[int, int | None]
) -> None:
    raw = read(f"aeon:{name}", Path("/nowhere"))
    split = raw["split"].to_pylist()
    assert (split.count("train"), split.count("test")) == sizes
    x_CT = arrays(raw)[0]
    assert x_CT.shape[0] == shape[0]
    assert shape[1] in (None, x_CT.shape[1])


@pytest.mark.parametrize("name", ["JapaneseVowels", "BasicMotions"])
def test_ts_reader_agrees_with_aeons_own(name: str) -> None:
    from aeon.datasets import load_classification  # seconds of imports: only here

    series, labels = load_classification(name, split="TRAIN")
    raw = read(f"aeon:{name}", Path())
    ours = arrays(raw)[: len(series)]
    assert all(np.array_equal(a, b) for a, b in zip(ours, series, strict=True))
    assert [x.lower() for x in raw["label"].to_pylist()[: len(series)]] == labels.tolist()


def test_reading_an_aeon_problem_imports_neither_aeon_nor_numba() -> None:
    code = (
        "import sys; from pathlib import Path; "
        "from sslsearch.modalities.timeseries import TimeSeries; "
        "TimeSeries().read('aeon:GunPoint', {}, Path()); "
        "print([m for m in ('aeon', 'numba', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_unknown_names_say_what_is_near(tmp_path: Path) -> None:
    pq.write_table(pa.table({"serie": RAGGED, "y": [1, 2, 3]}), tmp_path / "s.parquet")
    with pytest.raises(ValueError, match="did you mean 'OSULeaf'"):
        read("aeon:OSULeef", tmp_path)
    with pytest.raises(ValueError, match="did you mean 'parquet'"):
        read("parqet:s.parquet", tmp_path)
    with pytest.raises(ValueError, match=r"did you mean 's\.parquet'"):
        read("parquet:t.parquet", tmp_path)
    with pytest.raises(ValueError, match=r"s\.parquet.*list columns.*serie"):
        read("parquet:s.parquet", tmp_path)
    with pytest.raises(ValueError) as caught:
        read("parquet:s.parquet", tmp_path, series="series")
    message = str(caught.value)
    assert "\n" not in message
    assert all(
        part in message
        for part in ("s.parquet", "no column 'series'", "did you mean 'serie'", "serie, y")
    )


def test_uneven_channels_name_the_row(tmp_path: Path) -> None:
    pq.write_table(pa.table({"series": [[[1.0], [2.0]], [[3.0]]]}), tmp_path / "c.parquet")
    with pytest.raises(ValueError, match=r"row 1 .* has 1 channels, others 2"):
        read("parquet:c.parquet", tmp_path)
    pq.write_table(pa.table({"series": [[[1.0], [2.0, 3.0]]]}), tmp_path / "s.parquet")
    with pytest.raises(ValueError, match=r"channels of row 0 .* have \[1, 2\] steps"):
        read("parquet:s.parquet", tmp_path)
    pq.write_table(pa.table({"a": [[1.0], [2.0]], "b": [[1.0], []]}), tmp_path / "l.parquet")
    with pytest.raises(ValueError, match=r"row 1 .* not as many steps in 'b'"):
        read("parquet:l.parquet", tmp_path, series=["a", "b"])


def test_infinite_values_name_their_row(tmp_path: Path) -> None:
    pq.write_table(pa.table({"series": [[1.0], [], [2.0, np.inf]]}), tmp_path / "s.parquet")
    with pytest.raises(ValueError, match=r"s\.parquet: row 2 .*infinite.*NaN"):
        read("parquet:s.parquet", tmp_path)


def test_text_is_not_taken_for_steps(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("name,t0,t1\nx,1,2\n")
    with pytest.raises(ValueError, match=r"column 'name' holds string.*data\.columns\.series"):
        read("csv:s.csv", tmp_path)
    assert arrays(read("csv:s.csv", tmp_path, series=["t0", "t1"]))[0].tolist() == [[1, 2]]
