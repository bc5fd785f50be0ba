"""Losses against an independent library (lightly), the authors' code, or a slow loop.

A test is named test_METHOD_…: docs/methods.md reads from the names what each is held against.
"""

from __future__ import annotations

import math

import pytest
import torch
from lightly.loss import NegativeCosineSimilarity, NTXentLoss, VICRegLoss
from torch.nn import functional as F

from sslsearch import registry
from sslsearch.pretext.byol import regression
from sslsearch.pretext.cpc import cut
from sslsearch.pretext.mae import restoration
from sslsearch.pretext.simclr import nt_xent
from sslsearch.pretext.ts2vec import Tokens, hierarchical
from sslsearch.pretext.vicreg import vicreg_terms
from sslsearch.values import Batch, InputSpec


def pair(*shape: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    a = torch.randn(*shape, generator=rng)
    b = 0.5 * a + torch.randn(*shape, generator=rng)
    return a.requires_grad_(), b.requires_grad_()


def assert_equal_with_gradients(
    ours: torch.Tensor, theirs: torch.Tensor, inputs: tuple[torch.Tensor, ...]
) -> None:
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    ours_grad = torch.autograd.grad(ours, inputs)
    theirs_grad = torch.autograd.grad(theirs, inputs)
    for a, b in zip(ours_grad, theirs_grad, strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("temperature", [0.05, 0.5, 2.0])
@pytest.mark.parametrize("batch", [2, 7])
def test_simclr_is_lightlys_nt_xent(temperature: float, batch: int) -> None:
    a, b = pair(batch, 16)
    theirs = NTXentLoss(temperature=temperature)(a, b)
    assert_equal_with_gradients(nt_xent(a, b, temperature), theirs, (a, b))


@pytest.mark.parametrize("batch", [2, 9])
def test_vicreg_is_lightlys(batch: int) -> None:
    a, b = pair(batch, 6)
    terms = vicreg_terms(a, b)
    ours = 25 * terms["invariance"] + 25 * terms["variance"] + terms["covariance"]
    assert_equal_with_gradients(ours, VICRegLoss()(a, b), (a, b))


def test_byol_is_two_plus_twice_lightlys() -> None:
    a, b = pair(5, 8)
    assert_equal_with_gradients(regression(a, b), 2 + 2 * NegativeCosineSimilarity()(a, b), (a, b))
    distance = (F.normalize(a, dim=1) - F.normalize(b, dim=1)).square().sum(1).mean()
    torch.testing.assert_close(regression(a, b), distance)  # the paper's equation 2


# The authors' models/losses.py (github.com/zhihanyue/ts2vec, MIT), as published.


def _authors_hierarchical(z1, z2, alpha=0.5, temporal_unit=0):  # type: ignore[no-untyped-def]
    loss = torch.tensor(0.0, device=z1.device)
    d = 0
    while z1.size(1) > 1:
        if alpha != 0:
            loss = loss + alpha * _authors_instance(z1, z2)
        if d >= temporal_unit and 1 - alpha != 0:
            loss = loss + (1 - alpha) * _authors_temporal(z1, z2)
        d += 1
        z1 = F.max_pool1d(z1.transpose(1, 2), kernel_size=2).transpose(1, 2)
        z2 = F.max_pool1d(z2.transpose(1, 2), kernel_size=2).transpose(1, 2)
    if z1.size(1) == 1:
        if alpha != 0:
            loss = loss + alpha * _authors_instance(z1, z2)
        d += 1
    return loss / d


def _authors_instance(z1, z2):  # type: ignore[no-untyped-def]
    B = z1.size(0)
    if B == 1:
        return z1.new_tensor(0.0)
    z = torch.cat([z1, z2], dim=0).transpose(0, 1)
    sim = torch.matmul(z, z.transpose(1, 2))
    logits = torch.tril(sim, diagonal=-1)[:, :, :-1]
    logits = logits + torch.triu(sim, diagonal=1)[:, :, 1:]
    logits = -F.log_softmax(logits, dim=-1)
    i = torch.arange(B, device=z1.device)
    return (logits[:, i, B + i - 1].mean() + logits[:, B + i, i].mean()) / 2


def _authors_temporal(z1, z2):  # type: ignore[no-untyped-def]
    T = z1.size(1)
    if T == 1:
        return z1.new_tensor(0.0)
    z = torch.cat([z1, z2], dim=1)
    sim = torch.matmul(z, z.transpose(1, 2))
    logits = torch.tril(sim, diagonal=-1)[:, :, :-1]
    logits = logits + torch.triu(sim, diagonal=1)[:, :, 1:]
    logits = -F.log_softmax(logits, dim=-1)
    t = torch.arange(T, device=z1.device)
    return (logits[:, t, T + t - 1].mean() + logits[:, T + t, t].mean()) / 2


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize(("batch", "tokens"), [(4, 13), (3, 8), (1, 5), (5, 2), (3, 1)])
def test_ts2vec_is_authors(alpha: float, batch: int, tokens: int) -> None:
    a, b = pair(batch, tokens, 6)
    valid_BN = torch.ones(batch, tokens, dtype=torch.bool)
    ours = sum(hierarchical(Tokens(a, valid_BN), Tokens(b, valid_BN), alpha))
    theirs = _authors_hierarchical(a, b, alpha)
    if not theirs.requires_grad:  # nothing to compare with: theirs leaves the graph
        torch.testing.assert_close(ours, theirs)
        return
    assert_equal_with_gradients(ours, theirs, (a, b))


def test_ts2vec_passes_over_what_is_not_valid() -> None:
    """Padding behind the end changes nothing (as long as it halves along with the series)."""
    a, b = pair(3, 8, 6)
    valid_BN = torch.ones(3, 8, dtype=torch.bool)
    junk_a, junk_b = pair(3, 8, 6, seed=1)
    long_valid_BN = torch.cat([valid_BN, ~valid_BN], 1)
    short = hierarchical(Tokens(a, valid_BN), Tokens(b, valid_BN), 0.5)
    long = hierarchical(
        Tokens(torch.cat([a, 50 * junk_a], 1), long_valid_BN),
        Tokens(torch.cat([b, 50 * junk_b], 1), long_valid_BN),
        0.5,
    )
    # Four scales became five: the last, once more a single token, repeats the fourth's instance
    # term and adds a temporal term without negatives, which is zero.
    top = [F.max_pool1d(z.transpose(1, 2), 8).transpose(1, 2) for z in (a, b)]
    again = 0.5 * _authors_instance(*top)
    torch.testing.assert_close(5 * long[0], 4 * short[0] + again)
    torch.testing.assert_close(5 * long[1], 4 * short[1])


@pytest.mark.parametrize("normalise", [False, True])
def test_mae_is_papers_where_all_is_valid(normalise: bool) -> None:
    """The authors' forward_loss (github.com/facebookresearch/mae, models_mae.py)."""
    restored, patch = pair(4, 1, 10, 5)
    hidden = torch.rand(4, 1, 10, generator=torch.Generator().manual_seed(0)) < 0.75
    target = patch
    if normalise:
        mean, var = patch.mean(-1, keepdim=True), patch.var(-1, keepdim=True)
        target = (patch - mean) / (var + 1e-6) ** 0.5
    theirs = ((restored - target) ** 2).mean(-1)
    theirs = (theirs * hidden).sum() / hidden.sum()
    real = torch.ones(4, 1, 10, 5, dtype=torch.bool)
    ours = restoration(restored, patch, real, hidden, normalise=normalise)
    assert_equal_with_gradients(ours, theirs, (restored, patch))


def test_mae_counts_hidden_and_real_numbers_only() -> None:
    restored, patch = pair(3, 2, 6, 4)
    rng = torch.Generator().manual_seed(3)
    hidden = torch.rand(3, 2, 6, generator=rng) < 0.5
    real = torch.rand(3, 2, 6, 4, generator=rng) < 0.7
    errors = [
        float((restored[i, c, n, p] - patch[i, c, n, p]).detach()) ** 2
        for i, c, n, p in (real & hidden[..., None]).nonzero().tolist()
    ]
    ours = restoration(restored, patch, real, hidden, normalise=False)
    assert float(ours.detach()) == pytest.approx(sum(errors) / len(errors), rel=1e-5)


def test_cpc_is_info_nce_by_a_slow_loop() -> None:
    torch.manual_seed(0)
    spec = InputSpec("timeseries", {"channels": 2, "length": 30})
    encoder = registry.get("encoder", "conv1d").bind({"depth": 2, "width": 8})(spec)
    pretext = registry.get("pretext", "cpc").bind({"windows": 5, "ahead": 3, "context": 6})(encoder)
    valid_BT = torch.ones(3, 30, dtype=torch.bool)
    valid_BT[1, 12:] = False  # three windows of the second series hold nothing
    batch = Batch(torch.randn(3, 2, 30), valid_BT, torch.arange(3))

    z = [[None] * 5 for _ in range(3)]
    for i in range(3):
        for k in range(5):
            at = slice(6 * k, 6 * k + 6)
            window = Batch(batch.x[i : i + 1, :, at], valid_BT[i : i + 1, at], torch.arange(1))
            z[i][k] = encoder(window).pooled_BD[0]
    valid = [[bool(valid_BT[i, 6 * k]) for k in range(5)] for i in range(3)]
    everyone = [z[j][m] for j in range(3) for m in range(5) if valid[j][m]]
    errors = []
    for i in range(3):
        context = pretext.summarise(torch.stack(z[i])[None])[0][0]
        for k in range(1, 4):
            for t in range(5 - k):
                if not (valid[i][t] and valid[i][t + k]):
                    continue
                prediction = pretext.predict[k - 1](context[t])
                scores = [float((prediction @ other).detach()) for other in everyone]
                right = float((prediction @ z[i][t + k]).detach())
                errors.append(math.log(sum(map(math.exp, scores))) - right)
    ours = pretext.loss(encoder, [batch], torch.Generator()).total
    assert float(ours.detach()) == pytest.approx(sum(errors) / len(errors), rel=1e-5)


def test_cpc_windows_tile_the_series() -> None:
    batch = Batch(torch.arange(22.0).reshape(1, 2, 11), torch.ones(1, 11) > 0, torch.arange(1))
    windows = cut(batch, 4)
    assert windows.x.shape == (4, 2, 3)
    assert torch.equal(windows.x.transpose(0, 1).reshape(2, 12)[:, :11], batch.x[0])
    assert windows.valid.flatten().tolist() == [True] * 11 + [False]
