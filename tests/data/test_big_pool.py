"""A second pool that is read in batches and mapped from files is what it would be in memory."""

from __future__ import annotations

import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sslsearch import registry
from sslsearch.data import Prepared, large_pool, prepare
from sslsearch.data.mapped import Mapped, Writer
from sslsearch.data.samples import Samples
from sslsearch.search.outcome import finish
from sslsearch.search.study import Study
from sslsearch.space import Space, parse
from sslsearch.track.console import Console
from sslsearch.train.loop import loop

OWN, POOL, TESTS, STEPS = 60, 3000, 40, 48
NONE = 1  # byte of memory: nothing fits


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A source of its own test split and a pool that is unequal, has gaps, empty rows and a test.

    Three rows of the pool lie in the source's test split, one of them among those left out.
    """
    monkeypatch.setattr(large_pool, "BATCH_BYTES", 256 << 10)  # about 700 rows: many batches
    rng = np.random.default_rng(1)
    pool = [rng.standard_normal(int(t)) for t in rng.integers(STEPS - 8, STEPS + 4, POOL)]
    for row in pool[::7]:
        row[5] = np.nan
    pool[100], pool[2000] = np.array([]), np.full(9, np.nan)
    own = [rng.standard_normal(STEPS) for _ in range(OWN)]
    own[50:53] = [pool[k][:STEPS].copy() for k in (3, 2500, POOL - 1)]
    pool[3], pool[2500], pool[POOL - 1] = (row.copy() for row in own[50:53])
    write(
        tmp_path / "own.parquet",
        series=own,
        label=["a", "b", "c"] * (OWN // 3),
        split=["train"] * 45 + ["test"] * 15,
        who=[f"w{i % 20}" for i in range(OWN)],
    )
    words = ["train"] * (POOL - TESTS) + ["test"] * TESTS
    who = [None if i % 3 else f"w{i % 50}" for i in range(POOL)]
    write(tmp_path / "pool.parquet", series=pool, split=words, who=who)
    return tmp_path


def write(path: Path, **columns: Any) -> None:
    pq.write_table(pa.table(columns), path)


def run(root: Path, memory: int | None = NONE, **rules: Any) -> Prepared:
    data = {"modality": "timeseries", "source": "parquet:own.parquet", "labels": "8 per class"}
    data |= {"pool": "parquet:pool.parquet", **rules}
    return prepare(data, root, root / "study", memory)


@pytest.mark.parametrize(
    "rules",
    [
        {},
        {"unequal": "resample", "missing": "interpolate", "group": "who"},
        {"normalise": "per_channel"},
    ],
    ids=["pad", "resample", "per_channel"],
)
def test_the_table_is_that_of_memory(root: Path, rules: dict[str, Any]) -> None:
    inside, mapped = run(root, None, **rules), run(root, **rules)
    assert isinstance(inside.train, pa.Table)
    assert isinstance(mapped.train, Mapped)
    table = mapped.train.table()
    assert table.schema.equals(inside.train.schema, check_metadata=True)
    assert len(mapped.train) == len(table) == len(inside.train)
    for name in set(table.column_names) - {"group"}:
        assert table[name].combine_chunks().equals(inside.train[name].combine_chunks()), name
    assert (mapped.preprocess, mapped.summary) == (inside.preprocess, inside.summary)
    assert mapped.spec.sizes["length"] == STEPS  # the source's own: longer ones of the pool follow


def test_what_is_left_out_and_doubled_is_said(root: Path) -> None:
    inside, mapped = run(root, None), run(root)
    assert mapped.summary["pool"] == 45 + POOL - TESTS - 2
    for notes in (inside.notes, mapped.notes):
        said = " ".join(notes)
        assert f"{TESTS} rows that the second pool calls test are left out" in said
        assert "hold nothing and were dropped (from 0: 100, 2000)" in said
        assert "2 test rows are exact duplicates of rows in the training pool" in said
        assert "are longer than 48 steps: they are cut at the end" in said


def test_groups_of_the_test_split_are_not_pretrained_on(root: Path) -> None:
    inside, mapped = (run(root, memory, group="who") for memory in (None, NONE))
    tested = {f"w{i % 20}" for i in range(45, OWN)}
    who = pq.read_table(root / "pool.parquet")["who"].to_pylist()
    for made in (inside, mapped):
        table = made.train if isinstance(made.train, pa.Table) else made.train.table()
        rows = table["row"].to_pylist()[45:]
        assert len(rows) == made.summary["pool"] - 45
        assert not {who[row] for row in rows} & tested
        assert {who[row] for row in rows} >= {None, "w21"}
        assert any("rows of the second pool are of groups in the test" in n for n in made.notes)


def test_only_the_folder_travels_and_its_files_are_mapped(root: Path) -> None:
    there = run(root).train
    head = pickle.dumps(there)
    assert len(head) < 500
    samples = Samples.from_table(pickle.loads(head))  # noqa: S301
    x = samples.columns["x"]
    assert x.shape == (len(samples), 1, STEPS)
    maps = Path("/proc/self/maps")
    if maps.exists():  # Linux
        file = root / "study" / "samples" / "x.bin"
        (line,) = [m for m in maps.read_text().splitlines() if m.endswith(str(file))]
        start, end = (int(side, 16) for side in line.split()[0].split("-"))
        assert start <= x.data_ptr() < x.data_ptr() + 4 * x.numel() <= end


def test_a_trial_takes_the_same_steps(root: Path, space: Space) -> None:
    recipe = space.default()
    inside, mapped = (Samples.from_table(run(root, memory).train) for memory in (None, NONE))
    (one,), (other,) = (loop(recipe, samples, 0, [96]) for samples in (inside, mapped))
    assert one.losses == other.losses
    assert one.score == other.score


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_a_study_maps_it_and_finds_it_again(
    space: Space, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modality = registry.get("modality", "timeseries").bind({})()
    pq.write_table(modality.synthetic(400, 1), tmp_path / "more.parquet")
    monkeypatch.setattr(large_pool, "available", lambda: NONE)
    pool = f"pool: 'parquet:{tmp_path}/more.parquet', labels: 8 per class"
    text = space.text.replace("labels: 8 per class", pool).replace("trials: 4", "trials: 2")
    pooled = parse(text.replace("[untrained, raw]", "[raw]").replace("seeds: 2", "seeds: 1"))
    folder = tmp_path / "study"
    study = Study(pooled, folder, tmp_path, Console(pooled.name, 4, None))
    assert isinstance(study.data.train, Mapped)
    assert len(study.train) > 400
    finish(study, study.run(None))
    study.close()
    assert {row.status for row in study.record.rows()} <= {"ok", "stopped"}
    assert (folder / "best" / "encoder.safetensors").exists()
    made = (folder / "samples" / "x.bin").stat().st_mtime_ns
    again = Study(pooled, folder, tmp_path, Console(pooled.name, 4, None))
    assert again.finished
    again.close()
    assert (folder / "samples" / "x.bin").stat().st_mtime_ns == made


def test_finished_files_are_used_again_and_torn_or_old_ones_are_not(root: Path) -> None:
    def made() -> int:
        return (root / "study" / "samples" / "x.bin").stat().st_mtime_ns

    first = run(root)
    before = made()
    again = run(root)
    assert made() == before
    assert again.notes == first.notes
    run(root, labels="all")  # other labels in the table
    assert made() != before
    before = made()
    os.utime(root / "pool.parquet", ns=(1, 1))  # another file, for all that is known
    run(root, labels="all")
    assert made() != before
    shutil.move(root / "study" / "samples", root / "study" / "samples.part")  # never finished
    assert run(root).train.table().equals(first.train.table())
    assert not (root / "study" / "samples.part").exists()


def test_a_failure_leaves_no_files(root: Path) -> None:
    table = pq.read_table(root / "pool.parquet").to_pydict()
    table["split"][1500] = "tset"
    write(root / "pool.parquet", **table)
    with pytest.raises(ValueError, match="'tset' in row 1500"):
        run(root)
    table["split"][1500] = "train"
    table["series"][1500] = [np.inf]
    write(root / "pool.parquet", **table)
    with pytest.raises(ValueError, match=r"pool\.parquet from row \d+: row \d+ .* infinite"):
        run(root)
    assert list((root / "study").iterdir()) == []


def test_what_cannot_be_read_in_parts_has_a_cure(root: Path) -> None:
    write(root / "pool.parquet", id=[0, 0, 1, 1], t=[0, 1, 0, 1], x=[1.0, 2.0, 3.0, 4.0])
    write(root / "own.parquet", id=[0, 0, 1, 1], t=[0, 1, 0, 1], x=[1.0, 2.0, 3.0, 5.0])
    with pytest.raises(ValueError, match="one row per series"):
        run(root, columns={"id": "id", "time": "t", "series": ["x"]}, labels="all")


def test_a_full_disk_is_seen_before_it_is_full(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(root)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(ValueError, match=r"takes 0\.0 GiB in files, .* give another --out"):
        run(root)


def test_what_is_large_is_a_question_of_memory(root: Path) -> None:
    data = {"pool": "parquet:pool.parquet"}
    numbers = sum(map(len, pq.read_table(root / "pool.parquet")["series"].to_pylist()))
    least = large_pool.COPIES * 8 * (numbers + 2 * POOL + 2)  # and the other columns
    assert large_pool.find(data, root, least // 2) == root / "pool.parquet"
    assert large_pool.find(data, root, least * 2) is None
    assert large_pool.find(data, root) is None
    assert large_pool.find({"pool": "csv:pool.csv"}, root, NONE) is None
    assert large_pool.find({"pool": None}, root, NONE) is None
    assert 0 < large_pool.available() < 1 << 50


def test_columns_that_a_later_table_lacks_are_null(tmp_path: Path) -> None:
    x = pa.FixedSizeListArray.from_arrays(pa.array([1.0, 2.0, 3.0, 4.0], pa.float32()), 2)
    with Writer(tmp_path / "made") as writer:
        writer.append(pa.table({"x": x, "id": ["a", "b"]}))
        writer.append(pa.table({"x": x.slice(1), "other": [7]}))
        made = writer.finish({"said": "so"})
    assert (len(made), made.about["said"]) == (3, "so")
    assert made.table().to_pydict() == {
        "x": [[1.0, 2.0], [3.0, 4.0], [3.0, 4.0]],
        "id": ["a", "b", None],
    }
