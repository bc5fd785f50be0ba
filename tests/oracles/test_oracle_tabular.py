"""What the papers on tables define, against slow loops of their formulas and scikit-learn.

Shapes: B = rows, F = columns, Q = quantiles.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.special import ndtr
from sklearn.preprocessing import QuantileTransformer
from torch import nn

from sslsearch import registry
from sslsearch.encoders.base import Encoder
from sslsearch.modalities.table_tensors import scaled
from sslsearch.pretext.latent_noise import perturbed
from sslsearch.pretext.rows import corrupted, row_restoration
from sslsearch.pretext.scarf import info_nce
from sslsearch.pretext.subtab import distance, windows
from sslsearch.pretext.vime import mask_loss
from sslsearch.values import Batch, InputSpec

SPEC = InputSpec("tabular", {"numbers": 3, "levels": [4, 2]})


def table(B: int, seed: int = 0, gaps: bool = False) -> Batch:
    rng = torch.Generator().manual_seed(seed)
    code = torch.cat([torch.randint(0, n, (B, 1), generator=rng) for n in (4, 2)], 1)
    valid = torch.rand(B, 5, generator=rng) < 0.7 if gaps else torch.ones(B, 5) > 0
    return Batch({"number": torch.randn(B, 3, generator=rng), "code": code}, valid, torch.arange(B))


def encoder() -> Encoder:
    made: Encoder = registry.bind("encoder", {"table_mlp": {"depth": 1, "width": 8}})(SPEC)
    return made


def test_scarf_is_papers_info_nce() -> None:
    """Algorithm 1 of the paper, pair by pair; its 1/N in the denominator is the constant log N."""
    rng = torch.Generator().manual_seed(0)
    z, z_bar = (torch.randn(6, 4, generator=rng, dtype=torch.float64) for _ in range(2))
    tau, N, total = 0.7, 6, 0.0
    s = [[float(a @ b / (a.norm() * b.norm())) for b in z_bar] for a in z]
    for i in range(N):
        mean = sum(math.exp(s[i][k] / tau) for k in range(N)) / N
        total += -math.log(math.exp(s[i][i] / tau) / mean) / N
    assert float(info_nce(z, z_bar, tau)) - math.log(N) == pytest.approx(total, rel=1e-5)


def test_marginal_resampling_corrupts_papers_share_from_the_pools_marginals() -> None:
    """q = the rounded share of all columns, and where corrupted, the column's own distribution."""
    corrupt = registry.bind("augment", {"marginal_resample": {"ratio": 0.6}})
    rng = torch.Generator().manual_seed(0)
    levels = torch.tensor([0.5, 0.3, 0.15, 0.05])
    counts, replaced, numbers = torch.zeros(4), 0, []
    for seed in range(200):
        batch = table(32, seed)
        code = torch.multinomial(levels, 32, replacement=True, generator=rng)
        batch.x["code"][:, 0] = code
        view = corrupt(batch, rng)
        moved = (view.x["number"] != batch.x["number"]).sum(1)
        assert (moved <= 3).all()
        gone = view.x["number"][:, 0] != batch.x["number"][:, 0]
        numbers.append(view.x["number"][gone, 0])
        counts += torch.bincount(view.x["code"][gone, 0], minlength=4)
        replaced += int(gone.sum())
    assert replaced / (200 * 32) == pytest.approx(0.6, abs=0.02)
    value = torch.cat(numbers)
    assert float(value.mean()) == pytest.approx(0.0, abs=0.06)
    assert float(value.std()) == pytest.approx(1.0, abs=0.05)
    torch.testing.assert_close(counts / counts.sum(), levels, atol=0.03, rtol=0)


def test_a_resampled_cell_does_not_depend_on_its_row() -> None:
    """Two columns that are one and the same come apart: the joint is broken, marginals stay."""
    batch = table(256)
    batch.x["number"][:, 1] = batch.x["number"][:, 0]
    view = registry.bind("augment", {"marginal_resample": {"ratio": 0.8}})(
        batch, torch.Generator().manual_seed(0)
    )
    both = torch.stack([view.x["number"][:, 0], view.x["number"][:, 1]])
    assert abs(float(torch.corrcoef(both)[0, 1])) < 0.35


def test_vime_is_authors_corruption_and_losses() -> None:
    """vime_utils.pretext_generator: x~ = x (1 - m) + x_bar m, and a cell's mask is x != x~."""
    batch = table(400, gaps=True)
    after, changed_BF = corrupted(batch, torch.Generator().manual_seed(0), 0.3)
    for i in range(400):
        for f in range(5):
            kind, at = ("number", f) if f < 3 else ("code", f - 3)
            before, now = batch.x[kind][i, at], after.x[kind][i, at]
            there = bool(batch.valid[i, f]), bool(after.valid[i, f])
            differs = there[0] != there[1] or (all(there) and bool(before != now))
            assert bool(changed_BF[i, f]) == differs
            if differs and there[1]:  # taken from the same column of another row that has it
                donors = (batch.x[kind][:, at] == now) & batch.valid[:, f]
                assert donors.any()
    numbers = changed_BF[:, :3].float().mean()  # a number changes whenever its donor has another
    assert float(numbers) == pytest.approx(0.3 * (1 - 0.3**2), abs=0.04)
    logits = torch.randn(400, 5, generator=torch.Generator().manual_seed(1))
    share = torch.sigmoid(logits.double()).numpy()
    m = changed_BF.double().numpy()
    theirs = -(m * np.log(share) + (1 - m) * np.log(1 - share)).mean()
    assert float(mask_loss(logits, changed_BF)) == pytest.approx(theirs, rel=1e-5)


def test_a_row_is_restored_by_squares_and_cross_entropies() -> None:
    model, batch = encoder(), table(7, gaps=True)
    assert model.restored_width == 3 + 4 + 2
    given = torch.randn(7, 9, generator=torch.Generator().manual_seed(0))
    errors = []
    for i in range(7):
        for f in range(3):
            if batch.valid[i, f]:
                errors.append(float(given[i, f] - batch.x["number"][i, f]) ** 2)
        for f, (start, count) in enumerate([(3, 4), (7, 2)]):
            if batch.valid[i, 3 + f]:
                logits = given[i, start : start + count].double()
                errors.append(float(logits.logsumexp(0) - logits[batch.x["code"][i, f]]))
    ours = row_restoration(model, given, batch)
    assert float(ours) == pytest.approx(sum(errors) / len(errors), rel=1e-5)


def test_mae_of_cells_counts_each_column_by_its_kind() -> None:
    """Masked feature modelling: mean over hidden cells of squares and cross-entropies."""
    model, batch = encoder(), table(6, gaps=True)
    pretext = registry.bind("pretext", {"mae": {"decoder_depth": 0}})(model)
    outputs: list[torch.Tensor] = []
    pretext.restore.register_forward_hook(lambda _m, _i, out: outputs.append(out))
    seen: list[torch.Tensor] = []
    inner = pretext.mask
    pretext.mask = lambda *asked: seen.append(inner(*asked)) or seen[-1]
    loss = pretext.loss(model, [batch], torch.Generator().manual_seed(0))
    hidden, out = (seen[0] & batch.valid[:, None])[:, 0], outputs[0].detach()
    errors = []
    for i, f in hidden.nonzero().tolist():
        if f < 3:
            errors.append(float(out[i, f, f] - batch.x["number"][i, f]) ** 2)
        else:
            start, count = [(3, 4), (7, 2)][f - 3]
            target = batch.x["code"][i, f - 3]
            errors.append(float(nn.functional.cross_entropy(out[i, f, start:][:count], target)))
    assert float(loss.total.detach()) == pytest.approx(sum(errors) / len(errors), rel=1e-5)


@pytest.mark.parametrize(
    ("columns", "subsets", "overlap"), [(20, 4, 0.75), (12, 3, 0.5), (8, 4, 0)]
)
def test_subtab_cuts_as_authors(columns: int, subsets: int, overlap: float) -> None:
    """subset_generator of src/model.py, for columns that the subsets divide."""
    each = int(columns / subsets)
    more = int(overlap * each)
    theirs = [set(range(0, each + more))]
    for i in range(1, subsets):
        theirs.append(set(range(i * each - more, (i + 1) * each)))
    ours = [set(row.nonzero().flatten().tolist()) for row in windows(columns, subsets, overlap)]
    assert ours == theirs


def test_subtab_leaves_no_column_out_and_measures_authors_distance() -> None:
    for columns in range(2, 15):
        assert windows(columns, 4, 0.75).any(0).all()
    a, b = (torch.randn(5, 3, generator=torch.Generator().manual_seed(s)) for s in (0, 1))
    unit = [z / z.norm(dim=1, keepdim=True) for z in (a, b)]
    assert float(distance(a, b)) == pytest.approx(float(((unit[0] - unit[1]) ** 2).mean()))


def test_latent_noise_is_simgcls_in_length_and_direction() -> None:
    """Section 3.1: |noise| = epsilon (here of the vector's length), in the vector's own orthant."""
    h = torch.randn(50, 8, generator=torch.Generator().manual_seed(0))
    noise = perturbed(h, 0.1, torch.Generator().manual_seed(1)) - h
    torch.testing.assert_close(noise.norm(dim=1), 0.1 * h.norm(dim=1))
    assert (noise.sign() == h.sign()).all()


def test_quantile_scale_is_scikit_learns_between_the_extremes() -> None:
    rng = np.random.default_rng(0)
    x = np.round(rng.gamma(1.0, 3.0, 600), 1)  # with ties
    quantiles = np.sort(x).tolist()
    theirs = QuantileTransformer(n_quantiles=600, output_distribution="normal").fit(x[:, None])
    theirs.quantiles_ = np.sort(x)[:, None]  # its own are a rounding error off, and so break ties
    inside = (x > x.min()) & (x < x.max())
    ours = scaled(x, {"quantiles": quantiles})
    np.testing.assert_allclose(ours[inside], theirs.transform(x[:, None])[inside, 0], atol=1e-6)
    assert np.isnan(scaled(np.array([np.nan]), {"quantiles": quantiles}))[0]
    ends = ndtr(scaled(np.array([-1e9, 1e9]), {"quantiles": quantiles}))
    assert ends[1] == pytest.approx(1 - 0.5 / 600)
    zeros = np.concatenate([np.zeros(900), np.arange(1, 101.0)])
    middle = scaled(
        np.zeros(1), {"quantiles": np.quantile(zeros, np.linspace(0, 1, 1000)).tolist()}
    )
    assert ndtr(middle)[0] == pytest.approx(0.45, abs=0.01)  # where most values are, not -5.2
