"""Masked words: which words of a node's text are hidden, told from the others and the neighbours.

Jin et al. 2023, Patton: Language Model Pretraining on Text-Rich Networks, arXiv:2305.12268
(network-contextualized masked language modeling), with the cross entropy of BERT (Devlin et al.
2019, arXiv:1810.04805). A text is the counts of its words, not their order, and the language model
is the graph network; hidden words are left out, none is kept or exchanged.

Shapes: V = nodes of a batch, F = features: one for each word, D = token width.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import torch
from torch import nn

from sslsearch.distributed import full_precision, global_mean
from sslsearch.encoders.base import Encoder
from sslsearch.graph import Graph
from sslsearch.pretext.base import Pretext
from sslsearch.registry import Ratio, Unit, register
from sslsearch.values import Batch, Loss


@register(
    "pretext",
    "masked_words",
    modality="graph",
    needs={"tokens"},
    paper="Jin et al. 2023 (Patton), arXiv:2305.12268",
)
class MaskedWords(Pretext):
    """Hide words of all nodes and predict them; negative features are no words."""

    views = 1

    def __init__(
        self,
        encoder: Encoder,
        *,
        ratio: Annotated[Ratio, Unit("probability per word of a node")] = 0.15,
    ) -> None:
        super().__init__()
        self.ratio = ratio
        self.predict = nn.Linear(encoder.width, encoder.patch_width)

    def loss(self, encoder: Encoder, views: list[Batch], rng: torch.Generator) -> Loss:
        batch, graph = views[0], views[0].x
        hidden_VF = self._hidden(graph, rng)
        seen = replace(graph, x_VF=graph.x_VF.masked_fill(hidden_VF, 0.0))
        z_VD = graph.packed(encoder(batch.with_x(seen)).tokens_BND)
        asked_V = hidden_VF.any(1)
        total = word_entropy(self.predict(z_VD[asked_V]), hidden_VF[asked_V])
        total = total + 0.0 * z_VD.float().sum()  # its graph, where nothing is hidden
        return Loss(total, {"cross_entropy": total.detach()})

    def _hidden(self, graph: Graph, rng: torch.Generator) -> torch.Tensor:
        """Only what is there is drawn for: texts hold few of all words."""
        node_K, word_K = torch.nonzero((graph.x_VF > 0) & graph.valid_V[:, None], as_tuple=True)
        draw_K = torch.rand(len(node_K), generator=rng, device=rng.device).to(node_K.device)
        hidden_VF = torch.zeros_like(graph.x_VF, dtype=torch.bool)
        hidden_VF[node_K, word_K] = draw_K < self.ratio
        return hidden_VF


def word_entropy(logits_VF: torch.Tensor, hidden_VF: torch.Tensor) -> torch.Tensor:
    """-log of the probability among all words, mean over hidden words."""
    with full_precision(logits_VF.device):
        entropy = -(logits_VF.float().log_softmax(1) * hidden_VF).sum()
        return global_mean(entropy, hidden_VF.sum())
