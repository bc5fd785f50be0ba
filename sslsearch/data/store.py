"""The layout of a prepared table: tensors, and beside them label, group, role, row (and id).

`label` is null where it may not be seen; the schema's metadata holds `spec` and `classes`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from sslsearch.values import InputSpec

JUDGES = "probe-val"  # the role of rows that judge trials and train no probe
APART = "val"  # that of rows that judge trials and are not even pretrained on


def table_of(
    tensors: pa.Table,
    raw: pa.Table,
    spec: InputSpec,
    classes: Sequence[str],
    label_N: np.ndarray,
    role_N: np.ndarray,
    group_N: np.ndarray | None = None,
) -> pa.Table:
    """One chunk per column; label -1 = null, with nothing under the null."""
    columns = {name: tensors[name] for name in tensors.column_names}
    columns["label"] = pa.array(label_N, mask=label_N < 0)
    columns["role"] = pa.array(role_N, pa.string())
    if group_N is not None:
        columns["group"] = pa.array(group_N)
    for name in ("row", "id"):
        if name in raw.column_names:
            columns[name] = raw[name]
    metadata = {"spec": json.dumps(spec.to_dict()), "classes": json.dumps(list(classes))}
    return pa.table(columns, metadata=metadata).combine_chunks()
