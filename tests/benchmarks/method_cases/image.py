"""Methods on images: digits that scikit-learn ships; photographs and maps in a data folder.

Files in the data folder: `image/cifar10_subset.parquet` (32 x 32 photographs with label and split)
and `image/pasted_digits.npz` (written by pasted.py).
"""

from __future__ import annotations

from typing import Any

from method_cases.case import Case

DIGITS = {"modality": "image", "source": "sklearn:digits", "labels": "5 per class"}
PHOTOS = {
    "modality": "image",
    "source": "parquet:image/cifar10_subset.parquet",
    "labels": "100 per class",
}
PASTED = {
    "modality": "image",
    "source": "npz:image/pasted_digits.npz",
    "labels": "20 per class",
}
NET = {"convnet": {"stages": 2, "depth": 1, "width": 32, "pool": "mean_max"}}
VIT = {"vit": {"patch": 4, "depth": 3, "width": 64, "heads": 4}}
QUICK = {"convnet": {"stages": 3, "depth": 1, "width": 32, "stride": 2, "pool": "mean_max"}}
VIEWS: dict[str, Any] = {"random_resized_crop": {"scale": 0.3}, "rotate": {"degrees": 15.0}}
COLOURS: dict[str, Any] = {
    "random_resized_crop": {"scale": 0.2},
    "horizontal_flip": {},
    "colour_jitter": {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1},
    "grayscale": {},
}
FLIP: dict[str, Any] = {"horizontal_flip": {}}
SMALL_HEAD = {"prototypes": 64, "bottleneck": 64, "momentum": 0.95}
PREDICTOR = {"predictor_depth": 1, "predictor_width": 64, "momentum": 0.99}
I_JEPA = (
    "Tried on one seed each: convnet and vit, momentum 0.9 to 0.999, lr 3e-4 and 1e-3, blocks of "
    "20 % and 50 % of the tokens; all lost, convnets least."
)


def digits(method: str, knobs: dict[str, Any], encoder: dict[str, Any] = NET, **more: Any) -> Case:
    return Case(method, knobs, DIGITS, encoder, **{"seen": 12_000, "batch": 64, "lr": 1e-3, **more})


def photos(method: str, knobs: dict[str, Any], **more: Any) -> Case:
    return Case(method, knobs, PHOTOS, QUICK, **{"seen": 15_000, "batch": 64, "lr": 1e-3, **more})


def pasted(method: str, knobs: dict[str, Any], **more: Any) -> Case:
    """Of which digit is each patch? Tokens are judged, not images."""
    dense = {"probe": {"name": "dense"}, "metric": "miou"}
    return Case(
        method, knobs, PASTED, VIT, **{"seen": 20_000, "batch": 64, "lr": 1e-3, **dense, **more}
    )


CASES = [
    digits("simclr", {"temperature": 0.5}, augment=VIEWS),
    digits("moco", {"queue": 1024, "momentum": 0.99}, augment=VIEWS),
    digits("moco_v3", {"temperature": 0.2, "momentum": 0.95}, augment=VIEWS),
    digits("byol", {"momentum": 0.95}, augment=VIEWS),
    digits("simsiam", {}, augment=VIEWS),
    digits("barlow_twins", {"projector": 1.0}, augment=VIEWS),
    digits("vicreg", {"expander": 1.0}, augment=VIEWS),
    digits("dino", SMALL_HEAD, augment=VIEWS, lr=3e-3),
    digits("mae", {"decoder_depth": 0}),
    digits("simmim", {}),
    digits("ijepa", PREDICTOR, lr=3e-4, lost=True, note=I_JEPA),
    photos("simclr", {"temperature": 0.2}, augment=COLOURS),
    photos("rotnet", {}, augment=FLIP),
    photos("ijepa", PREDICTOR),
    photos("jigsaw", {"side": 2, "orders": 24, "gap": 0.0}, augment=FLIP),
    pasted("mae", {"decoder_depth": 1}),
]
