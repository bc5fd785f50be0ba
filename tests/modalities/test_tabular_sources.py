"""Tables from files and sets: what each column holds, what is missing, what users are told."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
import torch

from sslsearch import registry
from sslsearch.data.prepare import Prepared, prepare
from sslsearch.data.samples import Samples
from sslsearch.modalities.table_cells import cell, kinds_of
from sslsearch.modalities.tabular import Tabular

CSV = """age,income,town,member,since,label,id
31,10.5,Aachen,true,2024-01-31,a,r0
?,20.0,Berlin,false,2024-02-29,b,r1
45,NaN,?,true,2024-03-01,a,r2
52,30.5,Aachen,,2024-03-02,b,r3
28,11.0,Celle,false,,a,r4
"""


def read(source: str, columns: dict[str, Any] | None = None, root: Path = Path()) -> pa.Table:
    return Tabular().read(source, columns or {}, root)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "t.csv").write_text(CSV)
    options = pyarrow.csv.ConvertOptions(null_values=["?", "", "NaN"], strings_can_be_null=True)
    table = pyarrow.csv.read_csv(tmp_path / "t.csv", convert_options=options)
    pq.write_table(table, tmp_path / "t.parquet")
    pyarrow.feather.write_feather(table, tmp_path / "t.feather")
    with (
        pa.OSFile(str(tmp_path / "t.arrow"), "wb") as sink,
        pa.ipc.new_file(sink, table.schema) as f,
    ):
        f.write_table(table)
    path = str(tmp_path / "s.arrow")
    with pa.OSFile(path, "wb") as sink, pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return tmp_path


@pytest.mark.parametrize(
    "source",
    ["csv:t.csv", "parquet:t.parquet", "feather:t.feather", "arrow:t.arrow", "arrow:s.arrow"],
)
def test_every_source_says_the_same(source: str, folder: Path) -> None:
    raw = read(source, root=folder)
    assert kinds_of(raw) == {
        "age": "numeric",
        "income": "numeric",
        "member": "boolean",
        "since": "date",
        "town": "categorical",
    }
    assert raw["label"].to_pylist() == ["a", "b", "a", "b", "a"]
    assert raw["id"].to_pylist() == ["r0", "r1", "r2", "r3", "r4"]
    assert cell(raw, "age").to_pylist() == [31, None, 45, 52, 28]
    assert cell(raw, "income").to_pylist() == [10.5, 20, None, 30.5, 11]
    assert cell(raw, "town").to_pylist() == ["Aachen", "Berlin", None, "Aachen", "Celle"]
    assert cell(raw, "member").to_pylist() == [True, False, True, None, False]


def test_what_the_user_says_of_a_column_counts(folder: Path) -> None:
    said = {"categorical": ["age", "member"], "ignore": "since", "label": "town", "id": "id"}
    raw = read("csv:t.csv", said, folder)
    said = {"age": "categorical", "income": "numeric", "label": "categorical"}
    assert kinds_of(raw) == said | {"member": "categorical"}
    assert raw["label"].to_pylist()[0] == "Aachen"


@pytest.mark.parametrize(
    ("columns", "law"),
    [
        ({"numeric": "town"}, "does not hold numbers.*data.columns.categorical"),
        ({"date": "town"}, "does not hold dates"),
        ({"categorical": "twon"}, "did you mean 'town'"),
        ({"numeric": ["age"], "ignore": ["age"]}, "'age' is both numeric and ignore"),
        ({"label": "lable"}, "did you mean 'label'"),
    ],
)
def test_what_is_wrong_with_columns_is_said(columns: Any, law: str, folder: Path) -> None:
    with pytest.raises(ValueError, match=law):
        read("csv:t.csv", columns, folder)


ROWS = [["31", "1.5", "true", "Aachen"], ["", "2.5", "False", "?"], ["45", "-1", "", "Celle"]]


@pytest.mark.parametrize("between", [",", ";", "\t", "|", ", "])
def test_a_csv_may_have_other_delimiters_and_spaces(between: str, tmp_path: Path) -> None:
    lines = [["age", "income", "member", "town", "label"], *([*row, "a"] for row in ROWS)]
    text = "\n".join(between.join(line) for line in lines)
    (tmp_path / "t.csv").write_text("\ufeff" + text, encoding="utf-8")
    raw = read("csv:t.csv", root=tmp_path)
    assert cell(raw, "age").to_pylist() == [31, None, 45]
    assert cell(raw, "income").to_pylist() == [1.5, 2.5, -1]
    assert cell(raw, "member").to_pylist() == [True, False, None]
    assert cell(raw, "town").to_pylist() == ["Aachen", None, "Celle"]


@pytest.mark.parametrize(
    ("text", "law"),
    [
        (b"", "t.csv: Empty"),
        (b"a,b\n1\n", "t.csv: .*Expected 2 columns"),
        (b"a, a \n1,2\n", "t.csv: 2 columns are named 'a'"),
        (b"town\nK\xf6ln\n", "'town' is not text in UTF-8; save"),
    ],
)
def test_a_file_that_is_no_table_is_refused_by_name(text: bytes, law: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(text)
    with pytest.raises(ValueError, match=law):
        read("csv:t.csv", root=tmp_path)
    with pytest.raises(ValueError, match=r"parquet:t\.csv"):
        read("parquet:t.csv", root=tmp_path)


def test_a_time_of_day_is_a_number_in_hours_and_so_is_a_duration(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("at,n,label\n12:30,1,a\n00:15,2,b\n,3,a\n")
    assert cell(read("csv:t.csv", root=tmp_path), "at").to_pylist() == [12.5, 0.25, None]
    frame = pd.DataFrame({"took": pd.to_timedelta([90, 30], unit="m"), "label": ["a", "b"]})
    frame.to_parquet(tmp_path / "t.parquet")
    assert cell(read("parquet:t.parquet", root=tmp_path), "took").to_pylist() == [1.5, 0.5]


def test_a_moment_is_what_the_clocks_of_its_time_zone_show() -> None:
    midnight = pd.Series(pd.to_datetime(["2024-05-31"])).dt.tz_localize("Europe/Berlin")
    raw = Tabular().of_table(pa.table({"when": pa.array(midnight)}), {}, "t")
    assert cell(raw, "when").to_pylist() == [datetime(2024, 5, 31)]


def test_infinite_and_nested_cells_are_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [1.0, float("inf")]}), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match="infinite value in row 1"):
        read("parquet:a.parquet", root=tmp_path)
    pq.write_table(pa.table({"x": [[1], [2]]}), tmp_path / "b.parquet")
    with pytest.raises(ValueError, match=r"data.columns.ignore=\[x\]"):
        read("parquet:b.parquet", root=tmp_path)
    with pytest.raises(ValueError, match="did you mean 'wine'"):
        read("sklearn:vine")


def test_any_column_name_will_do(tmp_path: Path) -> None:
    names = ["row", "own", "cells", "valid", "number", "x"]
    table = pa.table({name: np.arange(20.0) ** i for i, name in enumerate(names, 1)})
    table = table.append_column("label", pa.array(["a", "b"] * 10))
    pq.write_table(table, tmp_path / "t.parquet")
    done = prepare({"modality": "tabular", "source": "parquet:t.parquet"}, tmp_path)
    assert done.spec.sizes == {"numbers": 6, "levels": []}


def drawn(**data: Any) -> tuple[Prepared, Samples]:
    done = prepare({"modality": "tabular", "labels": "5 per class", **data}, Path.cwd())
    return done, Samples.from_table(done.train)


@pytest.mark.parametrize("name", ["breast_cancer", "wine", "iris", "diabetes"])
def test_sets_of_scikit_learn(name: str) -> None:
    done, samples = drawn(source=f"sklearn:{name}")
    assert len(done.classes) == (2 if name == "breast_cancer" else 3)
    batch = samples.batch(torch.arange(len(samples)), "cpu")
    assert batch.valid.all()
    assert batch.x["code"].dtype == torch.int64
    number = batch.x["number"]
    assert float(number.mean()) == pytest.approx(0.0, abs=0.1)
    assert float(number.std()) == pytest.approx(1.0, abs=0.15)


def test_synthetic_rows_have_every_kind_and_gaps() -> None:
    done, samples = drawn(source="synthetic:200")
    kinds = " ".join(done.notes)
    for word in ("6 numeric", "2 categorical", "1 boolean", "1 date", "not filled but marked"):
        assert word in kinds
    batch = samples.batch(torch.arange(64), "cpu")
    assert batch.valid.shape[1] == batch.x["number"].shape[1] + batch.x["code"].shape[1]
    assert 0.8 < float(batch.valid.float().mean()) < 0.99
    assert not batch.x["number"][~batch.valid[:, : done.spec.sizes["numbers"]]].any()


def table(**columns: Any) -> pa.Table:
    return Tabular().of_table(pa.table(columns), {}, "t")


class TestFitting:
    def test_statistics_are_those_of_the_training_rows(self) -> None:
        train, test = table(x=[0.0, 1.0, 2.0]), table(x=[100.0, 1.0])
        for rule in ("standard", "quantile", "none"):
            modality = Tabular(normalise=rule)
            assert modality.fit(train, [test]) == modality.fit(train)
        state = Tabular(normalise="standard").fit(train)
        made = Tabular().preprocess(test, state)["number"].to_pylist()
        assert made[1] == [pytest.approx(0.0)]
        assert made[0] == [pytest.approx(99 / np.std([0, 1, 2]), rel=1e-6)]

    def test_rare_and_unseen_categories_are_other_and_said(self) -> None:
        train = table(c=["a"] * 5 + ["b"] * 3 + ["c", "d", None])
        modality = Tabular(max_categories=3, min_count=2)
        state = modality.fit(train)
        assert [feature["levels"] for feature in state["categories"]] == [["a", "b"]]
        made = modality.preprocess(table(c=["b", "a", "c", "new", None]), state)
        assert made["code"].to_pylist() == [[2], [1], [0], [0], [0]]
        assert made["valid"].to_pylist() == [[1], [1], [1], [1], [0]]
        said = " ".join(modality.describe(train, state))
        assert "4 categories in training: the 2 commonest are kept" in said
        state = Tabular().fit(train)
        assert "new not in training" in " ".join(Tabular().describe(table(c=["new", "a"]), state))

    def test_a_column_that_never_varies_is_left_out_and_said(self) -> None:
        train = table(x=[1.0, 2.0], y=[3.0, 3.0], z=["q", "q"])
        state = Tabular().fit(train)
        assert list(state["kinds"]) == ["x"]
        assert "one value only in training are left out: y, z" in " ".join(state["notes"])
        with pytest.raises(ValueError, match="nothing to learn"):
            Tabular().fit(table(y=[3.0, 3.0]))

    def test_what_counts_or_names_the_rows_is_left_out_and_said(self, tmp_path: Path) -> None:
        at_N = np.delete(np.arange(60), [3, 4, 20])  # rows of a test split are not there
        columns = {
            "column 1": at_N,
            "person": [f"Person {i}" for i in at_N],
            "x": np.sin(at_N),
            "amount": 1000 * at_N,  # rises too, but is no counter
            "code": at_N % 5,
        }
        state = Tabular().fit(table(**columns))
        assert list(state["kinds"]) == ["amount", "code", "x"]
        said = " ".join(state["notes"])
        assert "count the rows are left out: column 1; data.columns.numeric takes" in said
        assert "name the rows are left out: person; data.columns.categorical takes" in said
        assert "taken as numbers: code; if they are codes" in said
        told = {"numeric": ["column 1"], "categorical": ["person", "code"]}
        raw = Tabular().of_table(pa.table(columns), told, "t")
        kinds = Tabular().fit(raw)["kinds"]
        assert sorted(kinds) == ["amount", "code", "column 1", "person", "x"]

    def test_how_a_category_is_written_depends_on_its_own_cell_alone(self) -> None:
        """A code among fractions and a boolean among other numbers are still what they were."""
        raw = Tabular().of_table(
            pa.table({"code": [1, 2, 2, 1], "flag": [0, 1, 1, 0]}), {"categorical": "code"}, "t"
        )
        state = Tabular().fit(raw)
        made = Tabular().preprocess(table(code=[1.0, 1.5, 2.0, None], flag=[1, 7, 0, None]), state)
        assert made["code"].to_pylist() == [[1, 2], [0, 0], [2, 1], [0, 0]]
        words = Tabular().preprocess(table(code=["1", "2"], flag=[True, False]), state)
        assert words["code"].to_pylist() == [[1, 2], [2, 1]]

    def test_that_a_cell_is_missing_is_kept_of_a_column_of_one_value(self) -> None:
        state = Tabular().fit(table(x=[1.0, 2.0], z=["q", None]))
        assert list(state["kinds"]) == ["x", "z"]

    def test_dates_become_days_months_and_weekdays(self) -> None:
        moments = [datetime(2024, 1, 1), datetime(2024, 1, 2), datetime(2024, 3, 4), None]
        raw = table(when=moments)
        state = Tabular(normalise="none").fit(raw)
        made = Tabular().preprocess(raw, state)
        days = [row[0] for row in made["number"].to_pylist()]
        assert days[1] - days[0] == 1.0
        assert [f["part"] for f in state["categories"]] == ["month", "weekday"]
        codes = np.array(made["code"].to_pylist())
        levels = [feature["levels"] for feature in state["categories"]]
        months = [levels[0][code - 1] for code in codes[:3, 0]]
        weekdays = [levels[1][code - 1] for code in codes[:3, 1]]
        assert (months, weekdays) == (["1", "1", "3"], ["1", "2", "1"])
        assert made["valid"].to_pylist()[3] == [0, 0, 0]

    def test_of_dates_with_a_time_the_hour_is_kept_where_it_varies(self) -> None:
        noon = [datetime(2024, 1, d, 12) for d in range(1, 9)]
        parts = {
            name: [f["part"] for f in Tabular().fit(table(when=when))["categories"]]
            for name, when in {
                "alike": [*noon, None],
                "other": [*noon, datetime(2024, 1, 9, 7)],
            }.items()
        }
        assert parts == {"alike": ["weekday"], "other": ["weekday", "hour"]}

    def test_rows_depend_on_themselves_alone(self) -> None:
        raw = Tabular().synthetic(60, 0)
        state = Tabular().fit(raw.slice(0, 40))
        whole = Tabular().preprocess(raw, state)
        for at in (0, 7, 59):
            alone = Tabular().preprocess(raw.slice(at, 1), state)
            assert alone.to_pylist() == whole.slice(at, 1).to_pylist()

    def test_rows_in_memory_are_those_of_the_file(self) -> None:
        raw = Tabular().synthetic(30, 0)
        state = Tabular().fit(raw)
        cells = raw["cells"].combine_chunks()
        frame = pa.Table.from_struct_array(cells)
        for arrays in (frame.to_pandas(), frame.to_pydict(), frame.to_pylist()):
            made = Tabular().from_arrays(arrays, state)
            ours, theirs = (Tabular().preprocess(t, state) for t in (made, raw))
            assert ours.to_pylist() == theirs.to_pylist()
        with pytest.raises(ValueError, match="no column"):
            Tabular().from_arrays(pd.DataFrame({"town": ["Essen"]}), state)


def test_a_new_file_whose_columns_look_otherwise_is_read_as_training_was(tmp_path: Path) -> None:
    """A number column that happens to hold 0 and 1 only, and text where a date was."""
    train = table(x=[0.5, 2.0, 1.0], when=[datetime(2024, 1, d) for d in (1, 2, 3)])
    state = Tabular().fit(train)
    new = Tabular().of_table(
        pa.table({"x": [0, 1], "when": ["2024-01-01", "2024-01-02"], "more": [1.5, 2.5]}), {}, "new"
    )
    assert kinds_of(new)["x"] == "boolean"
    made = Tabular().preprocess(new, state)
    assert len(made) == 2
    assert made["valid"].to_pylist()[0] == [1] * len(made["valid"].to_pylist()[0])


def test_spaces_around_a_columns_name_say_nothing(tmp_path: Path) -> None:
    """… wherever the rows come from: pools in memory, in files, rows held in memory."""
    own = pa.table({" a": [1.5, 2.0] * 10, "b ": ["u", "v"] * 10, "label": ["p", "q"] * 10})
    pq.write_table(own, tmp_path / "own.parquet")
    pq.write_table(pa.table({"a ": [3.0], " b": ["u"]}), tmp_path / "more.parquet")
    data = {"modality": "tabular", "source": "parquet:own.parquet", "pool": "parquet:more.parquet"}
    small = prepare(data, tmp_path)
    large = prepare(data, tmp_path, tmp_path / "files", memory=1)
    assert (
        small.preprocess["kinds"]
        == large.preprocess["kinds"]
        == {
            "a": "numeric",
            "b": "categorical",
        }
    )
    assert small.summary["pool"] == large.summary["pool"] == 15
    assert len(Tabular().from_arrays({"a ": [1.0], " b": ["u"]}, small.preprocess)) == 1


def test_new_data_that_lack_something() -> None:
    """All of a column missing is legal, a column that is not there is not."""
    when = [datetime(2024, 1, d) for d in (1, 2, 3)]
    state = Tabular().fit(table(x=[0.5, 2.0, 1.0], town=["a", "b", "a"], when=when))
    none = [None, None]
    made = Tabular().preprocess(table(x=[1.0, 2.0], town=none, when=none), state)
    assert [sum(row) for row in made["valid"].to_pylist()] == [1, 1]
    with pytest.raises(ValueError, match="'town', which training had; columns there: when, x"):
        Tabular().preprocess(table(x=[1.0], when=[when[0]]), state)
    for wrong, law in (({"x": ["n.k."]}, "numbers"), ({"when": ["soon"]}, "dates")):
        new = table(**{"x": [1.0], "town": ["a"], "when": [when[0]], **wrong})
        with pytest.raises(ValueError, match=f"not hold {law}.*it did in training: correct"):
            Tabular().preprocess(new, state)


def test_a_second_pool_that_differs_is_refused_with_what_differs(tmp_path: Path) -> None:
    own = pa.table({"a": [1.5, 2.0] * 10, "b": ["u", "v"] * 10, "label": ["p", "q"] * 10})
    pq.write_table(own, tmp_path / "own.parquet")
    pq.write_table(pa.table({"a": [1.0], "b": [2.0]}), tmp_path / "more.parquet")
    data = {"modality": "tabular", "source": "parquet:own.parquet", "pool": "parquet:more.parquet"}
    with pytest.raises(ValueError, match=r"other samples.*: column b double against string$"):
        prepare(data, tmp_path)


def test_a_second_pool_whose_columns_stand_in_another_order(tmp_path: Path) -> None:
    """… and look otherwise: of 0 and 1 the pool has only one, and it has no label."""
    own = pa.table(
        {"a": [1.5, 2.0] * 10, "b": ["u", "v"] * 10, "c": [0, 1] * 10, "label": ["p", "q"] * 10}
    )
    more = pa.table({"c": [1, 1], "b": ["v", "w"], "a": [3.5, 4.0]})
    pq.write_table(own, tmp_path / "own.parquet")
    pq.write_table(more, tmp_path / "more.parquet")
    data = {"modality": "tabular", "source": "parquet:own.parquet", "pool": "parquet:more.parquet"}
    done = prepare(data, tmp_path)
    assert done.summary["pool"] == 14 + 2
    assert done.preprocess["kinds"]["c"] == "boolean"
    large = prepare(data, tmp_path, tmp_path / "files", memory=1)  # one that does not fit
    ours, theirs = (Samples.from_table(d.train) for d in (done, large))
    assert all(torch.equal(ours.columns[name], theirs.columns[name]) for name in ours.columns)


def test_the_floor_raw_sees_no_more_than_an_encoder() -> None:
    done, samples = drawn(source="synthetic:80")
    batch = samples.batch(torch.arange(80 - 24), "cpu")
    encoder = registry.bind("encoder", {"table_mlp": {}})(done.spec)
    flat = encoder.flat(encoder.see(batch, None))
    plain = samples.modality.flat(batch, done.spec)
    columns = batch.valid.shape[1]
    assert torch.equal(plain, flat[:, : flat.shape[1] - columns])
    sketch = np.stack(samples.modality.pictured(batch, batch, done.spec))
    assert sketch.shape == (56, 1, columns)
    assert np.isnan(sketch[:, 0]).sum() == int((~batch.valid).sum())
    assert np.nanmax(np.abs(sketch)) <= 1.0
