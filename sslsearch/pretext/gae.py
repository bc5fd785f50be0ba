"""GAE and VGAE: the inner products of node vectors must say where there are edges.

Kipf & Welling 2016, Variational Graph Auto-Encoders, arXiv:1611.07308. As many pairs without an
edge are drawn as there are edges, where the authors weigh all of them (PyTorch Geometric does so
too); edges are those of the view that the encoder sees.

Shapes: V = nodes of a batch, D = token width, Z = latent width.
"""

from __future__ import annotations

from typing import Annotated

import torch
from torch import nn

from sslsearch.distributed import full_precision, global_mean
from sslsearch.encoders.base import Encoder
from sslsearch.graph import Graph
from sslsearch.pretext.base import Pretext
from sslsearch.pretext.node_pairs import absent, inner, link_loss
from sslsearch.registry import Count, Unit, register
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
    """GAE of vectors drawn around their mean, which are held near a standard normal.

    Mean and deviation are linear maps of the encoder's tokens, where the authors give each a graph
    convolution of its own: the encoder is what is kept, and it ends before them.
    """

    views = 1

    def __init__(self, encoder: Encoder, *, latent: Annotated[Count, Unit("units")] = 16) -> None:
        super().__init__()
        self.mean, self.log_std = (nn.Linear(encoder.width, latent) for _ in range(2))

    def loss(self, encoder: Encoder, views: list[Batch], rng: torch.Generator) -> Loss:
        graph: Graph = views[0].x
        h_VD = graph.packed(encoder(views[0]).tokens_BND)
        mean_VZ, log_std_VZ = self.mean(h_VD), self.log_std(h_VD).clamp(max=LARGEST)
        noise_VZ = torch.randn(mean_VZ.shape, generator=rng, device=rng.device).to(mean_VZ.device)
        restored = reconstruction(graph, mean_VZ + noise_VZ * log_std_VZ.exp(), rng)
        divergence = normality(mean_VZ, log_std_VZ, graph.valid_V)
        # the authors' weights: the divergence is divided by the number of nodes once more
        total = restored + divergence / max(len(graph.graph_V), 1)
        parts = {"reconstruction": restored.detach(), "divergence": divergence.detach()}
        return Loss(total, parts)


def reconstruction(graph: Graph, z_VD: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """-log of the likelihood of edges, and of as many pairs without one."""
    pair_2K = absent(graph, graph.edge_2E.shape[1], rng)
    return link_loss(inner(z_VD, graph.edge_2E), inner(z_VD, pair_2K)) + 0.0 * z_VD.float().sum()


def normality(
    mean_VZ: torch.Tensor, log_std_VZ: torch.Tensor, valid_V: torch.Tensor
) -> torch.Tensor:
    """Kullback-Leibler divergence from a standard normal, mean over valid nodes."""
    with full_precision(mean_VZ.device):
        mean_VZ, log_std_VZ = mean_VZ.float(), log_std_VZ.float()
        inside_VZ = 1 + 2 * log_std_VZ - mean_VZ.square() - (2 * log_std_VZ).exp()
        return global_mean(-0.5 * (inside_VZ.sum(1) * valid_V).sum(), valid_V.sum())
