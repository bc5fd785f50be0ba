"""Raw samples as arrays and back: a served encoder is asked in the form that training read."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from sslsearch import registry
from sslsearch.modalities.table_cells import cells_of
from sslsearch.track.packing import signature


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
    assert frame["member"].tolist() == [True, None, False, True]
    assert frame["age"].isna().tolist() == [False, True, False, False]
    assert frame["level"].tolist() == [1.0, 2.0, 2.0, 1.0]


def test_coloured_images_have_their_colours_last() -> None:
    modality = registry.get("modality", "image").bind({})()
    x_NHWC = np.random.default_rng(0).integers(0, 256, (3, 5, 4, 3)).astype(np.uint8)
    raw = modality.from_arrays(x_NHWC, {})
    assert (assert_there_and_back(modality, raw, modality.fit(raw)) == x_NHWC).all()


def test_graphs_are_rows_of_nested_lists() -> None:
    frame = assert_there_and_back(*fitted("graph"))
    assert list(frame.columns) == ["x", "edges"]
    modality, state = (
        registry.get("modality", "graph").bind({})(),
        {"sample": "graph", "features": 1},
    )
    lonely = [{"x": [[1.0]], "edges": []}, {"x": [[1.0], [2.0]], "edges": [[0, 1]]}]
    again = modality.to_arrays(modality.from_arrays(lonely, state), state)
    assert again.to_dict("records") == lonely
    with pytest.raises(ValueError, match=r"graph 1 .*leads to a node"):
        modality.from_arrays([lonely[0], {"x": [[1.0]], "edges": [[0, 1]]}], state)
    with pytest.raises(ValueError, match="2 features, but 1"):
        modality.from_arrays([{"x": [[1.0, 2.0]], "edges": []}], state)
    with pytest.raises(ValueError, match="'edges'"):
        modality.from_arrays([{"x": [[1.0]]}], state)


def test_nodes_of_one_graph_have_no_such_form() -> None:
    modality = registry.get("modality", "graph").bind({})()
    raw = modality.read("karate:club", {}, Path())
    with pytest.raises(ValueError, match="a node is nothing without its graph"):
        modality.to_arrays(raw, modality.fit(raw))


@pytest.mark.parametrize("name", ["timeseries", "image", "tabular", "graph"])
def test_what_a_served_model_is_asked_passes_its_signature(name: str, tmp_path: Path) -> None:
    """As MLflow checks it, and after the way through JSON."""
    from mlflow.models import Model
    from mlflow.models.utils import _enforce_schema, _Example

    modality, raw, state = fitted(name)
    arrays = modality.to_arrays(raw, state)
    schema = signature(arrays, modality.varies, 4).inputs
    example = _Example(arrays)
    example.save(str(tmp_path))
    model = Model(saved_input_example_info=example.info, signature=signature(arrays, (), 4))
    once = modality.preprocess(raw, state)
    for given in (arrays, model.load_input_example(str(tmp_path))):
        asked = modality.from_arrays(_enforce_schema(given, schema), state)
        told = modality.preprocess(asked, state)
        for column in told.column_names:
            assert told[column].to_pylist() == once[column].to_pylist(), column
