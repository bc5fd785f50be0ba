"""Semi-synthetic images with maps of classes: real digits pasted on made-up backgrounds.

    python tests/benchmarks/pasted.py pasted_digits.npz [--train 2000] [--test 500] [--side 32]

Digits are scikit-learn's, twice as large, one or two to a canvas; a pixel is of the class digit + 1
where it is inked, else of the background, 0. Test canvases show digits that no training canvas
shows. For trying the probe `dense`: sslsearch ships no images with maps of classes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter, zoom
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

INKED = 0.3  # of the darkest ink
MOST = 2  # digits on a canvas


def canvas(
    digits_NHW: np.ndarray, label_N: np.ndarray, side: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """(x, mask), each side x side uint8."""
    cloud = gaussian_filter(rng.standard_normal((side, side)), rng.uniform(1, 4), mode="wrap")
    x = 0.35 + 0.15 * cloud / cloud.std() + 0.05 * rng.standard_normal((side, side))
    mask = np.zeros((side, side), np.uint8)
    for place in rng.integers(0, len(digits_NHW), rng.integers(1, MOST + 1)):
        ink = zoom(digits_NHW[place] / 16.0, 2, order=1)
        top, left = rng.integers(0, side - np.array(ink.shape) + 1)
        box = slice(top, top + ink.shape[0]), slice(left, left + ink.shape[1])
        x[box] = np.where(ink > INKED, ink, x[box])
        mask[box] = np.where(ink > INKED, label_N[place] + 1, mask[box])
    return (255 * x.clip(0, 1)).round().astype(np.uint8), mask


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--train", type=int, default=2000)
    parser.add_argument("--test", type=int, default=500)
    parser.add_argument("--side", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    rng = np.random.default_rng(asked.seed)
    digits = load_digits()
    split = train_test_split(
        digits.images, digits.target, test_size=0.3, stratify=digits.target, random_state=0
    )
    arrays = {}
    for name, count, images, labels in (
        ("train", asked.train, split[0], split[2]),
        ("test", asked.test, split[1], split[3]),
    ):
        made = [canvas(images, labels, asked.side, rng) for _ in range(count)]
        arrays[f"X_{name}"], arrays[f"mask_{name}"] = map(np.stack, zip(*made, strict=True))
    np.savez_compressed(asked.file, **arrays)
    shares = {
        k: v.mean() for k, v in enumerate(arrays["mask_train"].ravel() == k for k in range(11))
    }
    print({k: round(float(share), 3) for k, share in shares.items()})


if __name__ == "__main__":
    main()
