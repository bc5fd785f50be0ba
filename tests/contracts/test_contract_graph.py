"""Augmentations, encoders and pretexts on graphs: nodes of one graph, and many graphs.

Shapes: V = nodes, E = directed edges, F = features, G = graphs, N = nodes of the largest graph.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import small
import torch

from sslsearch import distributed, registry
from sslsearch.encoders.base import Encoder
from sslsearch.graph import Graph
from sslsearch.pretext.base import Pretext
from sslsearch.pretext.build import build, trains
from sslsearch.registry import Identity, Part, Unit, marker
from sslsearch.values import Batch, Encoded, InputSpec, Loss

FEATURES = 5
AUGMENTS = registry.parts("augment", "graph")
ENCODERS = registry.parts("encoder", "graph")
GIVEN = registry.get("modality", "graph").gives | {"views", "tokens"}
PRETEXTS = {n: p for n, p in registry.parts("pretext", "graph").items() if p.needs <= GIVEN}
IDENTITIES = [
    (name, knob, marker(info, Identity).value)
    for name, part in AUGMENTS.items()
    for knob, info in part.knobs.model_fields.items()
    if marker(info, Identity) is not None
]
every_augment = pytest.mark.parametrize("part", AUGMENTS.values(), ids=AUGMENTS.keys())
every_encoder = pytest.mark.parametrize("encoder_name", sorted(ENCODERS))
every_pretext = pytest.mark.parametrize("name", sorted(PRETEXTS))
levels = pytest.mark.parametrize("one", [True, False], ids=["nodes", "graphs"])


def graph(*, one: bool, seed: int = 0, sizes: tuple[int, ...] = (9, 1, 14, 6)) -> Graph:
    """A graph, or several of which one is a lone node without edges."""
    rng = torch.Generator().manual_seed(seed)
    sizes = (sum(sizes),) if one else sizes
    edges, first = [], 0
    for size in sizes:
        pair_2P = torch.randint(0, size, (2, 2 * size), generator=rng)
        pair_2P = torch.unique(pair_2P[:, pair_2P[0] < pair_2P[1]], dim=1) + first
        edges += [pair_2P, pair_2P.flip(0)]
        first += size
    graph_V = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    return Graph(
        x_VF=torch.rand(len(graph_V), FEATURES, generator=rng) + 0.1,
        edge_2E=torch.cat(edges, 1),
        graph_V=graph_V,
        count=len(sizes),
        valid_V=torch.ones(len(graph_V), dtype=torch.bool),
        sample_B=torch.arange(0, len(graph_V), 3) if one else None,
    )


def batch_of(x: Graph) -> Batch:
    count = x.count if x.sample_B is None else len(x.sample_B)
    return Batch(x, torch.ones(count, 1, dtype=torch.bool), torch.arange(count))


def run(part: Part, x: Graph, seed: int = 0, **knobs: Any) -> Graph:
    made: Graph = part.bind(knobs)(x, torch.Generator().manual_seed(seed))
    return made


def same(a: Graph, b: Graph) -> bool:
    if a.edge_2E.shape != b.edge_2E.shape:
        return False
    tensors = ("x_VF", "edge_2E", "valid_V", "weights")
    return all(torch.equal(getattr(a, name), getattr(b, name)) for name in tensors)


def make(encoder_name: str, name: str | None = None) -> tuple[Encoder, Pretext]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        knobs = {"width": 16, "depth": 2}
        spec = InputSpec("graph", {"features": FEATURES, "nodes": 30})
        encoder: Encoder = registry.bind("encoder", {encoder_name: knobs})(spec)
        return encoder, build(encoder, {name or "none": small.PRETEXTS.get(name or "none", {})})


def loss_of(encoder: Encoder, pretext: Pretext, x: Graph, seed: int = 0) -> Loss:
    views = [batch_of(replace(x, x_VF=x.x_VF * (1 + 0.1 * i))) for i in range(pretext.views)]
    return pretext.loss(encoder, views, torch.Generator().manual_seed(seed))


def test_the_registry_holds_the_literature() -> None:
    assert {"edge_drop", "node_drop", "feature_mask", "subgraph", "diffusion"} <= set(AUGMENTS)
    assert {"gcn", "gin", "gat", "sage"} <= set(ENCODERS)
    assert {"simclr", "byol", "cca_ssg", "dgi", "gae", "vgae", "graphmae"} <= set(PRETEXTS)


@every_augment
@levels
def test_a_view_is_a_graph(part: Part, one: bool) -> None:
    for seed in range(3):
        x = graph(one=one, seed=seed)
        before = replace(x, x_VF=x.x_VF.clone(), edge_2E=x.edge_2E.clone())
        view = run(part, x, seed)
        assert same(x, before)
        assert view.x_VF.shape == x.x_VF.shape
        assert view.x_VF.isfinite().all()
        assert torch.equal(view.graph_V, x.graph_V)
        assert view.sample_B is x.sample_B
        assert view.weights.shape == view.edge_2E.shape[1:]
        # no edge between graphs, to a dropped node, or from a node to itself
        ends_2E = view.graph_V[view.edge_2E]
        assert torch.equal(ends_2E[0], ends_2E[1])
        assert view.valid_V[view.edge_2E].all()
        assert (view.edge_2E[0] != view.edge_2E[1]).all()
        assert not view.x_VF[~view.valid_V].any()
        assert view.dense(view.valid_V).any(1).all()
        assert not same(view, run(part, x, seed + 100))
        assert same(view, run(part, x, seed))


@pytest.mark.parametrize(("name", "knob", "value"), IDENTITIES)
@levels
def test_identity_knob_changes_nothing(name: str, knob: str, value: Any, one: bool) -> None:
    x = graph(one=one)
    assert same(run(AUGMENTS[name], x, **{knob: value}), x)


@every_augment
def test_it_speaks_in_units_and_has_an_identity(part: Part) -> None:
    fields = part.knobs.model_fields
    assert any(marker(info, Identity) is not None for info in fields.values())
    assert all(marker(info, Unit) is not None for info in fields.values())


@every_augment
def test_graphs_without_edges(part: Part) -> None:
    x = graph(one=False)
    x = replace(x, edge_2E=x.edge_2E[:, :0])
    assert run(part, x).x_VF.isfinite().all()


@every_encoder
@levels
def test_shapes_are_those_of_the_attributes(encoder_name: str, one: bool) -> None:
    encoder, _ = make(encoder_name)
    batch = batch_of(graph(one=one))
    encoded = encoder(batch)
    G, N = encoded.valid_BN.shape
    assert encoded.tokens_BND.shape == (G, N, encoder.width)
    assert encoded.pooled_BD.shape == (len(batch), encoder.pooled_width)
    assert encoder.token_valid(batch).shape == (G, encoder.channels, N)
    assert encoder.patchify(batch).shape == (G, encoder.channels, N, encoder.patch_width)
    assert encoder.patch_valid(batch).shape == (G, encoder.channels, N, encoder.patch_width)
    assert torch.equal(encoded.valid_BN, encoder.token_valid(batch).any(1))


@every_encoder
def test_padding_rows_further_changes_nothing(
    encoder_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers fill rows up to one length, for their shares hold graphs of other sizes."""
    encoder, _ = make(encoder_name)
    batch = batch_of(graph(one=False))
    alone = encoder(batch)
    monkeypatch.setattr(distributed, "world", lambda: 2)
    padded = encoder(batch)
    assert padded.valid_BN.shape[1] == 30
    torch.testing.assert_close(padded.pooled_BD, alone.pooled_BD)
    assert torch.equal(padded.tokens_BND[:, :14], alone.tokens_BND)
    assert not padded.valid_BN[:, 14:].any()
    assert encoder.token_valid(batch).shape[2] == encoder.patchify(batch).shape[2] == 30


@every_encoder
@levels
def test_dropped_nodes_change_nothing(encoder_name: str, one: bool) -> None:
    encoder, _ = make(encoder_name)
    x = graph(one=one)
    valid_V = torch.arange(len(x.graph_V)) % 4 != 1
    valid_V[x.graph_V.diff(prepend=torch.tensor([-1])) > 0] = True
    clean = replace(x, valid_V=valid_V)
    junk = replace(clean, x_VF=x.x_VF.masked_fill(~valid_V[:, None], float("nan")))
    for a, b in ((clean, junk), (clean, x.without(~valid_V))):
        ours, theirs = encoder(batch_of(a)), encoder(batch_of(b))
        assert torch.equal(ours.pooled_BD, theirs.pooled_BD)
        assert torch.equal(ours.tokens_BND, theirs.tokens_BND)


@every_encoder
@levels
def test_hidden_nodes_are_not_seen(encoder_name: str, one: bool) -> None:
    encoder, _ = make(encoder_name)
    with torch.no_grad():
        encoder.mask_token.fill_(0.3)
    x = graph(one=one)
    hidden_V = torch.arange(len(x.graph_V)) % 2 == 0
    hidden_GCN = x.dense(hidden_V)[:, None]
    other = replace(x, x_VF=x.x_VF + 5.0 * hidden_V[:, None])
    seen: list[Encoded] = [encoder(batch_of(y), hidden_GCN) for y in (x, other)]
    assert torch.equal(seen[0].tokens_BND, seen[1].tokens_BND)
    shown = replace(x, x_VF=x.x_VF + 5.0 * ~hidden_V[:, None])
    assert not torch.allclose(seen[0].tokens_BND, encoder(batch_of(shown), hidden_GCN).tokens_BND)


@every_encoder
def test_graphs_do_not_see_each_other(encoder_name: str) -> None:
    encoder, _ = make(encoder_name)
    x = graph(one=False)
    together = encoder(batch_of(x)).pooled_BD
    changed = replace(x, x_VF=x.x_VF + 3.0 * (x.graph_V == 0)[:, None])
    moved = encoder(batch_of(changed)).pooled_BD
    torch.testing.assert_close(moved[1:], together[1:])
    assert not torch.allclose(moved[0], together[0])


@every_encoder
def test_the_order_of_nodes_does_not_matter(encoder_name: str) -> None:
    encoder, _ = make(encoder_name)
    x = replace(graph(one=True), sample_B=None)
    order = torch.randperm(len(x.graph_V), generator=torch.Generator().manual_seed(0))
    place = order.argsort()
    other = replace(x, x_VF=x.x_VF[order], edge_2E=place[x.edge_2E])
    torch.testing.assert_close(
        encoder(batch_of(x)).pooled_BD, encoder(batch_of(other)).pooled_BD, atol=1e-5, rtol=1e-4
    )


@every_pretext
@levels
def test_loss_is_finite_learns_and_is_reproducible(name: str, one: bool) -> None:
    if name == "infograph" and one:
        with pytest.raises(ValueError, match="take dgi"):
            loss_of(*make("gcn", name), graph(one=True))
        return
    encoder, pretext = make("gcn", name)
    x = graph(one=one)
    first = loss_of(encoder, pretext, x)
    assert first.total.isfinite()
    assert all(part.isfinite() and not part.requires_grad for part in first.parts.values())
    torch.manual_seed(5)  # the global generator plays no part
    assert torch.equal(first.total, loss_of(*make("gcn", name), x).total)
    if not trains({name: {}}):
        return
    weights = [*encoder.parameters(), *(p for p in pretext.parameters() if p.requires_grad)]
    optimiser = torch.optim.AdamW(weights, lr=3e-3)
    losses = []
    for _ in range(10):
        loss = loss_of(encoder, pretext, x).total
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    pretext.after_step(encoder, 0.5)  # not before: targets and queues that move ask anew
    assert loss_of(encoder, pretext, x).total.isfinite()


@every_pretext
@levels
def test_degenerate_graphs_stay_finite(name: str, one: bool) -> None:
    if name == "infograph" and one:
        pytest.skip("is for many graphs")
    for x in (
        graph(one=one, sizes=(1,)),
        graph(one=one, sizes=(1, 1)),
        replace(graph(one=one), edge_2E=torch.zeros(2, 0, dtype=torch.int64)),
        graph(one=one).without(torch.ones(30, dtype=torch.bool)),
    ):
        encoder, pretext = make("gcn", name)
        loss = loss_of(encoder, pretext, x)
        assert loss.total.isfinite()
        loss.total.backward()
        for parameter in [*encoder.parameters(), *pretext.parameters()]:
            assert parameter.grad is None or parameter.grad.isfinite().all()
