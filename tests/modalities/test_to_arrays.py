"""Raw samples as arrays and back: a served encoder is asked in the form that training read."""

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from sslsearch import registry
from sslsearch.modalities.table_cells import cells_of


def fitted(name: str, raw: pa.Table | None = None) -> tuple[Any, pa.Table, dict[str, Any]]:
    modality = registry.get("modality", name).bind({})()
    raw = modality.synthetic(12, 0) if raw is None else raw
    return modality, raw, modality.fit(raw)


def assert_there_and_back(modality: Any, raw: pa.Table, state: dict[str, Any]) -> Any:
    arrays = modality.to_arrays(raw, state)
    again = modality.preprocess(modality.from_arrays(arrays, state), state)
    once = modality.preprocess(raw, state)
    for name in again.column_names:
        assert again[name].to_pylist() == once[name].to_pylist(), name
    return arrays


@pytest.mark.parametrize("name", ["timeseries", "image", "tabular"])
def test_there_and_back(name: str) -> None:
    assert_there_and_back(*fitted(name))


def test_a_shorter_series_ends_in_nan() -> None:
    series = [[[1.0, 2.0, 3.0], [3.0, 1.0, 2.0]], [[1.0, 4.0], [2.0, 9.0]]]
    modality = registry.get("modality", "timeseries").bind({})()
    raw = modality.from_arrays([np.array(x) for x in series], {"channels": ["a", "b"]})
    state = modality.fit(raw)
    x_NCT = assert_there_and_back(modality, raw, state)
    assert x_NCT.shape == (2, 2, 3)
    assert np.isnan(x_NCT[1, :, 2]).all()
    assert x_NCT[1, 1, 1] == 9.0


def test_a_table_keeps_its_kinds_and_what_is_missing() -> None:
    table = pa.table(
        {
            "age": [30, None, 50, 41],
            "city": ["a", "b", None, "a"],
            "member": [True, None, False, True],
            "since": pa.array([0, 10**15, None, 10**14], pa.timestamp("us")),
            "level": [1, 2, 2, 1],
        }
    )
    raw = cells_of(table, {"categorical": ["level"]}, "here")
    frame = assert_there_and_back(*fitted("tabular", raw))
    assert isinstance(frame, pd.DataFrame)
    assert str(frame["member"].dtype) == "boolean"
    assert frame["age"].isna().tolist() == [False, True, False, False]
    assert frame["level"].tolist() == [1.0, 2.0, 2.0, 1.0]


def test_coloured_images_have_their_colours_last() -> None:
    modality = registry.get("modality", "image").bind({})()
    x_NHWC = np.random.default_rng(0).integers(0, 256, (3, 5, 4, 3)).astype(np.uint8)
    raw = modality.from_arrays(x_NHWC, {})
    assert (assert_there_and_back(modality, raw, modality.fit(raw)) == x_NHWC).all()


def test_nodes_of_one_graph_have_no_such_form() -> None:
    modality, raw, state = fitted("graph")
    with pytest.raises(ValueError, match="graph"):
        modality.to_arrays(raw, state)
