"""An exported encoder as an MLflow model folder: code, best/, signature, example, requirements.

Nothing in it is pickled: the code is `served.py` as it stands, the weights are safetensors.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import sslsearch
from sslsearch.train import bundle

CODE = Path(__file__).with_name("served.py")
LARGE = 2**20  # bytes of an example: it is kept as JSON, several times as long


def write_example(raw: pa.Table, path: Path) -> Path:
    """The first raw samples in an Arrow file: one, or as many as are small."""
    each = max(1, raw.slice(0, 1).nbytes)
    rows = raw.slice(0, max(1, min(len(raw), LARGE // each)))
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, rows.schema) as writer:
        writer.write_table(rows.combine_chunks())
    return path


def read_example(path: Path) -> pa.Table:
    with pa.memory_map(str(path)) as file:
        return pa.ipc.open_file(file).read_all()


def pack(best: Path, example: Path, to: Path, about: Mapping[str, Any]) -> None:
    """Write the folder `to`. `about`: run_id and model_id, as MLflow keeps them in MLmodel."""
    import mlflow.pyfunc
    from mlflow.models import Model

    trained = bundle.load(best)
    arrays = trained.modality.to_arrays(read_example(example), trained.preprocess)
    mlflow.pyfunc.save_model(
        to,
        mlflow_model=Model(model_uuid=about.get("model_id"), **about),
        python_model=CODE,
        artifacts={"best": str(best)},
        signature=signature(arrays, trained.modality.varies, trained.width),
        input_example=arrays,
        pip_requirements=requirements(best),
    )


def signature(arrays: Any, varies: tuple[int, ...], width: int) -> Any:
    """What the model takes and gives; `varies`: axes of an array that may have any size."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema, TensorSpec

    if isinstance(arrays, np.ndarray):
        shape = tuple(-1 if axis in varies else size for axis, size in enumerate(arrays.shape))
        inputs = Schema([TensorSpec(arrays.dtype, shape)])
    else:
        kinds = {name: _kind(column) for name, column in arrays.items()}
        inputs = Schema([ColSpec(kind, name, required=False) for name, kind in kinds.items()])
    outputs = Schema([TensorSpec(np.dtype(np.float32), (-1, width))])
    return ModelSignature(
        inputs, outputs, ParamSchema([ParamSpec("output", "string", "embedding")])
    )


def requirements(best: Path) -> list[str]:
    """This sslsearch, and the libraries that the encoder was exported with, for pip."""
    about = json.loads((best / bundle.PROBE).read_text(encoding="utf-8"))
    pinned = [f"{name}=={version}" for name, version in about["libraries"].items()]
    return [f"sslsearch=={sslsearch.__version__}", *pinned]


def _kind(column: Any) -> Any:
    from pandas.api import types

    if types.is_bool_dtype(column) or any(isinstance(cell, bool) for cell in column):
        return "boolean"
    if types.is_datetime64_any_dtype(column):
        return "datetime"
    if any(isinstance(cell, list) for cell in column):
        return _nested(list(column))
    return "double" if types.is_numeric_dtype(column) else "string"


def _nested(cells: list[Any]) -> Any:
    """The type of lists in lists of numbers."""
    from mlflow.types import DataType
    from mlflow.types.schema import Array

    inner = [item for cell in cells for item in cell]
    if any(isinstance(item, list) for item in inner):
        return Array(_nested(inner))
    whole = all(isinstance(item, int) for item in inner)
    return Array(DataType.long if whole else DataType.double)
