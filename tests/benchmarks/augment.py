"""How many series per second are augmented: ours, tsaug, and the literature's per-sample loop.

    python tests/benchmarks/augment.py [--repeats 5]

One thread. `shared` is what tsaug has too: jitter, time warp, crop and resize (at one fixed length,
its fast case; ours draws a length per sample). `tstcc` is jitter, scaling, time warp, crop and
resize, permutation, which tsaug lacks in part. The loop is written as the public TS-TCC and
uchidalab code is: NumPy, one sample (and channel) at a time. Both peers compute in float64, as
they do by themselves; ours is timed as a recipe runs it, in float32 and through `Compose`. The last
line is JSON; its figures are `shared` on (256, 1, 427).
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
import tsaug
from scipy.interpolate import CubicSpline

from sslsearch.augment.compose import Compose
from sslsearch.values import Batch

SHAPES = ((256, 1, 427), (256, 9, 128))
KEEP = 0.8
SHARED = {"jitter": {"sigma": 0.03}, "time_warp": {"sigma": 0.2}, "crop_resize": {"keep": KEEP}}
TSTCC = {
    "jitter": {"sigma": 0.03},
    "scaling": {"sigma": 0.1},
    "time_warp": {"sigma": 0.2},
    "crop_resize": {"keep": KEEP},
    "permutation": {"segments": 5},
}


def loop_jitter(x_CT: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return x_CT + rng.normal(0.0, 0.03, x_CT.shape)


def loop_scaling(x_CT: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return x_CT * rng.normal(1.0, 0.1, (len(x_CT), 1))


def loop_time_warp(x_CT: np.ndarray, rng: np.random.Generator, knots: int = 4) -> np.ndarray:
    steps = np.arange(x_CT.shape[1])
    place = np.linspace(0, steps[-1], knots + 2)
    path = CubicSpline(place, place * rng.normal(1.0, 0.2, knots + 2))(steps)
    path = np.clip(path * steps[-1] / path[-1], 0, steps[-1])
    return np.stack([np.interp(path, steps, channel) for channel in x_CT])


def loop_crop_resize(x_CT: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    length = x_CT.shape[1]
    kept = int(np.ceil(rng.uniform(KEEP, 1.0) * length))
    start = rng.integers(0, length - kept + 1)
    place, steps = np.linspace(0, kept - 1, length), np.arange(kept)
    return np.stack([np.interp(place, steps, c[start : start + kept]) for c in x_CT])


def loop_permutation(x_CT: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    steps = np.arange(x_CT.shape[1])
    cuts = np.sort(rng.choice(steps[1:], rng.integers(1, 5), replace=False))
    pieces = np.split(steps, cuts)
    return x_CT[:, np.concatenate([pieces[i] for i in rng.permutation(len(pieces))])]


LOOPS = {
    "jitter": loop_jitter,
    "scaling": loop_scaling,
    "time_warp": loop_time_warp,
    "crop_resize": loop_crop_resize,
    "permutation": loop_permutation,
}


def ours(x_BCT: np.ndarray, policy: dict[str, dict[str, float]]) -> Callable[[], object]:
    x, rng, compose = torch.from_numpy(x_BCT).float(), torch.Generator(), Compose(policy)
    batch = Batch(x, torch.ones(x.shape[0], x.shape[2], dtype=torch.bool), torch.arange(len(x)))
    return lambda: compose(batch, rng)


def peer(x_BCT: np.ndarray) -> Callable[[], object]:
    x_BTC, steps = np.ascontiguousarray(x_BCT.transpose(0, 2, 1)), x_BCT.shape[2]
    chain = (
        tsaug.AddNoise(scale=0.03)
        + tsaug.TimeWarp(n_speed_change=4, max_speed_ratio=1.5)
        + tsaug.Crop(size=int(KEEP * steps), resize=steps)
    )
    return lambda: chain.augment(x_BTC)


def loop(x_BCT: np.ndarray, policy: dict[str, dict[str, float]]) -> Callable[[], object]:
    rng = np.random.default_rng(0)

    def run() -> np.ndarray:
        views = np.empty_like(x_BCT)
        for i, view in enumerate(x_BCT):
            for name in policy:
                view = LOOPS[name](view, rng)
            views[i] = view
        return views

    return run


def per_second(
    samples: int, contestants: dict[str, Callable[[], object]], repeats: int
) -> dict[str, float]:
    """Series per second: medians over rounds in which the contestants take turns.

    A turn lasts at least a twentieth of a second; a busy machine so slows all of them alike.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(repeats + 1):
        for name, run in contestants.items():
            start, calls = time.perf_counter(), 0
            while calls == 0 or time.perf_counter() - start < 0.05:
                run()
                calls += 1
            if turn > 0:  # the first warms up
                seconds[name].append((time.perf_counter() - start) / calls)
    return {name: samples / statistics.median(taken) for name, taken in seconds.items()}


def measure(repeats: int) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for shape in SHAPES:
        x_BCT = np.random.default_rng(0).normal(size=shape)
        for name, policy in (("shared", SHARED), ("tstcc", TSTCC)):
            contestants = {"ours": ours(x_BCT, policy), "loop": loop(x_BCT, policy)}
            if name == "shared":
                contestants["tsaug"] = peer(x_BCT)
            speed = per_second(shape[0], contestants, repeats)
            row: dict[str, object] = {"policy": name, "shape": shape}
            row |= {f"{who}_per_s": figure for who, figure in speed.items()}
            row |= {f"ratio_{who}": speed["ours"] / speed[who] for who in speed if who != "ours"}
            rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    rows = measure(repeats)
    print(f"{'policy':8}{'shape':>15}{'ours/s':>11}{'tsaug/s':>11}{'loop/s':>11}")
    for row in rows:
        figures = [row["ours_per_s"], row.get("tsaug_per_s", float("nan")), row["loop_per_s"]]
        print(f"{row['policy']:8}{row['shape']!s:>15}" + "".join(f"{f:11,.0f}" for f in figures))
    keys = ("ours_per_s", "tsaug_per_s", "loop_per_s", "ratio_tsaug", "ratio_loop")
    print(json.dumps({key: rows[0][key] for key in keys} | {"rows": rows}))


if __name__ == "__main__":
    main()
