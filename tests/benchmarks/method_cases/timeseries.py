"""Methods on time series that aeon ships."""

from __future__ import annotations

from typing import Any

from method_cases.case import Case

CROP = {"crop_resize": {"keep": 0.6}, "jitter": {"sigma": 0.1}}
SHIFT = {"frequency_mask": {"ratio": 0.5}, "time_shift": {"ratio": 0.5}}
WARP = {"time_warp": {"sigma": 0.2}}
NOISE = {"jitter": {"sigma": 0.05}}
WIDE = {"conv1d": {"depth": 3, "width": 128, "stride": 8, "pool": "mean_max"}}
FINE = {"conv1d": {"depth": 3, "width": 64, "stride": 1, "pool": "mean_max"}}
STEPS = {"conv1d": {"depth": 3, "width": 64, "stride": 4, "pool": "mean_max"}}
QUEUE = {"queue": 128, "momentum": 0.9}
KEYS = {"temperature": 0.2, "momentum": 0.9}
SMALL_HEAD = {"prototypes": 64, "bottleneck": 64, "momentum": 0.9}
PREDICTOR = {"predictor_depth": 1, "predictor_width": 64, "momentum": 0.95}
TCC = {"scale": 0.3, "segments": 5, "jitter": 0.2, "ahead": 3, "depth": 1, "hidden": 64}
SPAN = {"span": {"ratio": 0.5, "length": 3}}


def series(name: str, labels: int) -> dict[str, Any]:
    return {"modality": "timeseries", "source": f"aeon:{name}", "labels": f"{labels} per class"}


LEAF, POWER = series("OSULeaf", 10), series("ItalyPowerDemand", 5)
MOTIONS, GUN = series("BasicMotions", 2), series("GunPoint", 5)

CCA_POWER = (
    "with the authors' decorrelation of 0.001 it loses 22.8 points: that views agree outweighs "
    "that features differ"
)
TCC_GUN = (
    "views milder than the authors' and fewer tokens ahead, as where it wins; one seed gains 11"
)
CASES = [
    Case("simclr", {"temperature": 0.2}, LEAF, WIDE, SHIFT, 3600),
    Case("ts2vec", {}, LEAF, WIDE, WARP, 3600),
    Case("simclr", {"temperature": 0.2}, MOTIONS, STEPS, CROP),
    Case("ts2vec", {}, MOTIONS, STEPS),
    Case("ts_tcc", TCC, MOTIONS, STEPS),
    Case("ts_tcc", TCC, GUN, STEPS, lost=True, note=TCC_GUN),
    Case("cca_ssg", {}, MOTIONS, STEPS, CROP),
    Case("cca_ssg", {"decorrelation": 0.02}, POWER, FINE, CROP, note=CCA_POWER),
    Case("byol", {}, POWER, FINE, CROP),
    Case("vicreg", {"expander": 1.0}, POWER, FINE, CROP),
    Case("mae", {"masking": SPAN}, MOTIONS, STEPS),
    Case("cpc", {}, MOTIONS, STEPS, NOISE),
    Case("moco", QUEUE, MOTIONS, STEPS, CROP),
    Case("moco_v3", KEYS, MOTIONS, STEPS, CROP),
    Case("simsiam", {}, MOTIONS, STEPS, CROP),
    Case("dino", SMALL_HEAD, MOTIONS, STEPS, CROP),
    Case("tnc", {"windows": 3, "near": 0.25}, POWER, FINE, lost=True),
    Case("tnc", {"windows": 3, "near": 0.3}, MOTIONS, STEPS, NOISE, lost=True),
    Case("tnc", {"windows": 3, "near": 0.1, "debias": 0.3}, GUN, STEPS, {}, 1600),
    Case("barlow_twins", {"projector": 1.0}, POWER, FINE, CROP),
    Case("ijepa", PREDICTOR, MOTIONS, STEPS),
    Case("simmim", {}, MOTIONS, STEPS),
    Case("autoregressive", {}, MOTIONS, STEPS),
    Case("transform_prediction", {}, MOTIONS, STEPS),
]
