"""AdamW with warm-up and cosine decay over the trial's full horizon, and the rule for batch size.

Loshchilov & Hutter 2019, Decoupled Weight Decay Regularization, arXiv:1711.05101.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn

REFERENCE_BATCH = 32  # the batch size at which the effective learning rate is the one written


def effective_lr(optim: Mapping[str, Any]) -> float:
    """The peak learning rate that is really used: `lr` scaled by `lr_scaling`.

    none: lr; sqrt: lr × √(batch_size / 32); linear: lr × batch_size / 32.
    """
    scale = optim["batch_size"] / REFERENCE_BATCH
    factor = {"none": 1.0, "sqrt": math.sqrt(scale), "linear": scale}[optim["lr_scaling"]]
    return float(optim["lr"] * factor)


def lr_at(step: int, steps: int, optim: Mapping[str, Any]) -> float:
    """Learning rate of `step` (from 0) out of `steps`: linear warm-up, then cosine towards 0."""
    warm = round(optim["warmup"] * steps)
    peak = effective_lr(optim)
    if step < warm:
        return float(peak * (step + 1) / warm)
    return float(peak * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm))))


def adamw(modules: Iterable[nn.Module], optim: Mapping[str, Any]) -> torch.optim.AdamW:
    """AdamW over all trainable parameters; norms, biases and tokens are not decayed."""
    named = [p for module in modules for p in module.parameters() if p.requires_grad]
    decayed = [p for p in named if p.ndim >= 2]
    plain = [p for p in named if p.ndim < 2]
    groups = [
        {"params": decayed, "weight_decay": float(optim["weight_decay"])},
        {"params": plain, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=effective_lr(optim))
