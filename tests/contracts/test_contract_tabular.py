"""What every part for tables must keep to, read off the registry (B rows, F columns = N tokens)."""

from __future__ import annotations

from typing import Any

import pytest
import small
import torch
from torch import nn

from sslsearch import registry
from sslsearch.encoders.base import Encoder
from sslsearch.pretext.base import Pretext
from sslsearch.pretext.build import build, trains
from sslsearch.registry import Identity, Part, Unit, marker
from sslsearch.values import Batch, Encoded, InputSpec, Loss

NUMBERS, LEVELS = 4, [3, 6, 2]
SPEC = InputSpec("tabular", {"numbers": NUMBERS, "levels": LEVELS})
COLUMNS = NUMBERS + len(LEVELS)
SMALL: dict[str, dict[str, Any]] = {
    "ft_transformer": {"depth": 1, "width": 16, "heads": 2},
    "table_mlp": {"depth": 2, "width": 16},
    "table_resnet": {"depth": 1, "width": 16},
}
ENCODERS = sorted(registry.parts("encoder", "tabular"))
AUGMENTS = registry.parts("augment", "tabular")
GIVEN = registry.get("modality", "tabular").gives | {"views", "tokens"}
PRETEXTS = [n for n, part in registry.parts("pretext", "tabular").items() if part.needs <= GIVEN]
IDENTITIES = [
    (name, knob, marker(info, Identity).value)
    for name, part in AUGMENTS.items()
    for knob, info in part.knobs.model_fields.items()
    if marker(info, Identity) is not None
]

every_augment = pytest.mark.parametrize("part", AUGMENTS.values(), ids=AUGMENTS.keys())
every_pretext = pytest.mark.parametrize("name", PRETEXTS)


def rows(B: int = 6, gaps: bool = False, seed: int = 0) -> Batch:
    rng = torch.Generator().manual_seed(seed)
    codes = [torch.randint(0, n, (B, 1), generator=rng) for n in LEVELS]
    x = {"number": torch.randn(B, NUMBERS, generator=rng), "code": torch.cat(codes, 1)}
    valid = torch.rand(B, COLUMNS, generator=rng) < 0.7 if gaps else torch.ones(B, COLUMNS) > 0
    valid[:, 0] = True
    return Batch(x, valid, torch.arange(B))


def changed(batch: Batch, where_BF: torch.Tensor) -> Batch:
    """Other values, legal ones, where it says so."""
    number = torch.where(where_BF[:, :NUMBERS], batch.x["number"] + 5.0, batch.x["number"])
    other = (batch.x["code"] + 1) % torch.tensor(LEVELS)
    code = torch.where(where_BF[:, NUMBERS:], other, batch.x["code"])
    return batch.with_x({"number": number, "code": code})


def junk(batch: Batch) -> Batch:
    """Nonsense where nothing is valid."""
    number = batch.x["number"].masked_fill(~batch.valid[:, :NUMBERS], float("nan"))
    code = batch.x["code"].masked_fill(~batch.valid[:, NUMBERS:], 1)
    return batch.with_x({"number": number, "code": code})


def same(a: Batch, b: Batch) -> bool:
    return torch.equal(a.valid, b.valid) and all(torch.equal(a.x[k], b.x[k]) for k in a.x)


def make(name: str, seed: int = 0) -> Encoder:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder: Encoder = registry.get("encoder", name).bind(SMALL.get(name, {}))(SPEC)
    return encoder


@pytest.fixture(params=ENCODERS)
def encoder(request: pytest.FixtureRequest) -> Encoder:
    return make(request.param)


def hide(encoder: Encoder, batch: Batch) -> torch.Tensor:
    valid_BCN = encoder.token_valid(batch)
    place_BN = torch.arange(COLUMNS) + torch.arange(len(batch))[:, None]
    return (place_BN % 2 == 0)[:, None] & valid_BCN


def assert_same(a: Encoded, b: Encoded, tolerance: float = 0.0) -> None:
    for name in ("tokens_BND", "pooled_BD"):
        torch.testing.assert_close(getattr(a, name), getattr(b, name), atol=tolerance, rtol=0)
    assert torch.equal(a.valid_BN, b.valid_BN)


class TestEncoders:
    def test_shapes_are_those_of_the_attributes(self, encoder: Encoder) -> None:
        batch = rows(gaps=True)
        encoded, patch_BCNP = encoder(batch), encoder.patchify(batch)
        B, N = encoded.valid_BN.shape
        assert N == COLUMNS
        assert encoded.tokens_BND.shape == (B, N, encoder.width)
        assert encoded.pooled_BD.shape == (B, encoder.pooled_width)
        assert patch_BCNP.shape == (B, encoder.channels, N, encoder.patch_width)
        assert torch.equal(encoder.token_valid(batch)[:, 0], batch.valid)
        assert torch.equal(encoded.valid_BN, batch.valid)
        restored = torch.randn(B, N, encoder.restored_width)
        assert encoder.restoration_error(restored, patch_BCNP).shape == patch_BCNP.shape

    def test_what_is_missing_changes_nothing_but_that_it_is_missing(self, encoder: Encoder) -> None:
        batch = rows(gaps=True)
        hidden = hide(encoder, batch)
        assert_same(encoder(batch), encoder(junk(batch)))
        assert_same(encoder(batch, hidden), encoder(junk(batch), hidden))
        whole = batch.with_x(batch.x, torch.ones_like(batch.valid))
        assert (encoder(whole).pooled_BD - encoder(batch).pooled_BD).abs().max() > 1e-3

    def test_a_missing_number_is_not_a_zero(self, encoder: Encoder) -> None:
        batch = rows()
        zero = batch.with_x({**batch.x, "number": torch.zeros_like(batch.x["number"])})
        valid = zero.valid.clone()
        valid[:, 1] = False
        gone = zero.with_x(zero.x, valid)
        assert (encoder(zero).pooled_BD - encoder(gone).pooled_BD).abs().max() > 1e-4

    def test_hidden_cells_are_not_seen(self, encoder: Encoder) -> None:
        batch = rows(gaps=True)
        hidden = hide(encoder, batch)
        other = changed(batch, hidden[:, 0])
        assert_same(encoder(batch, hidden), encoder(other, hidden))
        assert (encoder(batch).pooled_BD - encoder(other).pooled_BD).abs().max() > 1e-3
        shown = changed(batch, ~hidden[:, 0] & batch.valid)
        moved = encoder(shown, hidden).pooled_BD - encoder(batch, hidden).pooled_BD
        assert moved.abs().max() > 1e-3

    def test_rows_do_not_see_each_other(self, encoder: Encoder) -> None:
        batch = rows(gaps=True)
        whole = encoder(batch)
        for i in range(len(batch)):
            x = {k: v[i : i + 1] for k, v in batch.x.items()}
            alone = encoder(Batch(x, batch.valid[i : i + 1], batch.index[i : i + 1]))
            mine = Encoded(*(part[i : i + 1] for part in vars(whole).values()))
            assert_same(alone, mine, tolerance=2e-5)

    def test_every_weight_learns_and_no_batch_statistics(self, encoder: Encoder) -> None:
        batch = rows(B=64)
        weight = torch.randn(encoder.pooled_width, generator=torch.Generator().manual_seed(0))
        for hidden in (None, hide(encoder, batch)):
            (encoder(batch, hidden).pooled_BD @ weight).square().sum().backward()
        for name, parameter in encoder.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name
        assert not any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in encoder.modules())

    def test_nothing_to_see_stays_finite(self, encoder: Encoder) -> None:
        batch = rows()
        nothing = batch.with_x(batch.x, torch.zeros_like(batch.valid))
        for seen, hidden in ((nothing, None), (batch, encoder.token_valid(batch))):
            encoded = encoder(seen, hidden)
            (encoded.tokens_BND.sum() + encoded.pooled_BD.square().sum()).backward()
            assert encoded.pooled_BD.isfinite().all()
            assert all(p.grad is None or p.grad.isfinite().all() for p in encoder.parameters())

    @pytest.mark.parametrize("sizes", [(3, []), (0, [4, 2]), (1, [])])
    @pytest.mark.parametrize("name", ENCODERS)
    def test_tables_of_one_kind_of_column(self, name: str, sizes: tuple[int, list[int]]) -> None:
        numbers, levels = sizes
        spec = InputSpec("tabular", {"numbers": numbers, "levels": levels})
        encoder: Encoder = registry.get("encoder", name).bind(SMALL[name])(spec)
        x = {"number": torch.randn(5, numbers), "code": torch.zeros(5, len(levels)).long()}
        batch = Batch(x, torch.ones(5, numbers + len(levels)) > 0, torch.arange(5))
        assert encoder(batch).pooled_BD.isfinite().all()
        restored_BNX = torch.randn(*batch.valid.shape, encoder.restored_width)
        assert encoder.restoration_error(restored_BNX, encoder.patchify(batch)).isfinite().all()


class TestCorruptions:
    def run(self, part: Part, batch: Batch, seed: int = 0, **knobs: Any) -> Batch:
        view: Batch = part.bind(knobs)(batch, torch.Generator().manual_seed(seed))
        return view

    @every_augment
    @pytest.mark.parametrize("B", [1, 2, 33])
    def test_a_legal_batch_comes_out_and_the_input_is_untouched(self, part: Part, B: int) -> None:
        for gaps in (False, True):
            batch, before = rows(B, gaps), rows(B, gaps)
            view = self.run(part, batch)
            assert same(batch, before)
            assert same(view, self.run(part, batch))
            assert view.x["number"].dtype == torch.float32
            assert view.x["code"].dtype == torch.int64
            assert view.x["number"].isfinite().all()
            assert (view.x["code"] >= 0).all()
            assert (view.x["code"] < torch.tensor(LEVELS)).all()
            assert view.valid.shape == batch.valid.shape
            assert view.valid.any(1).all(), "a row is never left with nothing"

    @every_augment
    def test_each_view_is_drawn_anew(self, part: Part) -> None:
        batch, rng = rows(16), torch.Generator().manual_seed(0)
        assert not same(part.bind({})(batch, rng), part.bind({})(batch, rng))

    @pytest.mark.parametrize(("name", "knob", "value"), IDENTITIES)
    def test_identity_knob_changes_nothing(self, name: str, knob: str, value: Any) -> None:
        for gaps in (False, True):
            batch = rows(9, gaps)
            assert same(self.run(AUGMENTS[name], batch, **{knob: value}), batch)

    @every_augment
    def test_it_has_an_identity_and_speaks_in_units(self, part: Part) -> None:
        fields = part.knobs.model_fields.values()
        assert any(marker(info, Identity) is not None for info in fields)
        assert all(marker(info, Unit) is not None for info in fields)
        assert part.summary.endswith(".")

    @pytest.mark.gpu
    @every_augment
    def test_it_runs_where_its_input_is(self, part: Part) -> None:
        if not torch.cuda.is_available():
            pytest.skip("no CUDA device")
        batch = rows(8)
        there = Batch({k: v.cuda() for k, v in batch.x.items()}, batch.valid.cuda(), batch.index)
        view = part.bind({})(there, torch.Generator("cuda").manual_seed(0))
        assert view.x["number"].is_cuda
        assert view.valid.is_cuda


def objective(encoder_name: str, name: str) -> tuple[Encoder, Pretext]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        encoder = make(encoder_name)
        return encoder, build(encoder, {name: small.PRETEXTS.get(name, {})})


def views(pretext: Pretext, B: int = 8, gaps: bool = True) -> list[Batch]:
    corrupt = registry.bind("augment", {"marginal_resample": {"ratio": 0.3}})
    batch, rng = rows(B, gaps), torch.Generator().manual_seed(1)
    return [batch] * pretext.clean + [corrupt(batch, rng) for _ in range(pretext.views)]


def loss_of(encoder: Encoder, pretext: Pretext, batches: list[Batch], seed: int = 0) -> Loss:
    return pretext.loss(encoder, batches, torch.Generator().manual_seed(seed))


class TestPretexts:
    @pytest.mark.parametrize("encoder_name", ENCODERS)
    @every_pretext
    def test_loss_is_finite_and_learns_a_tiny_batch(self, encoder_name: str, name: str) -> None:
        encoder, pretext = objective(encoder_name, name)
        loss = loss_of(encoder, pretext, views(pretext))
        assert loss.total.shape == ()
        assert all(part.isfinite() and not part.requires_grad for part in loss.parts.values())
        loss.total.backward()
        grads = [p.grad for p in encoder.parameters() if p.grad is not None]
        assert any(grad.any() for grad in grads) == trains({name: {}})
        if not trains({name: {}}):
            return
        weights = [*encoder.parameters(), *(p for p in pretext.parameters() if p.requires_grad)]
        optimiser = torch.optim.AdamW(weights, lr=3e-3)
        losses = []
        for _ in range(8):
            optimiser.zero_grad()
            total = loss_of(encoder, pretext, views(pretext)).total
            total.backward()
            optimiser.step()
            losses.append(float(total.detach()))
        assert min(losses[4:]) < losses[0]
        pretext.after_step(encoder, 0.5)  # not before: targets and queues that move ask anew
        assert loss_of(encoder, pretext, views(pretext)).total.isfinite()

    @every_pretext
    def test_same_generator_same_loss_and_the_encoder_is_not_kept(self, name: str) -> None:
        losses = []
        for torch_seed in (5, 6):  # the global generator plays no part
            encoder, pretext = objective("ft_transformer", name)
            own = {id(parameter) for parameter in pretext.parameters()}
            assert own.isdisjoint(id(parameter) for parameter in encoder.parameters())
            torch.manual_seed(torch_seed)
            losses.append(loss_of(encoder, pretext, views(pretext)).total)
        assert torch.equal(losses[0], losses[1])

    @every_pretext
    @pytest.mark.parametrize("case", ["one", "two", "empty"])
    def test_degenerate_batches_stay_finite(self, name: str, case: str) -> None:
        encoder, pretext = objective("table_resnet", name)
        batches = views(pretext, B={"one": 1, "two": 2}.get(case, 4))
        if case == "empty":
            batches = [b.with_x(b.x, torch.zeros_like(b.valid)) for b in batches]
        loss = loss_of(encoder, pretext, batches)
        assert loss.total.isfinite()
        loss.total.backward()
        for parameter in [*encoder.parameters(), *pretext.parameters()]:
            assert parameter.grad is None or parameter.grad.isfinite().all()

    @every_pretext
    def test_what_is_not_valid_changes_nothing(self, name: str) -> None:
        encoder, pretext = objective("ft_transformer", name)
        batches = views(pretext)
        ours, theirs = (
            loss_of(encoder, pretext, these).total
            for these in (batches, [junk(b) for b in batches])
        )
        assert torch.equal(ours, theirs)
