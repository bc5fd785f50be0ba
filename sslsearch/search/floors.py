"""The floors of a study, computed beside the slots in a process of their own.

A floor turns samples into features; the driver judges them with the same probe as every trial.
They are kept in the study folder, so a resumed study does not compute them again.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import ray
import torch
from safetensors.torch import load_file, save_file

from sslsearch import registry
from sslsearch.data.samples import Samples

NICE = 5  # floors yield to the slots; they are wanted at the end only


class FloorRunner:
    """Computes floors one after another."""

    def __init__(self, train: Any, test: Any, folder: str) -> None:
        os.nice(NICE)
        torch.set_num_threads(1)
        # Refs handed to an actor's constructor arrive as the values themselves.
        self.train, self.test = Samples.from_table(train), Samples.from_table(test)
        self.folder = Path(folder)

    def run(self, name: str, seed: int, encoder: dict[str, Any], key: str) -> str:
        """Compute one floor and save its features; returns the file's path."""
        path = floor_path(self.folder, name, seed, key)
        if not path.exists():
            made = registry.get("floor", name).bind({})(self.train, self.test, seed, encoder)
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(".part")
            tensors = {
                "train": torch.as_tensor(made.train_ND).float().contiguous(),
                "test": torch.as_tensor(made.test_ND).float().contiguous(),
            }
            save_file(tensors, part, metadata={"sees_labels": str(int(made.sees_labels))})
            part.replace(path)
        return str(path)


def floor_path(folder: Path, name: str, seed: int, key: str) -> Path:
    """Where a floor's features lie; `key` tells encoders apart."""
    return folder / "floors" / f"{name}-{key}-s{seed}.safetensors"


def start_floors(train: Any, test: Any, folder: Path) -> Any:
    """A FloorRunner actor. It asks for no CPU: it runs beside the slots at low priority."""
    actor = ray.remote(num_cpus=0, max_restarts=2, max_task_retries=2)(FloorRunner)
    return actor.remote(train, test, str(folder))


def read_features(path: Path) -> dict[str, torch.Tensor]:
    """train (labelled samples, in order) and test features, as a floor or finalist left them."""
    tensors: dict[str, torch.Tensor] = load_file(path)
    return tensors
