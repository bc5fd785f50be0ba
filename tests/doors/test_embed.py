"""`sslsearch embed`: a file in, Parquet with embeddings and predictions out, row for row."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import sslsearch
from sslsearch.doors import enter
from sslsearch.embed import columns_of, source_of

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
