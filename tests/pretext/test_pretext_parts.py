"""What each pretext does beyond the contract: schedules, crops, mixes, errors."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from sslsearch import registry
from sslsearch.distributed import BatchNorm
from sslsearch.encoders.base import Encoder
from sslsearch.pretext.build import build, trains
from sslsearch.pretext.byol import BYOL
from sslsearch.pretext.crops import crop, draw_crops
from sslsearch.pretext.heads import mlp, spread
from sslsearch.values import Batch, InputSpec


def encoder(name: str = "conv1d", **knobs: Any) -> Encoder:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made: Encoder = registry.get("encoder", name).bind(knobs or {"depth": 2, "width": 8})(
            InputSpec("timeseries", {"channels": 1, "length": 32})
        )
    return made


def view(B: int = 4, T: int = 32, seed: int = 0) -> Batch:
    x_BCT = torch.randn(B, 1, T, generator=torch.Generator().manual_seed(seed))
    return Batch(x_BCT, torch.ones(B, T, dtype=torch.bool), torch.arange(B))


@pytest.mark.parametrize(("progress", "kept"), [(0.0, 0.9), (0.5, 0.95), (1.0, 1.0)])
def test_byol_momentum_rises_to_one_along_a_cosine(progress: float, kept: float) -> None:
    online = encoder()
    pretext = BYOL(online, momentum=0.9)
    before = [weight.clone() for weight in pretext.target_encoder.parameters()]
    with torch.no_grad():
        for weight in online.parameters():
            weight.add_(1.0)
    pretext.after_step(online, progress)
    after = list(pretext.target_encoder.parameters())
    for old, new, quick in zip(before, after, online.parameters(), strict=True):
        torch.testing.assert_close(new, kept * old + (1 - kept) * quick)
        assert not new.requires_grad


def test_byol_sends_no_gradient_to_its_target() -> None:
    online = encoder()
    pretext = BYOL(online)
    pretext.loss(online, [view(), view(seed=1)], torch.Generator()).total.backward()
    assert all(weight.grad is None for weight in pretext.target_encoder.parameters())
    assert all(weight.grad is not None for weight in pretext.predictor.parameters())


def test_mix_is_the_weighted_sum_with_weights_as_shares() -> None:
    online = encoder()
    mix = build(online, {"mix_of": {"vicreg": {"weight": 3.0}, "mae": {"weight": 1.0}}})
    loss = mix.loss(online, [view(), view(seed=1)], torch.Generator().manual_seed(0))
    assert mix.views == 2
    expected = 0.75 * loss.parts["vicreg"] + 0.25 * loss.parts["mae"]
    torch.testing.assert_close(loss.total.detach(), expected)
    assert {"vicreg/variance", "mae/restoration"} <= set(loss.parts)


def test_a_mix_of_one_is_that_one() -> None:
    online = encoder()
    batches = [view(), view(seed=1)]
    losses = []
    for choice in ({"simclr": {}}, {"mix_of": {"simclr": {"weight": 0.2}}}):
        torch.manual_seed(0)
        losses.append(build(online, choice).loss(online, batches, torch.Generator()).total)
    torch.testing.assert_close(losses[0], losses[1])


def test_members_that_see_moved_views_get_their_own() -> None:
    online = encoder()
    mix = build(online, {"mix_of": {"mae": {"sees": "moved"}, "simclr": {}}})
    assert (mix.views, mix.clean, mix.moved) == (3, 0, 1)
    views = [view(), view(seed=1), view(seed=2)]
    loss = mix.loss(online, views, torch.Generator().manual_seed(0))
    alone = build(online, {"mix_of": {"mae": {}, "simclr": {}}})
    alone.load_state_dict(mix.state_dict())
    same = alone.loss(online, [views[2], views[1]], torch.Generator().manual_seed(0))
    assert torch.equal(loss.parts["mae"], same.parts["mae"])
    contrast = mix.get_submodule("members.simclr")
    assert torch.equal(
        loss.parts["simclr"], contrast.loss(online, views[:2], torch.Generator()).total
    )


def test_mix_passes_steps_on() -> None:
    online = encoder()
    mix = build(online, {"mix_of": {"byol": {"momentum": 0.0}, "mae": None}})
    with torch.no_grad():
        for weight in online.parameters():
            weight.add_(1.0)
    mix.after_step(online, 0.0)
    target = mix.get_submodule("members.byol.target_encoder")
    for slow, quick in zip(target.parameters(), online.parameters(), strict=True):
        assert torch.equal(slow, quick)


@pytest.mark.parametrize("weights", [(0.0, 0.0), (-1.0, 2.0)])
def test_mix_wants_weights(weights: tuple[float, float]) -> None:
    members = dict(zip(("simclr", "mae"), ({"weight": weight} for weight in weights), strict=True))
    with pytest.raises(ValueError, match="mix_of needs weights"):
        build(encoder(), {"mix_of": members})


def test_only_none_does_not_train() -> None:
    assert not trains({"none": {}})
    assert trains({"simclr": {}})
    assert trains({"mix_of": {"none": {"weight": 1.0}, "mae": {"weight": 1.0}}})
    assert not trains({"mix_of": {"none": {"weight": 1.0}}})


def test_unknown_pretext_names_the_nearest() -> None:
    with pytest.raises(ValueError, match="did you mean 'simclr'"):
        build(encoder(), {"simcrl": {}})


def test_mae_refuses_to_normalise_single_numbers() -> None:
    with pytest.raises(ValueError, match=r"mae\.normalise needs tokens of several numbers"):
        build(encoder(), {"mae": {"normalise": True}})


@pytest.mark.parametrize("name", ["conv1d", "transformer"])
def test_mae_looks_at_hidden_tokens_in_the_loss_only(name: str) -> None:
    """Visible numbers are input and not target: the error counts what is hidden."""
    size = {"patch": 4, "depth": 1, "width": 8, "heads": 2}
    online = encoder(name, **(size if name == "transformer" else {"depth": 1, "width": 8}))
    pretext = build(online, {"mae": {"masking": {"random": {"ratio": 0.0}}}})
    loss = pretext.loss(online, [view()], torch.Generator().manual_seed(0))
    assert float(loss.total.detach()) == 0.0


@pytest.mark.parametrize("tokens", [1, 2, 3, 20])
def test_crops_overlap_and_stay_inside(tokens: int) -> None:
    rng = torch.Generator().manual_seed(0)
    seen = set()
    for _ in range(300):
        crops = draw_crops(tokens, view(B=3, T=4 * tokens), rng)
        shared_first = crops.early_B + crops.first - crops.shared
        assert torch.equal(shared_first, crops.late_B)  # the same tokens in both crops
        assert min(2, tokens) <= crops.shared <= min(crops.first, crops.second)
        assert int(crops.early_B.min()) >= 0
        assert int((crops.late_B + crops.second).max()) <= tokens
        seen.add((crops.first, crops.second, crops.shared))
    assert len(seen) > min(tokens, 10) - 2


def test_crop_cuts_whole_tokens_and_marks_what_lies_behind_the_end() -> None:
    x_BCT = torch.arange(22.0).reshape(2, 1, 11)
    batch = Batch(x_BCT, torch.ones(2, 11, dtype=torch.bool), torch.arange(2))
    cut = crop(batch, torch.tensor([1, 2]), length=2, step=4)
    assert cut.x[0, 0].tolist()[:7] == [4, 5, 6, 7, 8, 9, 10]
    assert cut.valid.tolist() == [[True] * 7 + [False], [True] * 3 + [False] * 5]
    assert cut.x[1, 0, :3].tolist() == [19, 20, 21]


def test_ts2vec_compares_the_same_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    """With an encoder that sees one step, both crops give equal tokens where nothing is hidden."""
    online = encoder(depth=1, width=8, kernel=1)
    pretext = build(online, {"ts2vec": {"masking": {"random": {"ratio": 0.0}}}})
    pairs = []
    monkeypatch.setattr(
        "sslsearch.pretext.ts2vec.hierarchical",
        lambda a, b, alpha: pairs.append((a, b)) or (a.z_BND.sum(), b.z_BND.sum()),
    )
    for seed in range(5):
        pretext.loss(online, [view()], torch.Generator().manual_seed(seed))
    for a, b in pairs:
        torch.testing.assert_close(a.z_BND, b.z_BND)


def test_batch_norm_is_torchs_with_one_worker() -> None:
    x = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    ours, theirs = BatchNorm(4), nn.BatchNorm1d(4)
    assert torch.equal(ours(x), theirs(x))
    assert torch.equal(ours.running_var, theirs.running_var)
    assert torch.equal(ours.eval()(x[:1]), theirs.eval()(x[:1]))


def test_batch_norm_takes_a_single_sample() -> None:
    norm = BatchNorm(4)
    out = norm(torch.ones(1, 4))
    assert out.isfinite().all()
    assert torch.equal(norm.running_mean, torch.zeros(4))


def test_mlp_ends_bare() -> None:
    head = mlp(4, 8, 8, 2)
    kinds = [type(layer).__name__ for layer in head]
    assert kinds == ["Linear", "BatchNorm", "ReLU", "Linear", "BatchNorm", "ReLU", "Linear"]
    assert head[-1].bias is not None


def test_spread_tells_collapse() -> None:
    rng = torch.Generator().manual_seed(0)
    assert float(spread(torch.ones(20, 8))) == pytest.approx(0, abs=1e-6)
    assert float(spread(torch.randn(500, 8, generator=rng))) == pytest.approx(1, abs=0.1)
