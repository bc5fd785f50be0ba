"""GAE and VGAE: the inner products of node vectors must say where there are edges.

Kipf & Welling 2016, Variational Graph Auto-Encoders, arXiv:1611.07308. As many pairs without an
edge are drawn as there are edges, where the authors weigh all of them (PyTorch Geometric does so
too); edges are those of the view that the encoder sees.

Shapes: V = nodes of a batch, D = token width.
"""

from __future__ import annotations

import torch
from torch import nn

from sslsearch.distributed import full_precision, global_mean
from sslsearch.encoders.base import Encoder
from sslsearch.graph import Graph
from sslsearch.pretext.base import Pretext
from sslsearch.pretext.node_pairs import absent, inner, link_loss
from sslsearch.registry import register
from sslsearch.values import Batch, Loss

PAPER = "Kipf & Welling 2016, arXiv:1611.07308"
LARGEST = 10.0  # of a log deviation, as PyG


@register("pretext", "gae", modality="graph", paper=PAPER)
class GAE(Pretext):
    """Reconstruct edges from inner products of node vectors."""

    views = 1

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()

    def loss(self, encoder: Encoder, views: list[Batch], rng: torch.Generator) -> Loss:
        graph: Graph = views[0].x
        z_VD = graph.packed(encoder(views[0]).tokens_BND)
        total = reconstruction(graph, z_VD, rng)
        return Loss(total, {"reconstruction": total.detach()})


@register("pretext", "vgae", modality="graph", paper=PAPER)
class VGAE(Pretext):
    """GAE of vectors drawn around the encoder's, which are held near a standard normal.

    The encoder's vectors are the means, by which the authors judge too. The deviations are a linear
    map of them, where the authors give both a graph convolution of the layer before.
    """

    views = 1

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.log_std = nn.Linear(encoder.width, encoder.width)

    def loss(self, encoder: Encoder, views: list[Batch], rng: torch.Generator) -> Loss:
        graph: Graph = views[0].x
        mean_VD = graph.packed(encoder(views[0]).tokens_BND)
        log_std_VD = self.log_std(mean_VD).clamp(max=LARGEST)
        noise_VD = torch.randn(mean_VD.shape, generator=rng, device=rng.device).to(mean_VD.device)
        restored = reconstruction(graph, mean_VD + noise_VD * log_std_VD.exp(), rng)
        divergence = normality(mean_VD, log_std_VD, graph.valid_V)
        # the authors' weights: the divergence is divided by the number of nodes once more
        total = restored + divergence / max(len(graph.graph_V), 1)
        parts = {"reconstruction": restored.detach(), "divergence": divergence.detach()}
        return Loss(total, parts)


def reconstruction(graph: Graph, z_VD: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """-log of the likelihood of edges, and of as many pairs without one."""
    pair_2K = absent(graph, graph.edge_2E.shape[1], rng)
    return link_loss(inner(z_VD, graph.edge_2E), inner(z_VD, pair_2K)) + 0.0 * z_VD.float().sum()


def normality(
    mean_VD: torch.Tensor, log_std_VD: torch.Tensor, valid_V: torch.Tensor
) -> torch.Tensor:
    """Kullback-Leibler divergence from a standard normal, mean over valid nodes."""
    with full_precision(mean_VD.device):
        mean_VD, log_std_VD = mean_VD.float(), log_std_VD.float()
        inside_VD = 1 + 2 * log_std_VD - mean_VD.square() - (2 * log_std_VD).exp()
        return global_mean(-0.5 * (inside_VD.sum(1) * valid_V).sum(), valid_V.sum())
