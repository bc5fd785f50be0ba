"""MoCo, SimSiam, DINO and I-JEPA beyond the contract: who follows, who learns, what is hidden."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from sslsearch import registry
from sslsearch.data.prepare import prepare
from sslsearch.data.samples import Samples
from sslsearch.encoders.base import Encoder
from sslsearch.pretext.base import Pretext
from sslsearch.pretext.blocks import blocks
from sslsearch.pretext.build import build
from sslsearch.train.loop import Trial
from sslsearch.values import Batch, InputSpec, Recipe

SMALL: dict[str, dict[str, Any]] = {
    "moco": {"queue": 16, "projection": 8},
    "dino": {"prototypes": 12, "bottleneck": 4},
    "ijepa": {"predictor_depth": 1, "predictor_width": 16},
}
FOLLOWERS = {  # the copy of the encoder, and how far it goes at progress 0, 0.5 and 1
    "moco": ("key_encoder", (0.1, 0.1, 0.1)),
    "moco_v3": ("key_encoder", (0.1, 0.05, 0.0)),
    "dino": ("teacher_encoder", (0.1, 0.05, 0.0)),
    "ijepa": ("target_encoder", (0.1, 0.05, 0.0)),
}


def made(name: str, encoder: str = "conv1d", **knobs: Any) -> tuple[Encoder, Pretext]:
    size: dict[str, Any] = {"depth": 2, "width": 8}
    size |= {"patch": 2, "heads": 2} if encoder == "transformer" else {"stride": 2}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        spec = InputSpec("timeseries", {"channels": 1, "length": 32})
        online: Encoder = registry.get("encoder", encoder).bind(size)(spec)
        return online, build(online, {name: {**SMALL.get(name, {}), **knobs}})


def views(count: int, B: int = 4, T: int = 32) -> list[Batch]:
    x = torch.randn(count, B, 1, T, generator=torch.Generator().manual_seed(0))
    return [Batch(each, torch.ones(B, T, dtype=torch.bool), torch.arange(B)) for each in x]


def shift(module: torch.nn.Module) -> None:
    with torch.no_grad():
        for weight in module.parameters():
            weight.add_(1.0)


@pytest.mark.parametrize("name", FOLLOWERS)
def test_the_copy_follows_by_its_schedule(name: str) -> None:
    place, steps = FOLLOWERS[name]
    for progress, step in zip((0.0, 0.5, 1.0), steps, strict=True):
        encoder, pretext = made(name, momentum=0.9)
        before = [p.clone() for p in pretext.get_submodule(place).parameters()]
        shift(encoder)
        pretext.after_step(encoder, progress)
        for old, new in zip(before, pretext.get_submodule(place).parameters(), strict=True):
            torch.testing.assert_close(new, old + step)


@pytest.mark.parametrize("name", FOLLOWERS)
def test_no_gradient_reaches_the_copy(name: str) -> None:
    encoder, pretext = made(name)
    pretext.loss(encoder, views(pretext.views), torch.Generator().manual_seed(0)).total.backward()
    slow = [p for word, p in pretext.named_parameters() if word.startswith(("key_", "teacher_"))]
    assert all(not p.requires_grad and p.grad is None for p in slow)
    learning = {word for word, p in pretext.named_parameters() if p.requires_grad}
    reached = {word for word, p in pretext.named_parameters() if p.grad is not None}
    assert reached == learning


@pytest.mark.parametrize("stop", [True, False])
def test_simsiam_stops_the_gradient_of_its_targets(stop: bool) -> None:
    """With a predictor that says nothing new, only targets could teach the projector."""
    encoder, pretext = made("simsiam", stop_gradient=stop)
    last = pretext.predictor[-1]
    torch.nn.init.zeros_(last.weight)
    pretext.loss(encoder, views(2), torch.Generator()).total.backward()
    taught = any(p.grad is not None and p.grad.any() for p in pretext.projector.parameters())
    assert taught is not stop


def test_dino_teacher_warms_up_and_prototypes_rest_at_first() -> None:
    encoder, dino = made("dino", warmup=0.2)
    seen = []
    for progress in (0.0, 0.1, 0.2, 0.9):
        dino.after_step(encoder, progress)
        seen.append(float(dino.teacher_temperature()))
        dino.zero_grad()
        dino.loss(encoder, views(2), torch.Generator()).total.backward()
        assert bool(dino.head.prototypes_PD.grad.any()) is (progress > 0)
    assert seen == pytest.approx([0.04, 0.055, 0.07, 0.07])


def test_dino_asks_for_the_views_that_the_student_sees() -> None:
    encoder, dino = made("dino", student_views=4)
    assert dino.views == 4
    mix = build(encoder, {"mix_of": {"dino": {"student_views": 3, **SMALL["dino"]}, "mae": {}}})
    assert mix.views == 3
    assert mix.loss(encoder, views(3), torch.Generator().manual_seed(0)).total.isfinite()


@pytest.mark.parametrize("grid", [(40,), (8, 9), (4, 5, 6)])
def test_blocks_are_boxes_of_the_asked_size(grid: tuple[int, ...]) -> None:
    valid = torch.ones(200, int(torch.tensor(grid).prod()), dtype=torch.bool)
    rng = torch.Generator().manual_seed(0)
    drawn = blocks(valid, grid, rng, count=3, scale=(0.15, 0.2)).reshape(600, *grid)
    for box in drawn[:50]:
        places = box.nonzero()
        sides = places.amax(0) - places.amin(0) + 1
        assert int(sides.prod()) == len(places)
    share = drawn.flatten(1).float().mean(1)
    assert float(share.mean()) == pytest.approx(0.175, abs=0.03)
    assert drawn.any(0).all()  # anywhere


def test_blocks_lie_among_the_valid_tokens() -> None:
    valid = torch.arange(40).expand(50, 40) < 20
    drawn = blocks(valid, (40,), torch.Generator().manual_seed(0), count=2, scale=(0.2, 0.2))
    assert (drawn.sum(2) == 4).all()  # a fifth of 20, not of 40
    assert not drawn[..., 20:].any()


@pytest.mark.parametrize("encoder", ["conv1d", "transformer"])
def test_ijepa_predicts_from_what_is_not_predicted(encoder: str) -> None:
    online, ijepa = made("ijepa", encoder)
    (batch,) = views(1, B=64)
    valid_BN = online.token_valid(batch).any(1)
    context_BN, target_BMN = ijepa._draw(valid_BN, (16,), torch.Generator().manual_seed(0))
    assert target_BMN.shape == (64, 4, 16)
    assert not (context_BN[:, None] & target_BMN).any()
    assert context_BN.any(1).all()
    assert set(target_BMN.sum(2).flatten().tolist()) == {2, 3}  # 0.15 to 0.2 of 16
    # What the online encoder is shown does not depend on the input under the targets.
    hidden = ~context_BN.repeat_interleave(2, 1)[:, None]
    other = batch.with_x(batch.x + 5 * hidden)
    loss = [online(b, (~context_BN)[:, None]).tokens_BND[context_BN].sum() for b in (batch, other)]
    assert torch.equal(*loss)


def test_ijepa_takes_a_grid_of_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    online, ijepa = made("ijepa")
    monkeypatch.setattr(type(online), "grid", lambda self, batch: (4, 4))
    seen = []
    monkeypatch.setattr(
        "sslsearch.pretext.ijepa.blocks",
        lambda valid, grid, rng, **knobs: seen.append(grid) or blocks(valid, grid, rng, **knobs),
    )
    assert ijepa.loss(online, views(1), torch.Generator().manual_seed(0)).total.isfinite()
    assert seen == [(4, 4), (4, 4)]


def test_a_mix_takes_all_of_them() -> None:
    names = [n for n in registry.parts("pretext", "timeseries") if n != "none"]
    online, _ = made("simclr")
    mix = build(online, {"mix_of": {n: {"weight": 1.0, **SMALL.get(n, {})} for n in names}})
    loss = mix.loss(online, views(mix.views, B=6), torch.Generator().manual_seed(0))
    assert loss.total.isfinite()
    assert set(names) <= set(loss.parts)
    before = {name: value.clone() for name, value in mix.state_dict().items()}
    shift(online)
    mix.after_step(online, 0.25)
    moved = {
        name for name, value in mix.state_dict().items() if not torch.equal(value, before[name])
    }
    for name in ("moco.queue_KD", "moco.key_encoder.stem.bias", "dino.center_P", "dino.progress"):
        assert f"members.{name}" in moved


@pytest.mark.parametrize("stop", [True, False])
def test_simsiam_without_its_stop_is_caught(stop: bool) -> None:
    """The paper's section 4.1: without the stop the loss falls further, to no use."""
    data = {"modality": "timeseries", "source": "synthetic:200", "labels": "8 per class"}
    body = {
        "data": data,
        "encoder": {"conv1d": {"depth": 2, "width": 16, "stride": 4}},
        "pretext": {"simsiam": {"stop_gradient": stop}},
        "augment": {"jitter": {"sigma": 1.0}},
        "optim": {
            "batch_size": 32,
            "lr": 0.02,
            "weight_decay": 1e-4,
            "warmup": 0.05,
            "lr_scaling": "sqrt",
        },
        "probe": {"name": "linear", "watch": [], "judge_by": "r2"},
    }
    samples = Samples.from_table(prepare(data, Path()).train)
    report = Trial(Recipe(body), samples, 0, torch.device("cpu"), [9600, 38_400]).advance()
    assert report.status == ("ok" if stop else "collapsed"), report.message
