"""How many images per second are augmented: ours, torchvision sample by sample, kornia.

    python tests/benchmarks/image_augment.py [--repeats 7] [--side 32] [--batch 256]

One thread. The policy is SimCLR's for CIFAR-10 with blur: random resized crop, flip, colour jitter
(with hue) at 0.8, grayscale at 0.2, blur at 0.5; every one draws its parameters for each image.
torchvision gets PIL images, its customary input, and ends in a tensor; ours and kornia get uint8
tensors, and dividing by 255 counts. Contestants take turns, so that a busy machine slows all of
them alike. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

import kornia.augmentation as K
import torch
from PIL import Image
from torchvision import transforms as T

from sslsearch.augment.compose import Compose
from sslsearch.values import Batch

JITTER = {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1}
POLICY = {
    "random_resized_crop": {"scale": 0.08},
    "horizontal_flip": {"p": 0.5},
    "colour_jitter": {**JITTER, "p": 0.8},
    "grayscale": {"p": 0.2},
    "gaussian_blur": {"sigma": 2.0, "p": 0.5},
}


def ours(x_BCHW: torch.Tensor) -> Callable[[], object]:
    compose, rng = Compose(POLICY), torch.Generator().manual_seed(0)
    valid, index = torch.ones(len(x_BCHW), 1, dtype=torch.bool), torch.arange(len(x_BCHW))
    return lambda: compose(Batch(x_BCHW.float().div_(255.0), valid, index), rng)


def kornia(x_BCHW: torch.Tensor) -> Callable[[], object]:
    side = x_BCHW.shape[-1]
    width = _kernel(side)
    chain = K.AugmentationSequential(
        K.RandomResizedCrop((side, side), scale=(0.08, 1.0)),
        K.RandomHorizontalFlip(p=0.5),
        K.ColorJitter(*JITTER.values(), p=0.8),
        K.RandomGrayscale(p=0.2),
        K.RandomGaussianBlur((width, width), (0.1, 2.0), p=0.5),
    )
    return lambda: chain(x_BCHW.float().div_(255.0))


def torchvision(x_BCHW: torch.Tensor) -> Callable[[], object]:
    side = x_BCHW.shape[-1]
    images = [Image.fromarray(x.permute(1, 2, 0).numpy()) for x in x_BCHW]
    chain = T.Compose(
        [
            T.RandomResizedCrop(side),
            T.RandomHorizontalFlip(),
            T.RandomApply([T.ColorJitter(*JITTER.values())], p=0.8),
            T.RandomGrayscale(p=0.2),
            T.RandomApply([T.GaussianBlur(_kernel(side), (0.1, 2.0))], p=0.5),
            T.ToTensor(),
        ]
    )
    return lambda: torch.stack([chain(image) for image in images])


def _kernel(side: int) -> int:
    """As ours: a tenth of the side, odd."""
    return 2 * max(1, int(0.1 * side / 2)) + 1


def per_second(
    samples: int, contestants: dict[str, Callable[[], object]], repeats: int
) -> dict[str, float]:
    """Images per second: medians over rounds in which the contestants take turns."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(repeats + 1):
        for name, run in contestants.items():
            start, calls = time.perf_counter(), 0
            while calls == 0 or time.perf_counter() - start < 0.1:
                run()
                calls += 1
            if turn > 0:  # the first warms up
                seconds[name].append((time.perf_counter() - start) / calls)
    return {name: samples / statistics.median(taken) for name, taken in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("--repeats", 7), ("--side", 32), ("--batch", 256)):
        parser.add_argument(name, type=int, default=default)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    coarse = torch.rand(asked.batch, 3, 8, 8)  # smooth, as photographs are
    smooth = torch.nn.functional.interpolate(coarse, size=asked.side, mode="bicubic").clamp(0, 1)
    x_BCHW = (smooth * 255).round().to(torch.uint8)
    made = {"ours": ours(x_BCHW), "torchvision": torchvision(x_BCHW), "kornia": kornia(x_BCHW)}
    speed = per_second(asked.batch, made, asked.repeats)
    for name, figure in speed.items():
        print(f"{name:12}{figure:10,.0f} images/s{speed['ours'] / figure:8.1f} x")
    figures = {f"{name}_per_s": figure for name, figure in speed.items()}
    ratios = {f"ratio_{n}": speed["ours"] / f for n, f in speed.items() if n != "ours"}
    print(json.dumps(figures | ratios | {"side": asked.side, "batch": asked.batch}))


if __name__ == "__main__":
    main()
