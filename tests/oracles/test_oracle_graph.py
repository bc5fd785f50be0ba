"""Graph methods against PyTorch Geometric's models, the authors' formulas, or slow loops."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sslsearch import registry
from sslsearch.encoders.sparse import SparseLinear, by_target
from sslsearch.graph import Graph
from sslsearch.pretext.attribute_prediction import share_entropy
from sslsearch.pretext.cca_ssg import cca_terms
from sslsearch.pretext.dgi import discrimination
from sslsearch.pretext.gae import normality
from sslsearch.pretext.graphmae import cosine_error
from sslsearch.pretext.infograph import jensen_shannon
from sslsearch.pretext.node_pairs import absent, inner, link_loss
from sslsearch.pretext.simclr import nt_xent
from sslsearch.values import Batch, InputSpec

NODES, FEATURES = 20, 6


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def ring_with_chords() -> Graph:
    at = torch.arange(NODES)
    pair_2P = torch.cat([torch.stack([at, (at + 1) % NODES]), torch.stack([at[:5], at[:5] + 7])], 1)
    return Graph(
        x_VF=torch.rand(NODES, FEATURES, generator=rng()),
        edge_2E=torch.cat([pair_2P, pair_2P.flip(0)], 1),
        graph_V=torch.zeros(NODES, dtype=torch.int64),
        count=1,
        valid_V=torch.ones(NODES, dtype=torch.bool),
        sample_B=at,
    )


def whole(x: Graph) -> Batch:
    return Batch(x, torch.ones(NODES, 1, dtype=torch.bool), torch.arange(NODES))


def test_gcn_is_pygs_stack() -> None:
    from torch_geometric.nn.models import GCN

    x = ring_with_chords()
    ours = registry.bind("encoder", {"gcn": {"depth": 2, "width": 8}})(
        InputSpec("graph", {"features": FEATURES, "nodes": NODES})
    )
    theirs = GCN(FEATURES, 8, num_layers=2)
    with torch.no_grad():
        for mine, their in zip(ours.layers, theirs.convs, strict=True):
            their.lin.weight.copy_(mine.lin.weight)
            mine.bias.normal_(generator=rng())
            their.bias.copy_(mine.bias)
    torch.testing.assert_close(ours(whole(x)).pooled_BD, theirs(x.x_VF, x.edge_2E))


def test_edges_as_a_matrix_are_messages_along_them() -> None:
    """With weights, an edge that stands twice and a node without any; gradients too."""
    edge_2E = torch.tensor([[0, 1, 1, 3, 0], [2, 2, 0, 0, 2]])
    weight_E = torch.rand(5, generator=rng())
    x_VD = torch.rand(5, 3, generator=rng(1), requires_grad=True)
    matrix = by_target(edge_2E, weight_E, 5)
    assert matrix is not None
    out_VD = matrix @ x_VD
    expected = torch.zeros(5, 3).index_add(0, edge_2E[1], x_VD[edge_2E[0]] * weight_E[:, None])
    torch.testing.assert_close(out_VD, expected)
    ours, theirs = (torch.autograd.grad(o.square().sum(), x_VD)[0] for o in (out_VD, expected))
    torch.testing.assert_close(ours, theirs)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert by_target(edge_2E, weight_E, 5) is None


def test_linear_of_mostly_zeros_is_linear() -> None:
    x = torch.rand(30, 50, generator=rng()) * (torch.rand(30, 50, generator=rng(1)) < 0.05)
    x[3] = 0.0
    ours = SparseLinear(50, 7, bias=False)
    plain = nn.Linear(50, 7, bias=False)
    plain.weight = nn.Parameter(ours.weight.detach().clone())
    weight = torch.randn(30, 7, generator=rng(2))
    torch.testing.assert_close(ours(x), plain(x))
    (ours(x) * weight).sum().backward()
    (plain(x) * weight).sum().backward()
    torch.testing.assert_close(ours.weight.grad, plain.weight.grad)


def test_dgi_is_pygs() -> None:
    from torch_geometric.nn.models import DeepGraphInfomax

    true, false = (torch.randn(1, NODES, 8, generator=rng(s)) for s in (0, 1))
    valid = torch.ones(1, NODES, dtype=torch.bool)
    theirs = DeepGraphInfomax(
        8, nn.Identity(), summary=lambda z, *_: torch.sigmoid(z.mean(0)), corruption=lambda x: x
    )
    ours = discrimination(true, false, valid, theirs.weight.detach())
    summary = torch.sigmoid(true[0].mean(0))
    # PyG adds the means over true and over false nodes, the paper takes the mean over both
    expected = theirs.loss(true[0], false[0], summary) / 2
    torch.testing.assert_close(ours, expected.detach(), atol=1e-5, rtol=1e-5)


def test_gae_is_pygs() -> None:
    from torch_geometric.nn.models import GAE

    x = ring_with_chords()
    z = torch.randn(NODES, 4, generator=rng(1))
    pairs = absent(x, 40, rng())
    ours = link_loss(inner(z, x.edge_2E), inner(z, pairs))
    torch.testing.assert_close(ours, GAE(nn.Identity()).recon_loss(z, x.edge_2E, pairs))


def test_vgae_is_pygs() -> None:
    from torch_geometric.nn.models import VGAE

    x = ring_with_chords()
    mean, log_std = (torch.randn(NODES, 4, generator=rng(s)) for s in (2, 3))
    expected = VGAE(nn.Identity()).kl_loss(mean, log_std)
    torch.testing.assert_close(normality(mean, log_std, x.valid_V), expected)


def test_link_prediction_is_cross_entropy_of_hidden_edges_and_absent_pairs() -> None:
    """With nothing hidden there is nothing to ask; with edges hidden, they and no others count."""
    x = ring_with_chords()
    encoder = registry.bind("encoder", {"gcn": {"width": 8, "depth": 1}})(
        InputSpec("graph", {"features": FEATURES, "nodes": NODES})
    )
    pretext = registry.bind("pretext", {"link_prediction": {"hidden": 0.5}})(encoder)
    asked: list[torch.Tensor] = []
    pretext.score.register_forward_hook(lambda _m, _i, out: asked.append(out.squeeze(1)))
    seen: list[Graph] = []
    encoder.register_forward_pre_hook(lambda _m, given: seen.append(given[0].x))
    total = pretext.loss(encoder, [whole(x)], rng()).total
    logits = torch.cat(asked)
    edge = torch.cat([torch.ones_like(asked[0]), torch.zeros_like(asked[1])])
    per_pair = F.binary_cross_entropy_with_logits(logits, edge, reduction="none")
    expected = per_pair[: len(asked[0])].mean() + per_pair[len(asked[0]) :].mean()
    torch.testing.assert_close(total, expected)
    assert len(asked[0]) + seen[0].edge_2E.shape[1] == x.edge_2E.shape[1]  # asked or seen
    unasked = registry.bind("pretext", {"link_prediction": {"hidden": 0.0}})(encoder)
    assert float(unasked.loss(encoder, [whole(x)], rng()).total.detach()) == 0.0


def test_absent_pairs_are_absent() -> None:
    x = ring_with_chords()
    edges = set(map(tuple, x.edge_2E.T.tolist()))
    pairs = absent(x, 500, rng())
    assert pairs.shape[1] > 300
    for a, b in pairs.T.tolist():
        assert a != b
        assert (a, b) not in edges


def test_grace_is_nt_xent() -> None:
    """GRACE (equation 1): negatives are the other nodes of both views, as in NT-Xent."""
    a, b = (F.normalize(torch.randn(7, 5, generator=rng(s)), dim=1) for s in (0, 1))
    temperature, total = 0.4, 0.0
    for u, v in ((a, b), (b, a)):
        for i in range(7):
            between = [math.exp(float(u[i] @ v[k]) / temperature) for k in range(7)]
            within = [math.exp(float(u[i] @ u[k]) / temperature) for k in range(7) if k != i]
            total -= math.log(between[i] / (sum(between) + sum(within)))
    assert float(nt_xent(a, b, temperature)) == pytest.approx(total / 14, rel=1e-5)


def test_cca_ssg_is_authors() -> None:
    h1, h2 = (torch.randn(30, 6, generator=rng(s)) * 3 + 1 for s in (0, 1))
    # main.py of the authors' code
    z1, z2 = ((h - h.mean(0)) / h.std(0) for h in (h1, h2))
    c, c1, c2 = (x.T @ y / 30 for x, y in ((z1, z2), (z1, z1), (z2, z2)))
    invariance = -torch.diagonal(c).sum()
    eye = torch.eye(6)
    apart = (eye - c1).pow(2).sum() + (eye - c2).pow(2).sum()
    ours = cca_terms(h1, h2)
    torch.testing.assert_close(ours[0], invariance)
    torch.testing.assert_close(ours[1], apart)


def test_infograph_is_authors() -> None:
    sizes, width = (3, 5, 2), 4
    local = [torch.randn(size, width, generator=rng(size)) for size in sizes]
    whole_GD = torch.randn(3, width, generator=rng())
    positive = negative = torch.zeros(())
    for g, nodes in enumerate(local):
        for node in nodes:
            for other in range(3):
                score = node @ whole_GD[other]
                if other == g:
                    positive = positive + math.log(2.0) - F.softplus(-score)
                else:
                    negative = negative + F.softplus(-score) + score - math.log(2.0)
    expected = negative / (10 * 2) - positive / 10
    padded = torch.nn.utils.rnn.pad_sequence(local, batch_first=True)
    valid = torch.arange(5) < torch.tensor(sizes)[:, None]
    torch.testing.assert_close(jensen_shannon(padded, valid, whole_GD), expected)


def test_masked_words_is_the_cross_entropy_of_each_hidden_word() -> None:
    """Words of a text as tokens, one target each, as of BERT's head."""
    x = replace(ring_with_chords(), x_VF=(torch.rand(NODES, FEATURES, generator=rng()) < 0.5) * 2.0)
    encoder = registry.bind("encoder", {"gcn": {"width": 8, "depth": 1}})(
        InputSpec("graph", {"features": FEATURES, "nodes": NODES})
    )
    pretext = registry.bind("pretext", {"masked_words": {"ratio": 0.4}})(encoder)
    seen: list[Graph] = []
    encoder.register_forward_pre_hook(lambda _m, given: seen.append(given[0].x))
    total = pretext.loss(encoder, [whole(x)], rng()).total
    hidden_VF = (x.x_VF > 0) & (seen[0].x_VF == 0)
    assert torch.equal(seen[0].x_VF[~hidden_VF], x.x_VF[~hidden_VF])
    assert 0 < hidden_VF.sum() < (x.x_VF > 0).sum()
    logits_VF = pretext.predict(encoder(whole(seen[0])).pooled_BD)
    node_K, word_K = hidden_VF.nonzero(as_tuple=True)
    torch.testing.assert_close(total, F.cross_entropy(logits_VF[node_K], word_K))


def test_graphmae_is_authors() -> None:
    x, y = (torch.randn(9, 5, generator=rng(s)) for s in (0, 1))
    hidden = torch.arange(9) % 2 == 0
    # sce_loss of models/loss_func.py
    a, b = F.normalize(x[hidden], p=2, dim=-1), F.normalize(y[hidden], p=2, dim=-1)
    expected = (1 - (a * b).sum(dim=-1)).pow_(3).mean()
    torch.testing.assert_close(cosine_error(x, y, hidden, 3.0), expected)


def test_attribute_prediction_is_cross_entropy_on_one_hot() -> None:
    logits = torch.randn(9, 5, generator=rng())
    kind = torch.arange(9) % 5
    expected = F.cross_entropy(logits, kind)
    torch.testing.assert_close(share_entropy(logits, F.one_hot(kind, 5).float()), expected)


def test_diffusion_is_personalised_pagerank() -> None:
    from torch_geometric.transforms import GDC

    x, alpha, walks = ring_with_chords(), 0.3, 4000
    view = registry.bind("augment", {"diffusion": {"alpha": alpha, "walks": walks, "length": 60}})(
        x, rng()
    )
    ours = torch.zeros(NODES, NODES).index_put(
        (view.edge_2E[1], view.edge_2E[0]), view.weights, accumulate=True
    )
    gdc = GDC(self_loop_weight=None, normalization_in="row")
    edge_2E, weight_E = gdc.transition_matrix(x.edge_2E, torch.ones(50), NODES, "row")
    exact = gdc.diffusion_matrix_exact(edge_2E, weight_E, NODES, "ppr", alpha=alpha)
    off = ~torch.eye(NODES, dtype=torch.bool)
    assert (ours - exact)[off].abs().max() < 0.03


def test_dropping_follows_the_ratio() -> None:
    at = torch.arange(4000)
    pair_2P = torch.stack([at[:-1], at[1:]])
    x = replace(
        ring_with_chords(),
        x_VF=torch.ones(4000, 50),
        edge_2E=torch.cat([pair_2P, pair_2P.flip(0)], 1),
        graph_V=torch.zeros(4000, dtype=torch.int64),
        valid_V=torch.ones(4000, dtype=torch.bool),
    )
    edges = registry.bind("augment", {"edge_drop": {"ratio": 0.3}})(x, rng()).edge_2E
    assert edges.shape[1] / x.edge_2E.shape[1] == pytest.approx(0.7, abs=0.03)
    there = set(map(tuple, edges.T.tolist()))
    assert all((b, a) in there for a, b in there)
    nodes = registry.bind("augment", {"node_drop": {"ratio": 0.3}})(x, rng())
    assert float(nodes.valid_V.float().mean()) == pytest.approx(0.7, abs=0.03)
    masked = registry.bind("augment", {"feature_mask": {"ratio": 0.3}})(x, rng())
    columns = masked.x_VF.any(0)
    assert 0.5 < float(columns.float().mean()) < 0.9
    assert torch.equal(masked.x_VF.all(0), columns)
