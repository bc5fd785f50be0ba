"""`sslsearch embed`: a file in, Parquet with embeddings and predictions out, row for row."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import sslsearch
from sslsearch.doors import enter
from sslsearch.embed import Progress, columns_of, samples_of, source_of

if TYPE_CHECKING:
    from exported import Exported


@pytest.fixture
def table(exported: Exported, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pa.Table:
    """The test samples of the training data as lists, row 4 empty; saved as my.parquet in cwd."""
    monkeypatch.chdir(tmp_path)
    waves = np.load(exported.root / "waves.npz")
    series: list[Any] = waves["X_test"].tolist()
    series[4] = [[np.nan] * 7] * 2
    made = pa.table(
        {
            "x": series,
            "y": waves["y_test"],
            "id": np.arange(30, dtype=np.int32) * 7,
            "split": ["test"] * 30,
            "other": np.zeros(30),
        }
    )
    pq.write_table(made, "my.parquet")
    return made


def embed(exported: Exported, *words: str) -> int:
    return enter("embed", [str(exported.folder), *words])


def test_rows_keep_their_order_and_what_is_said_of_them(
    exported: Exported, table: pa.Table, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["my.parquet", "--to", "sub/out.parquet", "--columns", "series=x,label=y"]
    assert embed(exported, *words, "--batch", "7") == 0
    out = pq.read_table("sub/out.parquet")
    assert out.schema.names == ["id", "label", "split", "embedding", "prediction", "probability"]
    assert out["id"].type == pa.int32()
    assert out["id"].equals(table["id"])
    assert out["label"].to_pylist() == [str(y) for y in table["y"].to_pylist()]
    width = sslsearch.load(exported.folder).width
    assert out["embedding"].type == pa.list_(pa.float32(), width)
    assert "30 rows, 1 of them empty," in capsys.readouterr().out
    assert sorted(p.name for p in Path("sub").iterdir()) == ["out.parquet"]

    here = np.flatnonzero(np.arange(30) != 4)
    for name in ("prediction", "probability"):
        assert out[name].null_count == 1
        assert out[name][4].as_py() is None
    rows_ND = np.array(out["embedding"].to_pylist())
    assert np.isnan(rows_ND[4]).all()
    np.testing.assert_allclose(rows_ND[here], exported.test_ND[here], atol=1e-5)
    proba_NK = exported.probe.predict_proba(exported.test_ND[here])
    assert out["prediction"].take(here).to_pylist() == [str(k) for k in proba_NK.argmax(1)]
    np.testing.assert_allclose(out["probability"].take(here), proba_NK.max(1), atol=1e-5)


def test_the_file_says_where_it_comes_from(exported: Exported, table: pa.Table) -> None:
    assert embed(exported, "parquet:my.parquet", "--to", "o.parquet", "--columns", "series=x") == 0
    metadata = pq.read_schema("o.parquet").metadata
    assert metadata[b"sslsearch.recipe_hash"].decode() == exported.recipe.hash
    assert metadata[b"sslsearch.version"].decode() == sslsearch.__version__
    assert metadata[b"sslsearch.source"] == b"parquet:my.parquet"


def test_unlabelled_npz(exported: Exported, table: pa.Table) -> None:
    np.savez("new.npz", X=np.load(exported.root / "waves.npz")["X_test"])
    assert embed(exported, "new.npz", "--to", "o.parquet") == 0
    out = pq.read_table("o.parquet")
    assert out.schema.names == ["embedding", "prediction", "probability"]
    rows_ND = np.array(out["embedding"].to_pylist())
    np.testing.assert_allclose(rows_ND, exported.test_ND, atol=1e-5)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["none.parquet"], "there is no file"),
        (["my"], "write as in parquet:my"),
        (["my.xyz"], "unknown scheme 'xyz'"),
        (["my.parquet"], "data.columns.series"),
        (["my.parquet", "--columns", "series"], "write role=column"),
        (["my.parquet", "--columns", "series=z"], "no column 'z'"),
        (["my.parquet", "--columns", "series=x", "--batch", "0"], "at least 1"),
        (["one.npz"], "1 channels"),
    ],
)
def test_wrong_input_is_one_line_and_no_file(
    exported: Exported,
    table: pa.Table,
    words: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    np.savez("one.npz", X=np.zeros((3, 40)) + np.arange(40))
    assert embed(exported, *words, "--to", "o.parquet") == 2
    error = capsys.readouterr().err
    assert error.startswith("sslsearch embed: ")
    assert said.lower() in error.lower()
    assert error.count("\n") == 1
    assert not list(Path().glob("o.parquet*"))


def test_no_encoder_there(table: pa.Table, capsys: pytest.CaptureFixture[str]) -> None:
    assert enter("embed", ["nowhere", "my.parquet", "--to", "o.parquet"]) == 2
    assert "nowhere is not a folder" in capsys.readouterr().err


def test_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("csv:odd.npz").touch()
    assert source_of("aeon:GunPoint") == "aeon:GunPoint"
    assert source_of("a/b.CSV") == "csv:a/b.CSV"
    assert source_of("csv:odd.npz") == "npz:csv:odd.npz", "a file of that name comes first"


def test_columns() -> None:
    assert columns_of(["label=y,series=a", "series=b", "group="]) == {
        "label": "y",
        "series": ["a", "b"],
        "group": None,
    }


@pytest.fixture
def many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pa.Table:
    """3,000 series of two channels and 40 steps, in three files of one row group each."""
    monkeypatch.chdir(tmp_path)
    x_NCT = np.random.default_rng(0).standard_normal((3_000, 2, 40))
    made = pa.table({"series": x_NCT.tolist(), "id": np.arange(3_000)})
    Path("parts").mkdir()
    for part in range(3):
        pq.write_table(made.slice(1_000 * part, 1_000), f"parts/{part}.parquet")
    return made


@pytest.mark.parametrize("said", ["parts", "parquet:parts", "parts/*.parquet"])
def test_many_files_in_order(exported: Exported, many: pa.Table, said: str) -> None:
    assert embed(exported, said, "--to", "o.parquet", "--batch", "512") == 0
    out = pq.read_table("o.parquet")
    assert out["id"].to_pylist() == list(range(3_000))
    wanted = sslsearch.load(exported.folder).embed(
        np.array(many["series"][1_500:1_503].to_pylist())
    )
    np.testing.assert_allclose(out["embedding"][1_500:1_503].to_pylist(), wanted, atol=1e-5)


def test_parquet_is_never_held_whole(exported: Exported, tmp_path: Path) -> None:
    """Of one row group of 37 MiB Arrow holds some batches and buffers at any moment."""
    x_NCT = np.random.default_rng(0).standard_normal((60_000, 2, 40))
    steps = pa.FixedSizeListArray.from_arrays(pa.array(x_NCT.ravel()), 40)
    series = pa.FixedSizeListArray.from_arrays(steps, 2)
    nested = series.cast(pa.list_(pa.list_(pa.float64())))
    options = {"row_group_size": 60_000, "use_dictionary": False, "compression": "none"}
    pq.write_table(pa.table({"series": nested}), tmp_path / "large.parquet", **options)
    del steps, series, nested
    trained = sslsearch.load(exported.folder)
    samples = samples_of(trained, f"parquet:{tmp_path}/large.parquet", {}, 500)
    before, held, rows = pa.total_allocated_bytes(), 0, 0
    for raw in samples.parts:
        rows += len(raw)
        assert len(raw) <= 500
        held = max(held, pa.total_allocated_bytes() - before)
    assert rows == samples.rows == 60_000
    assert held < x_NCT.nbytes / 4


def test_files_of_other_columns(
    exported: Exported, many: pa.Table, capsys: pytest.CaptureFixture[str]
) -> None:
    pq.write_table(many.drop_columns("id").slice(0, 5), "parts/3.parquet")
    assert embed(exported, "parts", "--to", "o.parquet") == 2
    assert "parts/3.parquet has other columns than parts/0.parquet" in capsys.readouterr().err
    Path("parts/3.parquet").write_text("no Parquet")
    assert embed(exported, "parts", "--to", "o.parquet") == 2
    assert "no Parquet file" in capsys.readouterr().err
    assert not list(Path().glob("o.parquet*"))


def test_one_row_a_step_is_read_whole(exported: Exported, many: pa.Table) -> None:
    x_CT = np.array(many["series"][0].as_py())
    steps = {"id": np.zeros(40, np.int64), "t": np.arange(40)[::-1]}
    pq.write_table(pa.table({**steps, "a": x_CT[0][::-1], "b": x_CT[1][::-1]}), "long.parquet")
    words = ["long.parquet", "--to", "o.parquet", "--columns", "time=t,id=id,series=a,series=b"]
    assert embed(exported, *words) == 0
    wanted = sslsearch.load(exported.folder).embed(x_CT[None])
    found = pq.read_table("o.parquet")["embedding"].to_pylist()
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 10.0, 40.0])
    monkeypatch.setattr("sslsearch.embed.time.monotonic", lambda: next(clock))
    progress = Progress(4_000)
    assert progress.line(1_000) == "1,000 of 4,000 rows, 100 a second, 0 min 30 s left"
    assert progress.line(4_000) == "4,000 of 4,000 rows, 100 a second, 0 min 0 s left"


# not ru_maxrss: a process inherits that of the one that started it
PEAK = """
import sys
from pathlib import Path
from sslsearch.doors import enter
assert enter("embed", sys.argv[1:]) == 0
lines = Path("/proc/self/status").read_text().splitlines()
(peak,) = [line for line in lines if line.startswith("VmHWM:")]
print(peak.split()[1])
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="peaks are told by Linux")
def test_memory_does_not_grow_with_the_file(
    exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight times the rows, 123 MiB of numbers more in one row group: the peak is the same."""
    monkeypatch.chdir(tmp_path)
    x_NCT = np.random.default_rng(0).standard_normal((3_600, 2, 40))
    one = pa.array(x_NCT.tolist(), pa.list_(pa.list_(pa.float64())))
    peaks = []
    for copies in (8, 64):
        many = pa.table({"series": pa.chunked_array([one] * copies)})
        pq.write_table(many, "many.parquet", row_group_size=len(many), use_dictionary=False)
        words = [str(exported.folder), "many.parquet", "--to", "o.parquet", "--device", "cpu"]
        command = [sys.executable, "-c", PEAK, *words]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout.splitlines()[-1]) / 1024)
    assert peaks[1] - peaks[0] < 40, f"peaks of {peaks} MiB"
