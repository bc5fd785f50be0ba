"""Graphs that PyTorch Geometric ships or loads: Zachary's karate club, Planetoid, TU data sets.

PyG is imported where it is used: its import takes seconds, and only graphs need it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from sslsearch.modalities.graph_files import degrees
from sslsearch.modalities.graph_raw import (
    NODE,
    graph_columns,
    labels_of,
    many,
    masks,
    node_column,
    one,
)


def karate() -> pa.Table:
    """34 members of a karate club and who met whom (Zachary 1977); features: which node it is.

    Labels: four communities (Brandes et al. 2008, by modularity), as in PyG.
    """
    from torch_geometric.datasets import KarateClub

    data = KarateClub()[0]
    table = pa.table({NODE: node_column(one(data.x.numpy(), data.edge_index.numpy()))})
    return table.append_column("label", labels_of(data.y.numpy()))


def planetoid(rest: str, root: Path) -> pa.Table:
    """Cora, CiteSeer or PubMed with the public split (Yang et al. 2016, arXiv:1603.08861).

    `FOLDER/NAME`, or `NAME` for data/NAME: PyG downloads what is not there.
    """
    from torch_geometric.datasets import Planetoid

    folder, name = _folder(rest, root)
    data: Any = Planetoid(str(folder), name)[0]
    sides = [(side, data[f"{side}_mask"].numpy()) for side in ("train", "val", "test")]
    inside_V = np.any([mask for _, mask in sides], axis=0)
    table = pa.table({NODE: node_column(one(data.x.numpy(), data.edge_index.numpy()))})
    table = table.append_column("split", masks(sides, len(inside_V)))
    return table.append_column("label", labels_of(np.where(inside_V, data.y.numpy(), -1)))


def tu(rest: str, root: Path) -> pa.Table:
    """A set of TUDataset (Morris et al. 2020, arXiv:2007.08663), its node labels as features.

    `FOLDER/NAME`, or `NAME` for data/NAME: PyG downloads what is not there.
    """
    from torch_geometric.datasets import TUDataset

    folder, name = _folder(rest, root)
    whole = TUDataset(str(folder), name)
    nodes = [int(data.num_nodes) for data in whole]
    first = np.concatenate([[0], np.cumsum(nodes)])
    edges = [data.edge_index.numpy() + start for data, start in zip(whole, first, strict=False)]
    edge_2E = np.concatenate(edges, axis=1)
    if whole[0].x is None:
        x_VF = degrees(edge_2E, int(first[-1]))
    else:
        x_VF = np.concatenate([data.x.numpy() for data in whole])
    net = many(x_VF, edge_2E, np.repeat(np.arange(len(nodes)), nodes), len(nodes))
    labels = np.array([int(data.y) for data in whole])
    return pa.table(graph_columns(net)).append_column("label", labels_of(labels))


def _folder(rest: str, root: Path) -> tuple[Path, str]:
    place = Path(rest).expanduser()
    return root / (place.parent if place.parent != Path(".") else Path("data")), place.name
