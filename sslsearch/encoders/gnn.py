"""Graph neural networks: GCN, GIN, GAT and GraphSAGE.

Layers are PyTorch Geometric's (Fey & Lenssen 2019, arXiv:1903.02428), imported where they are
built, for its import takes seconds.
"""

from __future__ import annotations

from typing import Annotated

import torch
from torch import nn

from sslsearch.encoders.message_passing import Act, Depth, Gnn, Norm, Pool, Width
from sslsearch.encoders.sparse import SparseLinear, by_target
from sslsearch.graph import Graph
from sslsearch.registry import Count, Unit, register
from sslsearch.values import InputSpec


@register(
    "encoder",
    "gcn",
    modality="graph",
    gives={"tokens"},
    paper="Kipf & Welling 2017, arXiv:1609.02907",
)
class Gcn(Gnn):
    """Graph convolutions: neighbours averaged with weights by their degrees. Edges may weigh.

    512 units in two layers, as of DGI, BGRL and CCA-SSG.
    """

    def __init__(
        self,
        spec: InputSpec,
        *,
        depth: Depth = 2,
        width: Width = 512,
        act: Act = "relu",
        act_last: bool = False,
        norm: Norm = "none",
        jump: bool = False,
        pool: Pool = "mean",
    ) -> None:
        super().__init__(spec, depth, width, act, act_last, norm, jump, pool)

    def layer(self, before: int, after: int) -> nn.Module:
        from torch_geometric.nn import GCNConv

        conv: nn.Module = GCNConv(before, after, normalize=False)
        if before == self.patch_width:
            conv.lin = SparseLinear(before, after)
        return conv

    def edges(self, graph: Graph) -> tuple[torch.Tensor, ...]:
        from torch_geometric.nn.conv.gcn_conv import gcn_norm

        # once for all layers
        edge_2E, weight_E = gcn_norm(graph.edge_2E, graph.weights, len(graph.graph_V))
        matrix = by_target(edge_2E, weight_E, len(graph.graph_V))
        return (edge_2E, weight_E) if matrix is None else (matrix,)


@register(
    "encoder",
    "gin",
    modality="graph",
    gives={"tokens"},
    paper="Xu et al. 2019, arXiv:1810.00826",
)
class Gin(Gnn):
    """Graph isomorphism network: the sum over neighbours through a small MLP.

    Its sums grow with depth, hence layer normalisation where the authors have batch normalisation.
    """

    def __init__(
        self,
        spec: InputSpec,
        *,
        depth: Depth = 3,
        width: Width = 32,
        act: Act = "relu",
        act_last: bool = True,
        norm: Norm = "layer",
        jump: bool = True,
        pool: Pool = "sum",
    ) -> None:
        super().__init__(spec, depth, width, act, act_last, norm, jump, pool)

    def layer(self, before: int, after: int) -> nn.Module:
        from torch_geometric.nn import GINConv

        mlp = nn.Sequential(nn.Linear(before, after), nn.ReLU(), nn.Linear(after, after))
        conv: nn.Module = GINConv(mlp)
        return conv


@register(
    "encoder",
    "gat",
    modality="graph",
    gives={"tokens"},
    paper="Velickovic et al. 2018, arXiv:1710.10903",
)
class Gat(Gnn):
    """Graph attention: neighbours are weighed by what they and the node say."""

    def __init__(
        self,
        spec: InputSpec,
        *,
        depth: Depth = 2,
        width: Width = 64,
        heads: Annotated[Count, Unit("heads")] = 8,
        act: Act = "elu",
        act_last: bool = False,
        norm: Norm = "none",
        jump: bool = False,
        pool: Pool = "mean",
    ) -> None:
        if width % heads:
            raise ValueError(f"gat: width {width} must be divisible by heads {heads}")
        self.heads = heads
        super().__init__(spec, depth, width, act, act_last, norm, jump, pool)

    def layer(self, before: int, after: int) -> nn.Module:
        from torch_geometric.nn import GATConv

        conv: nn.Module = GATConv(before, after // self.heads, self.heads)
        if before == self.patch_width:
            conv.lin = SparseLinear(before, after, bias=False)
        return conv


@register(
    "encoder",
    "sage",
    modality="graph",
    gives={"tokens"},
    paper="Hamilton et al. 2017, arXiv:1706.02216",
)
class Sage(Gnn):
    """GraphSAGE: the node beside the mean of its neighbours."""

    def __init__(
        self,
        spec: InputSpec,
        *,
        depth: Depth = 2,
        width: Width = 256,
        act: Act = "relu",
        act_last: bool = False,
        norm: Norm = "none",
        jump: bool = False,
        pool: Pool = "mean",
    ) -> None:
        super().__init__(spec, depth, width, act, act_last, norm, jump, pool)

    def layer(self, before: int, after: int) -> nn.Module:
        from torch_geometric.nn import SAGEConv

        conv: nn.Module = SAGEConv(before, after)
        return conv
