"""What pretexts and corruptions of tables do beyond the contract."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from sslsearch import registry
from sslsearch.augment.compose import Compose
from sslsearch.data.prepare import prepare
from sslsearch.data.samples import Samples
from sslsearch.encoders.base import Encoder
from sslsearch.pretext.build import build
from sslsearch.train.loop import Trial
from sslsearch.values import Batch, InputSpec, Loss, Recipe

SMALL: dict[str, Any] = {"table_mlp": {"depth": 1, "width": 8}}


def encoder(numbers: int = 3) -> Encoder:
    spec = InputSpec("tabular", {"numbers": numbers, "levels": []})
    made: Encoder = registry.bind("encoder", SMALL)(spec)
    return made


def rows(B: int = 6, numbers: int = 3) -> Batch:
    x = {"number": torch.randn(B, numbers), "code": torch.empty(B, 0).long()}
    return Batch(x, torch.ones(B, numbers) > 0, torch.arange(B))


def test_scarfs_anchor_is_the_row_as_it_is() -> None:
    done = prepare({"modality": "tabular", "source": "synthetic:60"}, Path.cwd())
    samples = Samples.from_table(done.train)
    optim = {"batch_size": 8, "lr": 1e-3, "weight_decay": 0.0, "warmup": 0.0, "lr_scaling": "none"}
    body = {
        "data": {},
        "encoder": SMALL,
        "pretext": {"scarf": {}},
        "augment": {"quantile_noise": {"sigma": 1.0}},
        "optim": optim,
        "probe": {"name": "linear", "watch": [], "judge_by": "r2"},
    }
    trial = Trial(Recipe(body), samples, 0, torch.device("cpu"), [8])
    shown: list[list[Batch]] = []
    inner = trial.objective.pretext.loss

    def spy(encoder: Encoder, views: list[Batch], rng: torch.Generator) -> Loss:
        shown.append(views)
        return inner(encoder, views, rng)

    trial.objective.pretext.loss = spy  # type: ignore[method-assign]
    trial.advance()
    clean, corrupt = shown[0]
    there = samples.batch(clean.index, "cpu")
    assert torch.equal(clean.x["number"], there.x["number"])
    assert not torch.equal(corrupt.x["number"], there.x["number"])


def test_in_a_mix_a_view_is_clean_only_where_all_members_want_it() -> None:
    alone = build(encoder(), {"scarf": {}})
    mixed = build(encoder(), {"mix_of": {"scarf": {"weight": 1.0}, "mae": {"weight": 1.0}}})
    assert (alone.clean, mixed.clean) == (1, 0)


def test_corruptions_go_one_after_the_other_and_take_validity_along() -> None:
    compose = Compose({"feature_dropout": {"p": 0.5}, "marginal_resample": {"ratio": 0.6}})
    view = compose(rows(64), torch.Generator().manual_seed(0))
    assert not view.valid.all()
    assert view.valid.any(1).all()


def test_a_missing_cell_is_swapped_in_like_any_other() -> None:
    batch = rows(400)
    valid = batch.valid.clone()
    valid[:200, 0] = False  # half of a column is missing
    batch = batch.with_x(batch.x, valid)
    view = Compose({"swap_noise": {"p": 0.9}})(batch, torch.Generator().manual_seed(0))
    assert float(view.valid[:200, 0].float().mean()) == pytest.approx(0.45, abs=0.1)
    assert float(view.valid[200:, 0].float().mean()) == pytest.approx(0.55, abs=0.1)
    assert view.valid[:, 1:].all()


def test_subtab_wants_two_columns() -> None:
    with pytest.raises(ValueError, match="only one column"):
        build(encoder(1), {"subtab": {}})
    for columns in (2, 3, 7):
        pretext = build(encoder(columns), {"subtab": {"subsets": 4}})
        loss = pretext.loss(encoder(columns), [rows(6, columns)], torch.Generator())
        assert loss.total.isfinite()


def test_subtabs_subsets_see_their_own_columns_only() -> None:
    model = encoder(8)
    pretext: Any = build(model, {"subtab": {"subsets": 2, "overlap": 0.0, "p": 0.0}})
    assert pretext.hidden_SF.tolist() == [[False] * 4 + [True] * 4, [True] * 4 + [False] * 4]


def test_mixup_moves_numbers_at_most_as_far_as_it_says() -> None:
    batch = rows(200)
    view = Compose({"table_mixup": {"most": 0.25}})(batch, torch.Generator().manual_seed(0))
    far = (view.x["number"] - batch.x["number"]).abs()
    spread = batch.x["number"].max(0).values - batch.x["number"].min(0).values
    assert (far <= 0.25 * spread + 1e-6).all()
    assert (far > 0).any(1).float().mean() > 0.9
