"""Pretraining on a second pool that is larger than the memory it may take.

    python tests/benchmarks/big_pool.py [--gib 4] [--limit 1024] [--steps 20] [--folder DIR]
        [--against-memory]

1. Writes a Parquet pool of `--gib` GiB in a temporary folder (below `--folder`), in parts.
2. In a process of its own: prepares the data as on a machine with `--limit` MiB, so that the pool
   is converted and mapped, pretrains for a number of steps on batches drawn from all of it, and
   fails if its anonymous memory (RssAnon of /proc, looked at every 10 ms) ever passes the limit.
   Mapped pages of files are not anonymous: the kernel drops them whenever it needs the room.
3. With `--against-memory`: the same steps from files that the kernel has dropped, from files that
   it still holds, and with the whole pool in memory, by a small encoder that waits for its samples
   rather than they for it. Three rounds, each the speed of its own steps.

The last line is JSON.
"""

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import os
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

CHANNELS, STEPS = 2, 512
ROWS_AT_ONCE = 4096
OWN, BATCH = 200, 64
MIB = 1 << 20
SPACE = """
name: big_pool
data: {{modality: timeseries, source: "parquet:{own}", pool: "parquet:{pool}", test: 0.2}}
encoder: {{conv1d: {{depth: 3, width: 64, stride: 8}}}}
pretext: {{simclr: {{}}}}
augment: {{jitter: {{sigma: 0.1}}}}
optim: {{batch_size: {batch}, lr: 1e-3}}
"""


def series(rows: int, rng: np.random.Generator) -> pa.Array:
    """Random walks: two channels of 512 steps, float32."""
    walk = rng.standard_normal((rows * CHANNELS, STEPS), np.float32).cumsum(axis=1)
    steps = pa.ListArray.from_arrays(np.arange(0, walk.size + 1, STEPS, np.int32), walk.ravel())
    return pa.ListArray.from_arrays(np.arange(0, rows * CHANNELS + 1, CHANNELS, np.int32), steps)


def write(folder: Path, gib: float) -> int:
    """own.parquet with labels and pool.parquet without; the rows of the pool."""
    rng = np.random.default_rng(0)
    own = pa.table({"series": series(OWN, rng), "label": ["up", "down"] * (OWN // 2)})
    pq.write_table(own, folder / "own.parquet")
    parts = round(gib * 2**30 / (ROWS_AT_ONCE * CHANNELS * STEPS * 4))
    schema = own.select(["series"]).schema
    with pq.ParquetWriter(folder / "pool.parquet", schema, compression="none") as file:
        for _ in range(parts):
            part = pa.table({"series": series(ROWS_AT_ONCE, rng)})
            file.write_table(part, row_group_size=ROWS_AT_ONCE)
    return parts * ROWS_AT_ONCE


def anonymous() -> float:
    """Anonymous resident memory of this process in MiB."""
    status = Path("/proc/self/status").read_text()
    return next(int(x.split()[1]) / 1024 for x in status.splitlines() if x.startswith("RssAnon"))


class Watch(threading.Thread):
    """Keeps the largest anonymous memory seen."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak, self.over = 0.0, threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.01):
            self.peak = max(self.peak, anonymous())


def pretrain(folder: Path, limit: int, steps: int, found: Any) -> None:
    """What runs in the process that is watched."""
    watch = Watch()
    watch.start()
    import torch

    from sslsearch.data.mapped import Mapped
    from sslsearch.data.prepare import prepare
    from sslsearch.data.samples import Samples
    from sslsearch.space import parse
    from sslsearch.train.loop import Trial

    torch.set_num_threads(1)
    files = {"own": folder / "own.parquet", "pool": folder / "pool.parquet"}
    space = parse(SPACE.format(**files, batch=BATCH))
    started = time.perf_counter()
    prepared = prepare(space.data.model_dump(), folder, folder / "study", memory=limit * MIB)
    seconds = time.perf_counter() - started
    assert isinstance(prepared.train, Mapped)
    converted = watch.peak
    samples = Samples.from_table(prepared.train)
    trial = Trial(space.default(), samples, 0, torch.device("cpu"), [steps * BATCH])
    started = time.perf_counter()
    assert trial.train_to(steps)
    trained = time.perf_counter() - started
    watch.over.set()
    found.send(
        {
            "samples": len(samples),
            "peak_anonymous_mib": round(watch.peak),
            "peak_while_converting_mib": round(converted),
            "seconds_convert": round(seconds, 1),
            "samples_per_second": round(steps * BATCH / trained),
        }
    )


def against_memory(folder: Path, steps: int) -> dict[str, list[int]]:
    """Samples per second from dropped files, held files, and memory."""
    import torch

    from sslsearch.data.mapped import Mapped
    from sslsearch.data.prepare import prepare
    from sslsearch.data.samples import Samples
    from sslsearch.space import parse
    from sslsearch.train.loop import Trial

    torch.set_num_threads(1)
    files = {"own": folder / "own.parquet", "pool": folder / "pool.parquet"}
    space = parse(SPACE.format(**files, batch=BATCH))
    recipe = space.default()
    recipe.body["encoder"]["conv1d"] |= {"depth": 1, "width": 8, "stride": 64}
    data, place = space.data.model_dump(), folder / "study"

    def speed(samples: Samples) -> int:
        trial = Trial(recipe, samples, 0, torch.device("cpu"), [steps * BATCH])
        started = time.perf_counter()
        assert trial.train_to(steps)
        return round(steps * BATCH / (time.perf_counter() - started))

    mapped = prepare(data, folder, place, memory=1).train
    assert isinstance(mapped, Mapped)
    inside = Samples.from_table(prepare(data, folder, None).train)
    found: dict[str, list[int]] = {"dropped": [], "held": [], "memory": []}
    for _ in range(3):
        drop(place)
        found["dropped"].append(speed(Samples.from_table(mapped)))
        for file in place.rglob("*.bin"):
            file.read_bytes()
        found["held"].append(speed(Samples.from_table(mapped)))
        found["memory"].append(speed(inside))
    return found


def drop(place: Path) -> None:
    """Let the kernel forget what it holds of the files; it keeps what some process still maps."""
    gc.collect()
    for file in place.rglob("*.bin"):
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gib", type=float, default=4.0)
    parser.add_argument("--limit", type=int, default=1024, help="MiB of anonymous memory")
    parser.add_argument("--steps", type=int, default=20, help=f"of {BATCH} samples")
    parser.add_argument("--against-memory", action="store_true", help="compare the speed, too")
    parser.add_argument("--folder", type=Path, help="where the temporary folder goes")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        folder = Path(name)
        rows = write(folder, args.gib)
        size = (folder / "pool.parquet").stat().st_size
        print(f"pool: {rows} series, {size / 2**30:.2f} GiB of Parquet")
        processes = multiprocessing.get_context("spawn")
        ours, theirs = processes.Pipe(duplex=False)
        child = processes.Process(target=pretrain, args=(folder, args.limit, args.steps, theirs))
        child.start()
        theirs.close()
        found = ours.recv()  # EOFError if it failed: its traceback is above
        child.join()
        if args.against_memory:
            found["samples_per_second_from"] = against_memory(folder, args.steps)
    assert found["samples"] > rows, "the pool and the source's own rows"
    assert found["peak_anonymous_mib"] < args.limit, found
    print(json.dumps({"pool_gib": round(size / 2**30, 2), **found}))


if __name__ == "__main__":
    main()
