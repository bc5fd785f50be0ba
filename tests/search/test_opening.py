"""What must hold before a study starts: a user who forgot the label hears of it at once."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sslsearch.data.prepare import prepare
from sslsearch.data.samples import Samples
from sslsearch.search.opening import refuse_large_batches, refuse_what_cannot_be_judged
from sslsearch.space import load

SPACE = Path(__file__).parents[2] / "search_spaces" / "tabular.yaml"


@pytest.mark.parametrize(
    ("label", "law"),
    [
        ("target", None),
        ("empty", "no training row has a label; data.columns.label names"),
        ("same", "all 10 labels that may be seen are 'x'; data.columns.label"),
        (None, "no training row has a label"),
    ],
)
def test_labels_that_judge_nothing_are_refused(
    label: str | None, law: str | None, tmp_path: Path
) -> None:
    rows = {"x": [0.1 * i for i in range(200)], "target": ["a", "b"] * 100, "same": ["x"] * 200}
    pq.write_table(pa.table({**rows, "empty": pa.nulls(200, pa.string())}), tmp_path / "t.parquet")
    words = ["data.source=parquet:t.parquet", "data.labels=10 per class"]
    space = load(SPACE, words + ([f"data.columns.label={label}"] if label else []))
    train = Samples.from_table(prepare(space.data.model_dump(), tmp_path).train)
    if law is None:
        refuse_what_cannot_be_judged(space, train)
    else:
        with pytest.raises(ValueError, match=law):
            refuse_what_cannot_be_judged(space, train)


def test_batches_beyond_the_pool_are_refused_with_those_that_fit() -> None:
    space = load(SPACE, ["data.source=sklearn:wine"])
    train = Samples.from_table(prepare(space.data.model_dump(), Path.cwd()).train)
    with pytest.raises(ValueError, match=r"128 exceeds the pool of 12. samples") as e:
        refuse_large_batches(space, train)
    _, _, cure = str(e.value).partition("--set ")
    refuse_large_batches(load(SPACE, ["data.source=sklearn:wine", cure.strip("'")]), train)
