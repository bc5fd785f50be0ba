"""Worker groups of a long training, one after another: as many workers as the cluster has room for.

Ray Train can resize a group by itself (`num_workers=(2, 8)`). We start the next group ourselves,
for three reasons. Ray takes any number in the range, but a batch is shared evenly or the losses
that compare samples across workers are another recipe's, so only numbers that divide it are taken.
Ray ends a group that is to grow wherever it stands; ours saves its state first, so that growing
costs no step. And Ray counts failures over the whole run, where two days on nodes that come and go
may see many: we give up when a group gets no further than the one before, a few times over.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray._private.state import available_resources_per_node
from ray.train.v2._internal.exceptions import WorkerGroupStartupTimeoutError

from sslsearch.data.samples import Samples
from sslsearch.search.cluster import swept_nodes
from sslsearch.search.pretraining import Unseen, trainer
from sslsearch.search.resources import CROWDED_SECONDS, Fit, places
from sslsearch.search.slot import last_words
from sslsearch.search.wire import News
from sslsearch.train.checkpoint import Damaged
from sslsearch.values import Report

LOOK_SECONDS = 0.3  # between looks at the news
ROOM_SECONDS = 2.0  # between looks at the cluster
GROW_SECONDS = 10.0  # that there must have been room for a larger group before it is started
LEAVE_SECONDS = 25.0  # for the state to be saved before we go; a cluster's patience is often 30
RESTARTS = 3  # groups in a row that fail and get no further than the one before


def counts(train: Samples, batch_size: int, low: int, high: int) -> list[int]:
    """How many workers may share the batch: each takes as many samples, and the batch stays.

    Raises:
        ValueError: no number in the range divides it; says which numbers do.
    """
    batch = train.batch_size(batch_size, low if low == high else 1)
    able = [
        workers
        for workers in range(1, batch + 1)
        if batch % workers == 0 and train.batch_size(batch_size, workers) == batch
    ]
    found = [workers for workers in able if low <= workers <= high]
    if not found:
        said = f"{low}" if low == high else f"{low}..{high}, of which no number divides it"
        near = ", ".join(str(workers) for workers in able[:12])
        raise ValueError(
            f"optim.batch_size {batch_size} must be divisible by compute.workers_per_trial {said}; "
            f"its samples can be shared by {near}"
        )
    return found


@dataclass
class Groups:
    """Keeps a group at the training until that is over.

    Args:
        known: what every group must know (`pretraining.what`).
        fitted: what a worker asks for.
        able: the numbers of workers that may train together, ascending.
        scratch: a folder for what Ray writes.
        watch: is told the news, often.
        say: is told in a line what has happened to a group.
    """

    known: dict[str, Any]
    fitted: Fit
    able: list[int]
    scratch: Path
    watch: Callable[[News], None]
    say: Callable[[str], None]

    def __post_init__(self) -> None:
        self.wire = self.known["wire"]
        self._ceiling, self._until = 0, 0.0  # fewer workers for a while: so many found no place
        self._roomy = 0.0  # since when there has been room for a larger group
        self._looked, self._before = 0.0, 0  # groups that had begun before this one
        self._furthest, self._vain = -1, 0  # samples saved at a failure; failures since in vain

    def run(self) -> Report:
        """The last report. A KeyboardInterrupt passes through when the state is saved."""
        while True:
            workers, self._before = self._wait_for_room(), self._news().group
            try:
                return Report.from_dict(self._fit(workers).return_value)
            except (ray.train.TrainingFailedError, ray.exceptions.RayError) as fault:
                self._go_on(workers, fault)
            finally:
                shutil.rmtree(self.scratch, ignore_errors=True)

    def _fit(self, workers: int) -> Any:
        """Train in a thread until the group is over, looking at the news and at the cluster."""
        ended: dict[str, Any] = {}
        over = threading.Event()  # not join(): interrupted, it takes the thread for ended
        group = trainer(self.known, self.fitted, workers, self.scratch)

        def fit() -> None:
            try:
                ended["result"] = group.fit()
            except BaseException as fault:  # noqa: BLE001 - raised again in the main thread
                ended["fault"] = fault
            over.set()

        threading.Thread(target=fit, daemon=True).start()
        try:
            while not over.wait(LOOK_SECONDS):
                self.watch(self._news())
                self._grow(workers)
        except KeyboardInterrupt:
            self._leave(over)
            raise
        self.watch(self._news())
        if "fault" in ended:
            raise ended["fault"]
        return ended["result"]

    def _news(self) -> News:
        news: News = ray.get(self.wire.look.remote())
        return news

    def _leave(self, over: threading.Event) -> None:
        """Let the group save its state; what it cannot save in time was saved a while ago."""
        if self._news().group == self._before:  # it has not begun
            return
        until = time.monotonic() + LEAVE_SECONDS
        self.wire.ask_to_leave.remote()
        while not self._news().left and time.monotonic() < until:
            if over.wait(LOOK_SECONDS / 3):
                break
        self.watch(self._news())

    def _grow(self, workers: int) -> None:
        """Ask the group to save and leave where a larger one has had room for a while.

        Room is what nobody holds now: the cluster may serve others too.
        """
        now = time.monotonic()
        if workers == self.able[-1] or now - self._looked < ROOM_SECONDS:
            return
        self._looked = now
        free = places(self.fitted.resources, list(available_resources_per_node().values()))
        if self._most(workers + free) <= workers or self._news().group == self._before:
            self._roomy = now
        elif now - self._roomy > GROW_SECONDS:
            self._roomy = now
            self.wire.ask_to_leave.remote()

    def _most(self, room: int) -> int:
        """The largest group that `room` workers make; 0 where that is too few."""
        return max((n for n in self.able if n <= room), default=0)

    def _wait_for_room(self) -> int:
        """How many workers train next."""
        said = False
        while True:
            room = places(self.fitted.resources, swept_nodes())
            if time.monotonic() < self._until:
                room = min(room, self._ceiling)
            if workers := self._most(room):
                return workers
            if not said:
                self.say(f"waiting for a cluster with room for {self.able[0]} workers")
                said = True
            time.sleep(ROOM_SECONDS)

    def _go_on(self, workers: int, fault: BaseException) -> None:
        """Say why a group is over, and give up where another would lead nowhere."""
        news = self._news()
        if news.left and news.group > self._before:
            self.say(f"there is room for more than {workers} workers; the state is saved")
            return
        if isinstance(getattr(fault, "controller_failure", None), WorkerGroupStartupTimeoutError):
            self.say(f"{workers} workers found no place in the cluster; trying on")
            if workers > self.able[0]:
                self._ceiling, self._until = workers - 1, time.monotonic() + CROWDED_SECONDS
            return
        for lost in causes(fault):
            if isinstance(lost, Damaged | Unseen):  # as often as one tries
                raise ValueError(str(lost)) from fault
        further, self._furthest = news.saved > self._furthest, news.saved
        self._vain = 0 if further else self._vain + 1
        if self._vain >= RESTARTS:
            raise RuntimeError(
                f"the workers failed again and again; what was reached is kept in "
                f"{self.scratch.parent}"
            ) from fault
        self.say(f"a worker was lost ({reason(fault)}); going on from {news.saved:,} samples")


def causes(fault: BaseException) -> list[BaseException]:
    """What the workers have raised, as Ray Train tells it."""
    lost: dict[int, BaseException] = getattr(fault, "worker_failures", {})
    return [getattr(error, "_base_exc", error) for error in lost.values()]


def reason(fault: BaseException) -> str:
    """The first sentence of what Ray Train tells of the workers that it lost. One that died says
    more than the others, who only miss it."""
    lost: list[BaseException] = list(getattr(fault, "worker_failures", {}).values())
    died = [error for error in lost if not hasattr(error, "_base_exc")]
    words = last_words(str((died or lost or [fault])[0]))
    return words.split(". ")[0]
