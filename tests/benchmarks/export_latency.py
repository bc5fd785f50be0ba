"""How long an exported encoder takes beside the encoder itself, on those of the shipped spaces.

    python tests/benchmarks/export_latency.py [--runs 60] [--threads 1]

From raw samples in memory to class probabilities, in milliseconds, median of the runs, after as
many that do not count; random weights, as time does not depend on them. `sslsearch` is what
`sslsearch.load(…)` does of an Arrow table, `torch` the exported program, `onnx` ONNX Runtime.
The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
from small_encoders import small_encoder

from sslsearch.formats.onnx import MODEL, Onnx
from sslsearch.formats.whole import Whole
from sslsearch.train.trained import TrainedEncoder

BATCHES = (1, 64)
CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {  # of search_spaces/
    "timeseries": (
        "conv1d",
        {"depth": 3, "width": 128, "kernel": 3, "stride": 8, "pool": "mean_max"},
        {"source": "aeon:OSULeaf"},
    ),
    "image": (
        "convnet",
        {"stages": 2, "depth": 1, "width": 32, "pool": "mean_max"},
        {"source": "sklearn:digits"},
    ),
    "image_colour": (
        "convnet",
        {"stages": 3, "depth": 1, "width": 32, "stride": 2, "pool": "mean_max"},
        {"source": "synthetic:200", "size": 32},
    ),
    "tabular, table_resnet": (
        "table_resnet",
        {"depth": 2, "width": 128},
        {"source": "sklearn:breast_cancer"},
    ),
    "tabular, table_mlp": (
        "table_mlp",
        {"depth": 3, "width": 128},
        {"source": "sklearn:breast_cancer"},
    ),
    "tabular, ft_transformer": (
        "ft_transformer",
        {"depth": 1, "width": 32, "heads": 4, "pool": "mean"},
        {"source": "sklearn:breast_cancer"},
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=60)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    found = {}
    print(
        f"{'space':<26}{'batch':>6}{'sslsearch':>11}{'torch':>8}{'onnx':>8}{'ratio':>8}{'differs':>10}"
    )
    for name, case in CASES.items():
        found[name] = measured(small_encoder(*case), args.runs, args.threads)
        for batch, ms in found[name]["ms"].items():
            print(
                f"{name:<26}{batch:>6}{ms['sslsearch']:>11.2f}{ms['torch']:>8.2f}{ms['onnx']:>8.2f}"
                f"{ms['sslsearch'] / ms['onnx']:>7.1f}x{found[name]['difference']:>10.0e}"
            )
    print(json.dumps({"runs": args.runs, "threads": args.threads, "spaces": found}))


def measured(trained: TrainedEncoder, runs: int, threads: int) -> dict[str, Any]:
    import onnxruntime

    whole = Whole(trained).eval()
    tensors, axes = whole.traced()
    program = torch.export.export(whole, tensors, dynamic_shapes=axes, strict=False).module()
    with tempfile.TemporaryDirectory() as place:
        said = Onnx().write(trained, Path(place))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(Path(place) / MODEL, options)
    difference = float(said[0].partition("at most ")[2].partition(",")[0])
    ms: dict[int, dict[str, float]] = {}
    for batch in BATCHES:
        raw = whole.raw.made_up(batch, np.random.default_rng(0))
        arrays = whole.raw.arrays(raw)
        feed = dict(zip(whole.ports, arrays, strict=True))
        given = [torch.from_numpy(array.copy()) for array in arrays]
        ways: dict[str, Callable[[], Any]] = {
            "sslsearch": lambda raw=raw: trained.predict_proba(raw),
            "torch": lambda given=given: program(*given),
            "onnx": lambda feed=feed: session.run(None, feed),
        }
        with torch.no_grad():
            ms[batch] = {name: median_ms(way, runs) for name, way in ways.items()}
    return {"difference": difference, "ms": ms}


def median_ms(way: Callable[[], Any], runs: int) -> float:
    taken = []
    for _ in range(2 * runs):
        started = time.perf_counter()
        way()
        taken.append(1e3 * (time.perf_counter() - started))
    return statistics.median(taken[runs:])


if __name__ == "__main__":
    main()
