"""The floor of link prediction that learns nothing: two nodes are joined by what they both know.

Adamic & Adar 2003, Friends and Neighbors on the Web (Social Networks 25): the neighbours that two
nodes share, each weighing one over the logarithm of how many it has.
Shapes: V = nodes, P = pairs asked for, K = pairs asked of a node at most.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_matrix, diags

from sslsearch.modalities.graph_links import asked
from sslsearch.probe.floors import FloorFeatures, Samples
from sslsearch.registry import register


@register("floor", modality="graph", needs=["links"], paper="Adamic & Adar 2003, Social Networks")
def adamic_adar(train: Samples, test: Samples, seed: int, encoder: dict[str, Any]) -> FloorFeatures:
    """The answers by shared neighbours in the graph that the encoders see."""
    return FloorFeatures(_answers(train), _answers(test), predicts=True)


def _answers(samples: Samples) -> torch.Tensor:
    """answer_VK, zeros where less is asked of a node."""
    graph = samples.batch(torch.arange(len(samples)), torch.device("cpu")).x
    nodes, (low_P, high_P) = len(samples), asked(samples.columns).numpy()
    ends_2E = graph.edge_2E.numpy()
    adjacency = csr_matrix((np.ones(ends_2E.shape[1]), tuple(ends_2E)), (nodes, nodes))
    degree_V = np.asarray(adjacency.sum(0)).ravel()
    # who joins two others has two neighbours at least
    weighed = adjacency @ diags(1 / np.log(np.maximum(degree_V, 2)))
    score_P = np.asarray(weighed[low_P].multiply(adjacency[high_P]).sum(1)).ravel()
    count_V = np.bincount(low_P, minlength=nodes)
    place_P = np.arange(len(low_P)) - (np.cumsum(count_V) - count_V)[low_P]
    answer_VK = np.zeros((nodes, max(int(count_V.max()), 1)), np.float32)
    answer_VK[low_P, place_P] = score_P
    return torch.from_numpy(answer_VK)
