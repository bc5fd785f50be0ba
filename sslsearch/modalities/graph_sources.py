"""Where graphs come from: which scheme of a source is read by which reader."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from sslsearch.modalities import graph_files, graph_pyg
from sslsearch.modalities.columns import file_at, place

SCHEMES = ("karate", "planetoid", "tu", "npz", "parquet", "txt")


def read(source: str, columns: Mapping[str, Any], root: Path, unlabelled: bool) -> pa.Table:
    """`scheme:place` -> raw samples."""
    scheme, rest = place(source, SCHEMES)
    if scheme == "karate":
        return graph_pyg.karate()
    if scheme == "planetoid":
        return graph_pyg.planetoid(rest, root)
    if scheme == "tu":
        return graph_pyg.tu(rest, root)
    path = file_at(rest, root)
    if scheme == "npz":
        return graph_files.read_npz(path)
    if scheme == "txt":
        return graph_files.read_txt(path)
    return graph_files.read_parquet(path, columns, unlabelled)
