"""MoCo, SimSiam, Barlow Twins, DINO and I-JEPA against lightly, or their authors' code.

A test is named test_METHOD_…: docs/methods.md reads from the names what each is held against.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from lightly.loss import BarlowTwinsLoss, DINOLoss, NegativeCosineSimilarity, NTXentLoss
from lightly.models.modules.memory_bank import MemoryBankModule
from torch import nn
from torch.nn import functional as F

from sslsearch import registry
from sslsearch.encoders.base import Encoder
from sslsearch.pretext.barlow_twins import barlow_terms
from sslsearch.pretext.base import Pretext
from sslsearch.pretext.dino import distillation
from sslsearch.pretext.ijepa import latent_distance
from sslsearch.pretext.moco import queue_info_nce
from sslsearch.pretext.moco_v3 import contrast
from sslsearch.pretext.simsiam import negative_cosine
from sslsearch.values import Batch, InputSpec


def pair(*shape: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    a = torch.randn(*shape, generator=rng)
    b = 0.5 * a + torch.randn(*shape, generator=rng)
    return a.requires_grad_(), b.requires_grad_()


def made(name: str, **knobs: Any) -> tuple[Encoder, Pretext]:
    torch.manual_seed(0)
    spec = InputSpec("timeseries", {"channels": 2, "length": 24})
    encoder = registry.get("encoder", "conv1d").bind({"depth": 2, "width": 8, "stride": 2})(spec)
    return encoder, registry.get("pretext", name).bind(knobs)(encoder)


def views(count: int, B: int = 6, seed: int = 0) -> list[Batch]:
    x = torch.randn(count, B, 2, 24, generator=torch.Generator().manual_seed(seed))
    return [Batch(each, torch.ones(B, 24, dtype=torch.bool), torch.arange(B)) for each in x]


def assert_equal_with_gradients(
    ours: torch.Tensor, theirs: torch.Tensor, inputs: tuple[torch.Tensor, ...]
) -> None:
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    ours_grad = torch.autograd.grad(ours, inputs)
    for a, b in zip(ours_grad, torch.autograd.grad(theirs, inputs), strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("temperature", [0.07, 0.2, 1.0])
def test_moco_is_lightlys_nt_xent_with_a_memory_bank(temperature: float) -> None:
    query, key = pair(5, 8)
    theirs = NTXentLoss(temperature=temperature, memory_bank_size=(20, 8))
    theirs(key.detach(), key.detach())  # draws the bank
    bank = theirs.memory_bank.bank
    queue_KD = bank.clone() if bank.shape == (20, 8) else bank.T.clone()
    ours = queue_info_nce(query, key.detach(), queue_KD, temperature)
    assert_equal_with_gradients(ours, theirs(query, key.detach()), (query,))


def test_moco_turns_its_queue_as_lightlys_memory_bank() -> None:
    """Seven keys go round twice in five batches of three."""
    encoder, moco = made("moco", queue=7, projection=4)
    bank = MemoryBankModule(size=(7, 4))
    bank(F.normalize(torch.randn(3, 4), dim=1), update=False)  # draws the bank
    bank.bank = moco.queue_KD.clone() if bank.bank.shape == (7, 4) else moco.queue_KD.T.clone()
    for step in range(5):
        both = views(2, B=3, seed=step)
        before = moco.queue_KD.clone()
        moco.loss(encoder, both, torch.Generator())
        moco.loss(encoder, both, torch.Generator())  # done again, as when memory runs out
        assert torch.equal(moco.queue_KD, before)
        keys = F.normalize(moco.key_projector(moco.key_encoder(both[1]).pooled_BD), dim=1)
        moco.after_step(encoder, 0.5)
        changed = (moco.queue_KD != before).any(1).nonzero()[:, 0]
        assert changed.tolist() == sorted((3 * step + i) % 7 for i in range(3))
        torch.testing.assert_close(
            moco.queue_KD[[(3 * step + i) % 7 for i in range(3)]], keys.detach()
        )


@pytest.mark.parametrize("temperature", [0.2, 1.0])
def test_moco_v3_is_authors(temperature: float) -> None:
    """contrastive_loss of github.com/facebookresearch/moco-v3, moco/builder.py, on one GPU."""
    query, key = pair(6, 8)
    q, k = F.normalize(query, dim=1), F.normalize(key, dim=1)
    logits = torch.einsum("nc,mc->nm", [q, k]) / temperature
    theirs = nn.CrossEntropyLoss()(logits, torch.arange(6)) * (2 * temperature)
    assert_equal_with_gradients(contrast(query, key, temperature), theirs, (query, key))


def test_simsiam_is_lightlys_negative_cosine() -> None:
    a, b = pair(5, 8)
    assert_equal_with_gradients(negative_cosine(a, b), NegativeCosineSimilarity()(a, b), (a, b))


@pytest.mark.parametrize("batch", [2, 9])
def test_barlow_twins_is_lightlys(batch: int) -> None:
    a, b = pair(batch, 6)
    invariance, redundancy = barlow_terms(a, b)
    theirs = BarlowTwinsLoss(lambda_param=0.005)(a, b)
    assert_equal_with_gradients(invariance + 0.005 * redundancy, theirs, (a, b))


@pytest.mark.parametrize("student_views", [2, 5])
def test_dino_is_lightlys(student_views: int) -> None:
    rng = torch.Generator().manual_seed(0)
    student = torch.randn(student_views, 4, 12, generator=rng, requires_grad=True)
    teacher = torch.randn(2, 4, 12, generator=rng)
    theirs = DINOLoss(output_dim=12)
    theirs.center.copy_(torch.randn(1, 1, 12, generator=rng))
    ours = distillation(student / 0.1, (teacher - theirs.center[0]) / 0.05)
    expected = theirs(list(teacher), list(student), teacher_temp=0.05)
    assert_equal_with_gradients(ours, expected, (student,))


def test_dino_centres_as_lightlys() -> None:
    encoder, dino = made("dino", prototypes=12, bottleneck=4)
    theirs = DINOLoss(output_dim=12, center_momentum=0.9)
    for step in range(3):
        both = views(2, seed=step)
        teacher = [dino.teacher_head(dino.teacher_encoder(view).pooled_BD) for view in both]
        dino.loss(encoder, both, torch.Generator())
        dino.after_step(encoder, 0.5)
        theirs.update_center(torch.stack(teacher))
        torch.testing.assert_close(dino.center_P, theirs.center.flatten())


def test_dino_head_is_torch_weight_norm_with_unit_gain() -> None:
    _, dino = made("dino", prototypes=12, bottleneck=4)
    last = nn.utils.weight_norm(nn.Linear(4, 12, bias=False))
    last.weight_g.data.fill_(1)
    last.weight_v.data.copy_(dino.head.prototypes_PD.data)
    x = torch.randn(5, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(dino.head(x), last(F.normalize(dino.head.mlp(x), dim=-1, p=2)))


def test_ijepa_is_authors_smooth_l1() -> None:
    """forward_target and loss_fn of github.com/facebookresearch/ijepa, src/train.py."""
    rng = torch.Generator().manual_seed(0)
    predicted = torch.randn(3, 2, 10, 6, generator=rng, requires_grad=True)
    whole = 3 + 2 * torch.randn(3, 10, 6, generator=rng)
    target_BMN = torch.zeros(3, 2, 10, dtype=torch.bool)
    for b in range(3):
        for m in range(2):
            target_BMN[b, m, 2 * b + m : 2 * b + m + 3] = True  # blocks of one size, as theirs
    h = F.layer_norm(whole, (6,))
    h = torch.stack([h[b][target_BMN[b, m]] for b in range(3) for m in range(2)])
    z = torch.stack([predicted[b, m][target_BMN[b, m]] for b in range(3) for m in range(2)])
    theirs = F.smooth_l1_loss(z, h)
    assert_equal_with_gradients(latent_distance(predicted, whole, target_BMN), theirs, (predicted,))
