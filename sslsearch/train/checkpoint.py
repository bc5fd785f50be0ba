"""A trial on disk: safetensors for the tensors, JSON for the rest; never a pickle.

Written to a temporary name and renamed, so that a reader finds a whole file or none.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn


def save(
    path: Path, module: nn.Module, optimiser: torch.optim.Optimizer, meta: dict[str, Any]
) -> None:
    """Save weights, optimiser moments and `meta` (plain values)."""
    tensors = {f"module.{k}": v for k, v in module.state_dict().items()}
    for i, (_, state) in enumerate(_states(optimiser)):
        tensors |= {f"optim.{i}.{k}": torch.as_tensor(v) for k, v in state.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    save_file(
        {k: v.detach().contiguous().cpu().clone() for k, v in tensors.items()},
        part,
        metadata={"meta": json.dumps(meta)},
    )
    part.replace(path)


def load(path: Path, module: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, Any]:
    """Restore what `save` wrote into freshly built objects; returns the meta."""
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no iter
        meta: dict[str, Any] = json.loads(file.metadata()["meta"])
    weights = {k[7:]: v for k, v in tensors.items() if k.startswith("module.")}
    module.load_state_dict(weights)
    for i, (parameter, _) in enumerate(_states(optimiser)):
        prefix = f"optim.{i}."
        found = {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}
        if found:  # AdamW keeps its step count on the CPU and its moments beside the parameter
            optimiser.state[parameter] = {
                k: v if v.ndim == 0 else v.to(parameter.device) for k, v in found.items()
            }
    return meta


def peek(path: Path) -> dict[str, Any]:
    """The meta alone; no tensor is read."""
    with safe_open(path, framework="pt") as file:
        meta: dict[str, Any] = json.loads(file.metadata()["meta"])
    return meta


def _states(optimiser: torch.optim.Optimizer) -> list[tuple[nn.Parameter, dict[str, Any]]]:
    """(parameter, its state) in the fixed order of the parameter groups."""
    return [(p, optimiser.state[p]) for group in optimiser.param_groups for p in group["params"]]
