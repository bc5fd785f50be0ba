"""The training loop: a trial that yields a report at every rung. Ray and MLflow listen outside.

All that is random in a step is drawn from (seed, step, worker): a trial resumed from a checkpoint,
of a rung or of any step between two, takes the very steps that it would have taken without the
break.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from sslsearch import distributed
from sslsearch.data.samples import Samples
from sslsearch.pretext.build import trains
from sslsearch.train import checkpoint, memory
from sslsearch.train.build import build
from sslsearch.train.curve import Curve
from sslsearch.train.judge import Judge
from sslsearch.train.optim import adamw, effective_lr, lr_at
from sslsearch.train.order import Order, generator
from sslsearch.values import Recipe, Report, Status


class Trial:
    """One recipe and one seed on its way up the rungs. Every worker holds one and moves in step.

    Args:
        recipe: nothing open.
        samples: the pool and the labelled samples; never the test split.
        seed: decides weights, order, views and masks.
        device: where to train; samples are moved there by the batch.
        rungs: ascending samples-seen marks; default: the recipe's own.
    """

    def __init__(
        self,
        recipe: Recipe,
        samples: Samples,
        seed: int,
        device: torch.device,
        rungs: list[int],
    ) -> None:
        self.recipe, self.samples, self.seed, self.device = recipe, samples, seed, device
        self.rungs = rungs
        self.objective, self.compose = build(recipe, samples.spec, seed)
        self.moving = self.compose.moving()
        self.objective.to(device)
        self.optimiser = adamw([self.objective], recipe["optim"])
        self.judge = Judge(recipe, samples, device)
        self.trains = trains(recipe["pretext"])
        asked: int = recipe["optim"]["batch_size"]
        self.batch_size = samples.batch_size(asked, distributed.world())
        self.order = Order(samples.pool, self.batch_size, seed)
        if self.batch_size % distributed.world():
            raise ValueError(
                f"optim.batch_size {self.batch_size} must be divisible by "
                f"compute.workers_per_trial {distributed.world()}"
            )
        self.steps = math.ceil(rungs[-1] / self.batch_size)  # the full horizon
        self.step = 0
        self.reports: list[Report] = []
        self.curve = Curve(0)
        self._module: nn.Module = self.objective
        if distributed.world() > 1 and self.trains:
            # A pretext uses what it needs: masks' tokens or heads may take no part in a step.
            self._module = DistributedDataParallel(self.objective, find_unused_parameters=True)
        self._untried = distributed.world() > 1 and device.type == "cuda"
        self._seconds: dict[str, float] = defaultdict(float)

    @property
    def samples_seen(self) -> int:
        return self.step * self.batch_size if self.trains else 0

    @property
    def over(self) -> bool:
        return bool(self.reports) and self.reports[-1].status != "ok"

    def advance(self, between: Callable[[], None] = lambda: None) -> Report:
        """Train to the next rung and judge there; after each step, `between` may save the trial."""
        rung = len(self.reports)
        status: Status = "ok"
        message = ""
        try:
            if self.trains:
                target = math.ceil(self.rungs[rung] / self.batch_size)
                status = "ok" if self.train_to(target, between) else "nan"
                message = "" if status == "ok" else "the loss is not finite"
            if status == "ok" and distributed.rank() == 0:
                with self._timed("probe"):
                    report = self.judge.report(self.objective.encoder, self.objective.pretext)
            else:
                report = Report(rung, self.samples_seen, status, math.nan, message=message)
        except Exception as fault:
            # Where one worker fails the others wait in a collective: the group must start again.
            all_fail = distributed.world() == 1 or isinstance(fault, memory.DoesNotFit)
            if not (memory.ran_out(fault) and all_fail):
                raise
            message = memory.cure(self.batch_size, self.micro_batch, self.objective.encoder, fault)
            report = Report(rung, self.samples_seen, "oom", math.nan, message=message)
        seconds, self._seconds = dict(self._seconds), defaultdict(float)
        report = Report(
            **{
                **vars(report),
                "rung": rung,
                "samples_seen": self.samples_seen,
                "losses": tuple(self.curve.points),
                "seconds": seconds,
                "settings": {**report.settings, **self._settings()},
            }
        )
        self.reports.append(report)
        self.curve = Curve(self.step)
        return report

    def _settings(self) -> dict[str, Any]:
        said = {
            "lr_effective": effective_lr(self.recipe["optim"]),
            "batch_size": self.batch_size,
        }
        return said | ({"micro_batch": self.micro_batch} if self.objective.pieces > 1 else {})

    def train_to(self, target: int, between: Callable[[], None] = lambda: None) -> bool:
        """Take steps up to `target`; False when the loss stopped being finite."""
        self.objective.train()
        while self.step < target:
            self.curve.add(self._step().detach())
            due = self.curve.due(target) or self.step == target
            if due and not self.curve.look(self.samples_seen):
                return False
            between()
        return True

    def _step(self) -> torch.Tensor:
        if self._untried:
            self._try_out()
        total = self._fitting_gradient()
        with self._timed("train"):
            for group in self.optimiser.param_groups:
                group["lr"] = lr_at(self.step, self.steps, self.recipe["optim"])
            self.optimiser.step()
            self.step += 1
            self.objective.pretext.after_step(self.objective.encoder, self.step / self.steps)
        return total

    def _fitting_gradient(self, alone: bool = False) -> torch.Tensor:
        """The gradient, in as few pieces as memory takes: what did not fit is done again."""
        while True:
            try:
                return self._gradient(alone)
            except Exception as fault:
                once = distributed.world() > 1 and not alone  # the others have gone on
                if not memory.ran_out(fault) or once or not self._halve():
                    raise

    def _gradient(self, alone: bool) -> torch.Tensor:
        """The loss of this step's batch, with its gradient in place; the same whenever asked."""
        self.optimiser.zero_grad(set_to_none=True)
        rng = generator(self.seed, "step", self.step, distributed.rank(), self.device)
        with self._timed("load"):
            batch = self.samples.batch(self.order.share(self.step), self.device)
        with self._timed("augment"):
            pretext = self.objective.pretext
            made = range(pretext.clean, pretext.views - pretext.moved)
            views = [batch] * pretext.clean + [self.compose(batch, rng) for _ in made]
            views += [self.moving(batch, rng) for _ in range(pretext.moved)]
        with self._timed("train"):
            with _autocast(self.device), distributed.alone() if alone else nullcontext():
                loss = (self.objective if alone else self._module)(views, rng)
            loss.total.backward()
        total: torch.Tensor = loss.total
        return total

    def _try_out(self) -> None:
        """What fits, found out before the first step by workers of which none may fail in one.

        Each tries by itself, and all take the most pieces that any of them needs. A single worker
        need not: it takes a step again that did not fit.
        """
        self._untried = False
        before = [buffer.clone() for buffer in self.objective.buffers()]
        reason = ""
        try:
            self._fitting_gradient(alone=True)
            pieces = self.objective.pieces
        except Exception as fault:
            if not memory.ran_out(fault):
                raise
            pieces, reason = self.batch_size + 1, str(fault)
        pieces = distributed.most(pieces, self.device)
        self.objective.pieces = min(pieces, self.batch_size // distributed.world())
        if pieces > self.batch_size:
            raise memory.DoesNotFit(reason or "on another worker")
        self.optimiser.zero_grad(set_to_none=True)
        for buffer, value in zip(self.objective.buffers(), before, strict=True):
            buffer.copy_(value)

    @property
    def micro_batch(self) -> int:
        """How many samples of the global batch the encoders take at once."""
        return math.ceil(self.batch_size / self.objective.pieces)

    def _halve(self) -> bool:
        """Let the encoder take the batch in twice as many pieces; False if that cannot help."""
        share = self.batch_size // distributed.world()
        if self.objective.pieces >= share or not memory.divisible(self.objective.encoder):
            return False
        self.objective.pieces = min(2 * self.objective.pieces, share)
        memory.release(self.device)
        return True

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self._seconds[stage] += time.perf_counter() - started

    def save(self, path: Path) -> None:
        """Write where the trial stands, at a rung or after any step (rank 0's business)."""
        meta: dict[str, Any] = {
            "step": self.step,
            "seed": self.seed,
            "recipe_hash": self.recipe.hash,
            "pieces": self.objective.pieces,
            "workers": distributed.world(),
            "reports": [vars(report) for report in self.reports],
            "curve": self.curve.state(),
            "seconds": dict(self._seconds),
        }
        checkpoint.save(path, self.objective, self.optimiser, meta)

    def restore(self, path: Path) -> None:
        """Stand where the saved trial stood. ValueError if it was another recipe or seed."""
        meta = checkpoint.load(path, self.objective, self.optimiser)
        if (meta["recipe_hash"], meta["seed"]) != (self.recipe.hash, self.seed):
            raise ValueError(f"{path} holds another trial's state")
        self.step, self.objective.pieces = meta["step"], meta.get("pieces", 1)
        self.reports = [Report.from_dict(values) for values in meta["reports"]]
        self.curve = Curve(self.step)
        if "curve" in meta:  # a rung of an earlier version has none
            self.curve.restore(meta["curve"], self.device)
            self._seconds = defaultdict(float, meta["seconds"])


def loop(
    recipe: Recipe,
    samples: Samples,
    seed: int,
    rungs: list[int],
    device: torch.device | None = None,
    resume: Path | None = None,
) -> Iterator[Report]:
    """Train `recipe` up the rungs, yielding a report at each; stops by itself when it fails."""
    trial = Trial(recipe, samples, seed, device or torch.device("cpu"), rungs)
    if resume is not None and resume.exists():
        trial.restore(resume)
    while len(trial.reports) < len(rungs) and not trial.over:
        report = trial.advance()
        if resume is not None:
            trial.save(resume)
        yield report


def _autocast(device: torch.device) -> Any:
    """bfloat16 on GPUs (no loss scaling needed); full precision on CPUs."""
    on: Callable[..., Any] = torch.autocast
    return on("cuda", dtype=torch.bfloat16) if device.type == "cuda" else nullcontext()
