"""A trial on disk: safetensors for the tensors, JSON for the rest; never a pickle.

Whatever is written gets a temporary name and is renamed, so that a reader finds a whole file or
none. A checksum finds what has changed since.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

FULL = ("No space left on device", "disk is full", "Disk quota exceeded")
SQLITE = ("disk I/O error", "unable to open database file")  # what it says of a full disk, too
LITTLE = 1 << 20  # bytes left, when that is what SQLite means


class Damaged(ValueError):
    """The file is not as it was written."""


def save(
    path: Path, module: nn.Module, optimiser: torch.optim.Optimizer, meta: dict[str, Any]
) -> None:
    """Save weights, optimiser moments and `meta` (plain values)."""
    tensors = {f"module.{k}": v for k, v in module.state_dict().items()}
    for i, (_, state) in enumerate(_states(optimiser)):
        tensors |= {f"optim.{i}.{k}": torch.as_tensor(v) for k, v in state.items()}
    here = {k: v.detach().contiguous().cpu().clone() for k, v in tensors.items()}
    write(path, here, {"meta": json.dumps(meta), "checksum": _checksum(here)})


def load(path: Path, module: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, Any]:
    """Restore what `save` wrote into freshly built objects; returns the meta.

    Raises:
        Damaged: the file is torn, changed, or of another module; the objects are as they were.
    """
    tensors, meta = _read(path)
    weights = {k[7:]: v for k, v in tensors.items() if k.startswith("module.")}
    if _shapes(weights) != _shapes(module.state_dict()):
        raise Damaged(f"{path} holds the weights of another module; remove it to start over")
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
    with _opened(path) as file:
        meta: dict[str, Any] = json.loads(file.metadata()["meta"])
    return meta


def write(path: Path, tensors: Mapping[str, torch.Tensor], metadata: dict[str, str]) -> None:
    """A safetensors file, whole or not at all; what could not be finished takes no room."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        save_file(dict(tensors), part, metadata=metadata)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """A text file, whole or not at all."""
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        part.write_text(text)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def no_room(fault: BaseException | None, folder: Path) -> bool:
    """Did `fault`, or what caused it, come of a full disk (or quota) under `folder`?"""
    words = (*FULL, *SQLITE) if shutil.disk_usage(folder).free < LITTLE else FULL
    while fault is not None:
        number = fault.errno if isinstance(fault, OSError) else None
        if number in (errno.ENOSPC, errno.EDQUOT) or any(word in str(fault) for word in words):
            return True
        fault = fault.__cause__ or fault.__context__
    return False


def _read(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    with _opened(path) as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no iter
        meta: dict[str, Any] = json.loads(file.metadata()["meta"])
        told = file.metadata()["checksum"]
    if _checksum(tensors) != told:
        raise Damaged(f"{path} is damaged: its checksum is wrong; remove it to start over")
    return tensors, meta


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, KeyError, TypeError, json.JSONDecodeError) as fault:
        raise Damaged(f"{path} is damaged ({fault}); remove it to start over") from fault


def _checksum(tensors: Mapping[str, torch.Tensor]) -> str:
    total = 0
    for name in sorted(tensors):
        total = zlib.crc32(tensors[name].reshape(-1).view(torch.uint8).numpy().data, total)
    return f"{total:08x}"


def _shapes(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in tensors.items()}


def _states(optimiser: torch.optim.Optimizer) -> list[tuple[nn.Parameter, dict[str, Any]]]:
    """(parameter, its state) in the fixed order of the parameter groups."""
    return [(p, optimiser.state[p]) for group in optimiser.param_groups for p in group["params"]]
