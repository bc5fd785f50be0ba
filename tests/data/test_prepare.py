"""prepare(): splits, drawn labels, what stays sealed, duplicates, groups, a second pool."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sslsearch import registry
from sslsearch.data import Prepared, prepare
from sslsearch.data.rows import read


def series(n: int, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(int(t)) for t in rng.integers(5, 9, n)]


def write(path: Path, **columns: Any) -> str:
    pq.write_table(pa.table(columns), path)
    return f"parquet:{path.name}"


def run(root: Path, source: str, **data: Any) -> Prepared:
    return prepare({"modality": "timeseries", "source": source, **data}, root)


def labels(table: pa.Table) -> list[int | None]:
    return table["label"].to_pylist()


def test_given_split_is_honoured_and_validation_trains(tmp_path: Path) -> None:
    split = ["train"] * 6 + ["val"] * 2 + ["test"] * 4
    source = write(tmp_path / "s.parquet", series=series(12), label=["a", "b"] * 6, split=split)
    done = run(tmp_path, source)
    assert done.train["row"].to_pylist() == list(range(8))
    assert done.test["row"].to_pylist() == list(range(8, 12))
    assert any("2 rows of the given validation split" in note for note in done.notes)


@pytest.mark.parametrize("name", ["OSULeaf", "JapaneseVowels"])
def test_aeon_problems_keep_the_split_of_the_literature(name: str) -> None:
    done = run(Path(), f"aeon:{name}", labels="5 per class")
    sizes = {"OSULeaf": (200, 242), "JapaneseVowels": (270, 370)}[name]
    assert (len(done.train), len(done.test)) == sizes
    assert set(done.summary["per_class"].values()) == {5}
    assert done.classes == [str(c) for c in range(1, done.summary["classes"] + 1)]


def test_drawn_split_has_the_sizes_asked_for_in_every_class(tmp_path: Path) -> None:
    label = ["a"] * 100 + ["b"] * 40 + ["c"] * 10
    source = write(tmp_path / "s.parquet", series=series(150), label=label)
    done = run(tmp_path, source, test=0.3)
    assert (len(done.train), len(done.test)) == (105, 45)
    assert np.bincount(labels(done.test)).tolist() == [30, 12, 3]
    assert np.bincount(labels(done.train)).tolist() == [70, 28, 7]
    assert any("45 rows were drawn, stratified by class, seed 0" in note for note in done.notes)


def test_same_seed_same_rows_another_seed_others(tmp_path: Path) -> None:
    source = write(tmp_path / "s.parquet", series=series(60), label=list(range(3)) * 20)
    first, again, other = (
        run(tmp_path, source, labels="3 per class", seed=seed) for seed in (1, 1, 2)
    )
    assert first.train.equals(again.train)
    assert first.test.equals(again.test)
    assert first.test["row"].to_pylist() != other.test["row"].to_pylist()


def test_more_labels_contain_the_fewer_and_leave_the_split_alone(tmp_path: Path) -> None:
    source = write(tmp_path / "s.parquet", series=series(60), label=list(range(3)) * 20)
    few, more = (run(tmp_path, source, labels=f"{n} per class") for n in (3, 6))
    assert few.test.equals(more.test)
    seen = [
        set(t["row"].filter(t["label"].is_valid()).to_pylist()) for t in (few.train, more.train)
    ]
    assert len(seen[0]) == 9
    assert len(seen[1]) == 18
    assert seen[0] < seen[1]


def test_label_rules(tmp_path: Path) -> None:
    label = ["a"] * 100 + ["b"] * 10 + [None, "", "?"]
    split = ["train"] * 113
    split[0] = split[100] = "test"
    source = write(tmp_path / "s.parquet", series=series(113), label=label, split=split)
    for rule, counts in {
        "all": {"a": 99, "b": 9},
        "10 per class": {"a": 10, "b": 9},
        "5%": {"a": 5, "b": 1},
    }.items():
        done = run(tmp_path, source, labels=rule)
        assert done.summary["per_class"] == counts
        assert done.summary["labelled"] == sum(counts.values())
        assert done.summary["pool"] == 111
        short = [n for n in done.notes if "fewer than 10 labels: 'b' has 9" in n]
        assert len(short) == (rule == "10 per class")
    with pytest.raises(ValueError, match=r"data\.labels: 'ten'.*`10 per class`"):
        run(tmp_path, source, labels="ten")


def test_hidden_and_test_labels_are_nowhere_in_train(tmp_path: Path) -> None:
    label = np.arange(60) % 3 + 7
    source = write(tmp_path / "s.parquet", series=series(60), label=label, id=np.arange(60))
    done = run(tmp_path, source, labels="2 per class")
    train = done.train
    seen = train["label"].is_valid().to_numpy()
    assert seen.sum() == 6
    assert train["role"].to_pylist() == np.where(seen, "probe-train", "pool").tolist()
    # Not under the nulls either, where Arrow may keep what was masked.
    under = np.frombuffer(train["label"].chunk(0).buffers()[1], np.int64)[: len(train)]
    assert len(np.unique(under[~seen])) == 1
    assert set(train.column_names) == {"x", "valid", "label", "role", "row", "id"}
    assert not set(train["row"].to_pylist()) & set(done.test["row"].to_pylist())
    # Nothing said about the data counts test labels: other test labels, same train and same words.
    other = label.copy()
    test = done.test["row"].to_numpy()
    other[test] = np.roll(other[test], 1)
    split = np.where(np.isin(np.arange(60), test), "test", "train")
    sides = [
        run(
            tmp_path,
            write(tmp_path / "t.parquet", series=series(60), label=y, split=split),
            labels="2 per class",
        )
        for y in (label, other)
    ]
    assert sides[0].train.equals(sides[1].train, check_metadata=True)
    assert sides[0].summary == sides[1].summary
    assert sides[0].notes == sides[1].notes
    assert not sides[0].test.equals(sides[1].test)


def test_groups_never_straddle_the_drawn_split(tmp_path: Path) -> None:
    speaker = [f"s{i % 10}" for i in range(200)]
    source = write(
        tmp_path / "s.parquet", series=series(200), label=np.arange(200) // 100, speaker=speaker
    )
    done = run(tmp_path, source, group="speaker")
    sides = [set(table["group"].to_pylist()) for table in (done.train, done.test)]
    assert not sides[0] & sides[1]
    assert len(done.test) == 60
    assert any("7 in training, 3 in test, 0 in both" in note for note in done.notes)
    again = run(tmp_path, source, columns={"group": "speaker"})
    assert again.train.equals(done.train)
    with pytest.raises(ValueError, match="did you mean 'speaker'"):
        run(tmp_path, source, group="speakr")


def test_groups_in_both_sides_of_a_given_split_are_reported(tmp_path: Path) -> None:
    source = write(
        tmp_path / "s.parquet",
        series=series(6),
        label=["a", "b"] * 3,
        split=["train"] * 4 + ["test"] * 2,
        who=["x", "x", "y", None, "y", "z"],
    )
    done = run(tmp_path, source, group="who")
    assert any("3 in training, 2 in test, 1 in both" in note for note in done.notes)


def test_duplicates_between_pool_and_test_are_counted(tmp_path: Path) -> None:
    rows = series(10)
    rows[8] = rows[0].copy()
    rows[9] = rows[1] * 2  # the same after z-scoring, but no exact duplicate
    source = write(
        tmp_path / "s.parquet",
        series=rows,
        label=["a", "b"] * 5,
        split=["train"] * 6 + ["test"] * 4,
    )
    assert any(note.startswith("1 test rows are exact") for note in run(tmp_path, source).notes)
    pool = write(tmp_path / "p.parquet", series=[rows[7], rows[6], rows[7]])
    done = run(tmp_path, source, pool=pool)
    assert any(note.startswith("3 test rows are exact") for note in done.notes)


def test_second_pool_is_unlabelled_and_keeps_its_own_test_out(tmp_path: Path) -> None:
    source = write(tmp_path / "s.parquet", series=series(10), y=["a", "b"] * 5)
    pool = write(
        tmp_path / "p.parquet", series=series(6, 1), y=["c"] * 6, split=["train"] * 4 + ["test"] * 2
    )
    done = run(tmp_path, source, pool=pool, columns={"label": "y"}, test=0.2)
    assert done.classes == ["a", "b"]
    assert (len(done.train), len(done.test)) == (8 + 4, 2)
    assert done.train["role"].to_pylist()[8:] == ["pool"] * 4
    assert any("2 rows that the second pool calls test" in note for note in done.notes)
    np.savez(tmp_path / "p.npz", X=np.zeros((3, 2, 5)))
    with pytest.raises(ValueError, match=r"data\.pool: npz:p\.npz holds other samples"):
        run(tmp_path, source, pool="npz:p.npz", columns={"label": "y"})


def test_what_was_done_is_said(tmp_path: Path) -> None:
    rows = [[1.0, 2.0, 3.0], [np.nan, 1.0, 5.0], [4.0, 4.0], [], [np.nan], [1.0, 0.0, 1.0]]
    source = write(
        tmp_path / "s.parquet",
        series=rows,
        label=["a", "b", "a", "b", "a", None],
        split=["train", "train", "test", "test", "test", "test"],
    )
    done = run(tmp_path, source)
    said = " ".join(done.notes)
    for part in (
        "2 rows hold nothing and were dropped (from 0: 3, 4)",
        "1 rows of the test split have no label",
        "2 to 3 steps long",
        "1 values are missing in 1 series",
        "1 series are constant",
        "Classes with 1 label, too few to cross-validate: 'a'",
    ):
        assert part in said
    assert done.test["row"].to_pylist() == [2]


def test_without_labels_a_test_split_is_drawn_from_all(tmp_path: Path) -> None:
    source = write(tmp_path / "s.parquet", series=series(10))
    done = run(tmp_path, source)
    assert (len(done.train), len(done.test), done.classes) == (7, 3, [])
    assert any("No training row has a label" in note for note in done.notes)
    assert any("3 rows were drawn, at random" in note for note in done.notes)


@pytest.mark.parametrize(
    ("label", "classes"),
    [
        ([10, 9, -1, 9], ["-1", "9", "10"]),
        ([1.0, 2.0, np.nan, 10.0], ["1", "2", "10"]),
        (["s10", "s9", " s9 ", "t"], ["s9", "s10", "t"]),
        ([True, False, True, False], ["false", "true"]),
    ],
)
def test_classes_are_sorted_naturally(tmp_path: Path, label: list[Any], classes: list[str]) -> None:
    source = write(tmp_path / "s.parquet", series=series(4), label=label)
    assert run(tmp_path, source, test=0).classes == classes


def test_wrong_words_in_the_columns_have_a_cure(tmp_path: Path) -> None:
    source = write(tmp_path / "s.parquet", series=series(3), label=[0.5, 1.5, 2.5])
    with pytest.raises(ValueError, match=r"s\.parquet: the label column holds numbers with a frac"):
        run(tmp_path, source)
    source = write(tmp_path / "s.parquet", series=series(3), split=["train", "tset", "test"])
    with pytest.raises(ValueError, match="'tset' in row 1"):
        run(tmp_path, source)
    source = write(tmp_path / "s.parquet", series=series(2), split=["test", "test"])
    with pytest.raises(ValueError, match="none is left to train on"):
        run(tmp_path, source)
    with pytest.raises(ValueError, match="unknown modality 'timeserie'"):
        prepare({"modality": "timeserie", "source": source}, tmp_path)
    with pytest.raises(ValueError, match="per_channel"):
        run(tmp_path, source, normalise="per_chanel")


def test_preprocessing_from_json_gives_new_data_the_same_tensors(tmp_path: Path) -> None:
    rows = series(30)
    rows[4][2] = np.nan
    source = write(tmp_path / "s.parquet", series=rows, label=["a", "b", "c"] * 10)
    for rules in ({}, {"normalise": "per_channel", "unequal": "resample"}):
        done = run(tmp_path, source, **rules)
        state = json.loads(json.dumps(done.preprocess))
        modality = registry.get("modality", state["modality"]).bind(state["rules"])()
        raw = read(modality, source, {}, tmp_path, unlabelled=True)
        again = modality.preprocess(raw, state)
        for table in (done.train, done.test):
            assert again.take(table["row"]).equals(table.select(["x", "valid"]))


def test_synthetic_needs_no_file() -> None:
    done = run(Path("/nowhere"), "synthetic:30", labels="4 per class")
    assert done.summary == {
        "pool": 21,
        "labelled": 12,
        "test": 9,
        "classes": 3,
        "per_class": {"class 0": 4, "class 1": 4, "class 2": 4},
        "channels": 2,
        "length": 64,
    }
    assert done.spec.to_dict() == {"modality": "timeseries", "sizes": {"channels": 2, "length": 64}}
