"""The methods of series against their authors' code, or a slow loop.

A test is named test_METHOD_…: docs/methods.md reads from the names what each is held against.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional as F

from sslsearch import registry
from sslsearch.encoders.base import Encoder
from sslsearch.pretext.base import Pretext
from sslsearch.pretext.build import build
from sslsearch.pretext.tnc import neighbourhood
from sslsearch.pretext.transform_prediction import TRANSFORMS, transformed
from sslsearch.values import Batch, InputSpec


def made(name: str, **knobs: Any) -> tuple[Encoder, Pretext]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        size = {"patch": 4, "depth": 1, "width": 8, "heads": 2}
        spec = InputSpec("timeseries", {"channels": 2, "length": 40})
        online: Encoder = registry.get("encoder", "transformer").bind(size)(spec)
        return online, build(online, {name: knobs})


def series(B: int = 5, T: int = 40) -> Batch:
    x = torch.randn(B, 2, T, generator=torch.Generator().manual_seed(0))
    return Batch(x, torch.ones(B, T, dtype=torch.bool), torch.arange(B))


@pytest.mark.parametrize("ahead", [1, 3])
def test_autoregressive_is_authors_absolute_error_by_a_slow_loop(
    ahead: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The authors' loss by a slow loop: |what comes − what is said|, of the next tokens only."""
    online, pretext = made("autoregressive", ahead=ahead)
    batch, last = series(), [3, 0, 8, 7, 5]
    monkeypatch.setattr(
        "sslsearch.pretext.autoregressive.moments",
        lambda valid, rng: (valid.cumsum(1) - 1, torch.tensor(last)[:, None]),
    )
    ours = pretext.loss(online, [batch], torch.Generator()).total
    errors = []
    for i, t in enumerate(last):
        # The future may be anything: zeros here.
        past = batch.x[i : i + 1] * (torch.arange(40) < 4 * (t + 1))
        hidden = (torch.arange(10) > t).expand(1, 2, 10)
        encoded = online(Batch(past, batch.valid[:1], batch.index[:1]), hidden)
        said = pretext.forecast(torch.cat([encoded.tokens_BND[:, t], encoded.pooled_BD], 1))
        said = said.reshape(ahead, 2, 4)
        for k in range(ahead):
            if t + 1 + k < 10:
                real = batch.x[i, :, 4 * (t + 1 + k) : 4 * (t + 2 + k)]
                errors += (said[k] - real).abs().flatten().tolist()
    assert float(ours.detach()) == pytest.approx(sum(errors) / len(errors), rel=1e-5)


def test_transform_prediction_transforms_as_numpy_does() -> None:
    batch = series(B=7)
    _, pretext = made("transform_prediction")
    which_B = torch.arange(len(TRANSFORMS))
    seen = transformed(batch, pretext.transforms, which_B, torch.Generator().manual_seed(0))
    by = dict(zip(TRANSFORMS, zip(batch.x, seen.x, strict=True), strict=True))
    torch.testing.assert_close(*by["as it is"])
    torch.testing.assert_close(by["reversed"][0].flip(-1), by["reversed"][1])
    torch.testing.assert_close(-by["negated"][0], by["negated"][1])
    before, after = by["permuted"]
    assert not torch.equal(before, after)
    assert torch.equal(before.sort(-1).values, after.sort(-1).values)
    gain = by["scaled"][1] / by["scaled"][0]
    assert (gain.diff(dim=-1).abs() < 0.5).all()  # smooth, and none of the others is
    for name in ("warped", "noised"):
        assert not torch.equal(*by[name])
    torch.testing.assert_close(by["warped"][0][:, [0, -1]], by["warped"][1][:, [0, -1]])


def test_tnc_is_authors() -> None:
    """epoch_run of github.com/sanatonek/TNC_representation_learning, tnc/tnc.py."""
    rng = torch.Generator().manual_seed(0)
    d_p, d_n = torch.randn(2, 6, generator=rng)
    loss_fn = torch.nn.BCEWithLogitsLoss()
    neighbors, non_neighbors = torch.ones(6), torch.zeros(6)
    p_loss = loss_fn(d_p, neighbors)
    n_loss = loss_fn(d_n, non_neighbors)
    n_loss_u = loss_fn(d_n, neighbors)
    theirs = (p_loss + 0.05 * n_loss_u + (1 - 0.05) * n_loss) / 2
    torch.testing.assert_close(neighbourhood(d_p, d_n, 0.05).mean(), theirs)


def test_simmim_is_authors_l1() -> None:
    """forward of github.com/microsoft/SimMIM, models/simmim.py, of one channel."""
    torch.manual_seed(0)
    spec = InputSpec("timeseries", {"channels": 1, "length": 40})
    online = registry.get("encoder", "conv1d").bind({"depth": 2, "width": 8, "stride": 4})(spec)
    pretext = build(online, {"simmim": {}})
    batch = Batch(torch.randn(5, 1, 40), torch.ones(5, 40, dtype=torch.bool), torch.arange(5))
    hidden = pretext.mask(torch.ones(5, 1, 10) > 0, torch.Generator().manual_seed(1), (10,))
    x_rec = pretext.restore(online(batch, hidden).tokens_BND).reshape(5, 40)
    mask = hidden[:, 0].repeat_interleave(4, 1).float()
    theirs = (F.l1_loss(batch.x[:, 0], x_rec, reduction="none") * mask).sum() / mask.sum()
    ours = pretext.loss(online, [batch], torch.Generator().manual_seed(1))
    torch.testing.assert_close(ours.total, theirs)
    assert float(ours.parts["hidden_share"]) == pytest.approx(0.6)


def test_ts_tcc_is_authors_temporal_contrast(monkeypatch: pytest.MonkeyPatch) -> None:
    """forward of github.com/emadeldeen24/TS-TCC, models/TC.py, and the total of trainer.py."""
    torch.manual_seed(0)
    online, pretext = made("ts_tcc", ahead=3, depth=2, hidden=8)
    weak, strong = pretext.two_views(series(), torch.Generator().manual_seed(1))
    moments = iter([torch.full((5,), 4), torch.full((5,), 6)])
    monkeypatch.setattr(pretext, "two_views", lambda batch, rng: [weak, strong])
    monkeypatch.setattr(pretext, "_moment", lambda valid, rng: next(moments))
    ours = pretext.loss(online, [series()], torch.Generator())

    z_aug1, z_aug2 = (F.normalize(online(view).tokens_BND, dim=2) for view in (weak, strong))
    batch, nces, seen = 5, [], []
    for first, second, t_samples in ((z_aug1, z_aug2, 4), (z_aug2, z_aug1, 6)):
        h = torch.cat(
            [pretext.summary.expand(5, 1, -1), pretext.embed(first[:, : t_samples + 1])], 1
        )
        for block in pretext.blocks:
            h = block(h, None)
        c_t, nce = h[:, 0], torch.zeros(())
        for i in range(3):
            encode_samples = second[:, t_samples + i + 1]
            total = torch.mm(encode_samples, pretext.predict[i](c_t).T)
            nce = nce + torch.diag(torch.log_softmax(total, 1)).sum()
        nces.append(nce / (-1.0 * batch * 3))
        seen.append(pretext.project(c_t))
    torch.testing.assert_close(ours.parts["temporal"], sum(nces).detach())
    zis, zjs = (F.normalize(z, dim=1) for z in seen)
    logits = torch.cat([zjs, zis]) @ torch.cat([zjs, zis]).T / 0.2  # NTXentLoss: all but itself
    logits = logits.masked_fill(torch.eye(10, dtype=torch.bool), float("-inf"))
    sibling = (torch.arange(10) + 5) % 10
    context = F.cross_entropy(logits, sibling, reduction="sum") / 10
    torch.testing.assert_close(ours.parts["contextual"], context.detach())
    torch.testing.assert_close(ours.total, sum(nces) * 1 + context * 0.7)


def test_ts_tcc_views_are_authors_but_keep_their_channels() -> None:
    """DataTransform of dataloader/augmentations.py; its permutation fills all with channel 0."""
    _, pretext = made("ts_tcc", jitter=0.0)
    batch = series(B=400)
    weak, strong = pretext.two_views(batch, torch.Generator().manual_seed(0))
    factor = weak.x / batch.x
    torch.testing.assert_close(factor[:, 0], factor[:, 1], rtol=1e-3, atol=1e-4)
    assert float(factor[:, 0].mean()) == pytest.approx(2.0, abs=0.05)
    assert float(factor[:, 0].std()) == pytest.approx(1.1, abs=0.05)
    torch.testing.assert_close(strong.x.sort(-1).values, batch.x.sort(-1).values)
    assert not torch.equal(strong.x, batch.x)
    again, _ = pretext.two_views(batch, torch.Generator().manual_seed(1))
    assert not torch.equal(weak.x, again.x)  # drawn at each step, not once
