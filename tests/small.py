"""Parts made small: knobs that only save time."""

from typing import Any

PRETEXTS: dict[str, dict[str, Any]] = {
    "barlow_twins": {"projector": 0.5},
    "cpc": {"context": 16},
    "dino": {"prototypes": 32, "bottleneck": 16},
    "ijepa": {"predictor_depth": 1, "predictor_width": 32},
    "jigsaw": {"side": 2, "orders": 6},
    "moco": {"queue": 64},
    "ts_tcc": {"ahead": 3, "depth": 1, "hidden": 16},
}
ENCODERS: dict[str, dict[str, Any]] = {
    "conv1d": {"depth": 3, "width": 16, "stride": 2},
    "resnet1d": {"depth": 1, "width": 16, "stride": 2},
    "transformer": {"patch": 4, "depth": 1, "width": 16, "heads": 2},
    "convnet": {"stages": 2, "depth": 1, "width": 16},
    "vit": {"patch": 4, "depth": 1, "width": 16, "heads": 2},
    "vit_mask_token": {"patch": 4, "depth": 1, "width": 16, "heads": 2},
}
