"""The order in which a trial meets its samples: a fresh one for each epoch, none twice in it.

It is drawn from (seed, epoch) alone: wherever a training is resumed, and with however many
workers, step k takes the same samples.
"""

from __future__ import annotations

import hashlib

import torch

from sslsearch import distributed


class Order:
    """Args:
    pool: the rows that are pretrained on.
    batch_size: samples of a step, over all workers; what is left of an epoch is not used.
    """

    def __init__(self, pool: torch.Tensor, batch_size: int, seed: int) -> None:
        self.pool, self.batch_size, self.seed = pool, batch_size, seed
        self.steps_per_epoch = len(pool) // batch_size
        if self.steps_per_epoch == 0:
            raise ValueError(
                f"optim.batch_size {batch_size} exceeds the pool of {len(pool)} samples"
            )
        self._epoch: tuple[int, torch.Tensor] | None = None

    def share(self, step: int) -> torch.Tensor:
        """This worker's rows of the step's global batch."""
        epoch, at = divmod(step, self.steps_per_epoch)
        if self._epoch is None or self._epoch[0] != epoch:
            rng = generator(self.seed, "order", epoch, 0, torch.device("cpu"))
            self._epoch = epoch, self.pool[torch.randperm(len(self.pool), generator=rng)]
        batch = self._epoch[1][at * self.batch_size : (at + 1) * self.batch_size]
        share = self.batch_size // distributed.world()
        return batch[distributed.rank() * share : (distributed.rank() + 1) * share]


def generator(
    seed: int, purpose: str, number: int, rank: int, device: torch.device
) -> torch.Generator:
    """Randomness that depends on what it is for, on nothing that was drawn before."""
    text = f"{seed}/{purpose}/{number}/{rank}".encode()
    digest = int.from_bytes(hashlib.sha256(text).digest()[:8], "big") >> 1
    return torch.Generator(device).manual_seed(digest)
