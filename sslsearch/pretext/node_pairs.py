"""Pairs of nodes with and without an edge: what link prediction and graph autoencoders are made of.

Shapes: V = nodes of a batch, E = directed edges, K = pairs.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F

from sslsearch.distributed import full_precision, global_mean
from sslsearch.graph import Graph


def absent(graph: Graph, count: int, rng: torch.Generator) -> torch.Tensor:
    """pair_2K of at most `count` pairs without an edge, each within one graph, drawn at random.

    The first node of a pair is drawn among all, the second among those of its graph; what turns
    out to be an edge, or one node twice, is left out.
    """
    device, nodes = graph.graph_V.device, len(graph.graph_V)
    nodes_G = graph.nodes_G
    first_G = nodes_G.cumsum(0) - nodes_G
    draw_2K = torch.rand((2, count), generator=rng, device=rng.device).to(device)
    a_K = (draw_2K[0] * nodes).long().clamp(max=nodes - 1)
    graph_K = graph.graph_V[a_K]
    b_K = (draw_2K[1] * nodes_G[graph_K]).long().minimum(nodes_G[graph_K] - 1) + first_G[graph_K]
    key_E = graph.edge_2E[0] * nodes + graph.edge_2E[1]
    there_K = torch.isin(a_K * nodes + b_K, key_E) | torch.isin(b_K * nodes + a_K, key_E)
    good_K = ~there_K & (a_K != b_K) & graph.valid_V[a_K] & graph.valid_V[b_K]
    return torch.stack([a_K, b_K])[:, good_K]


def link_loss(present_K: torch.Tensor, absent_K: torch.Tensor) -> torch.Tensor:
    """-log σ(score) over pairs with an edge and -log(1 - σ(score)) over pairs without: both means.

    0, with its graph, where there is no pair.
    """
    with full_precision(present_K.device):
        right, wrong = F.softplus(-present_K.float()), F.softplus(absent_K.float())
        count = [torch.tensor(float(len(k)), device=k.device) for k in (right, wrong)]
        return global_mean(right.sum(), count[0]) + global_mean(wrong.sum(), count[1])


def inner(z_VD: torch.Tensor, pair_2K: torch.Tensor) -> torch.Tensor:
    """The inner product of the two nodes of each pair."""
    return (z_VD[pair_2K[0]] * z_VD[pair_2K[1]]).sum(1)
