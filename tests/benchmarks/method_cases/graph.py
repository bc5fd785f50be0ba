"""Methods on the nodes of Cora (public split) and on the graphs of MUTAG."""

from __future__ import annotations

from typing import Any

from method_cases.case import Case

CORA = {"modality": "graph", "source": "npz:cora_planetoid.npz", "labels": "all"}
MUTAG = {"modality": "graph", "source": "txt:MUTAG.txt", "labels": "10 per class"}
NODES = 2708
GCN = {"gcn": {"depth": 2, "width": 128}}
NARROW = {"gcn": {"depth": 2, "width": 32}}
DEEP = {"gcn": {"depth": 1, "width": 128, "act": "prelu", "act_last": True}}
GIN = {"gin": {"depth": 3, "width": 32}}
VIEWS = {"edge_drop": {"ratio": 0.4}, "feature_mask": {"ratio": 0.2}}
SMALL_HEAD = {"prototypes": 64, "bottleneck": 64, "momentum": 0.9}
ONE_SETTING = "one setting was tried: 64 prototypes, momentum 0.9, 40 epochs"
SPARSE = "99 % of the numbers to restore are zeros; graphmae's cosine error gains on the same"
HALF = {"masking": {"random": {"ratio": 0.5}}}


def nodes(
    method: str,
    knobs: dict[str, Any],
    augment: dict[str, Any],
    epochs: int,
    lr: float = 5e-3,
    encoder: dict[str, Any] | None = None,
    **more: Any,
) -> Case:
    """Full-batch training with `lr` itself: Case scales it by the root of the batch over 32."""
    batch = 4096
    scaled = lr / (batch / 32) ** 0.5
    data = CORA | more.pop("data", {})
    return Case(
        method,
        knobs,
        data,
        encoder or GCN,
        augment,
        epochs * NODES,
        scaled,
        batch,
        weight_decay=1e-5,
        **more,
    )


CASES = [
    nodes("simclr", {"temperature": 0.4}, VIEWS, 40),
    nodes("moco", {"queue": 2708, "temperature": 0.4, "momentum": 0.9}, VIEWS, 40),
    nodes("moco_v3", {"temperature": 0.4, "momentum": 0.9}, VIEWS, 40),
    nodes("byol", {"momentum": 0.9, "projection": 64, "hidden": 1.0}, VIEWS, 60),
    nodes("simsiam", {}, VIEWS, 60),
    nodes("barlow_twins", {"projector": 1.0}, VIEWS, 40),
    nodes("vicreg", {"expander": 1.0}, VIEWS, 40),
    nodes("cca_ssg", {}, VIEWS, 40),
    nodes("dino", SMALL_HEAD, VIEWS, 40, lost=True, note=ONE_SETTING),
    nodes("dgi", {}, {}, 80, encoder=DEEP),
    nodes("gae", {}, {}, 60, 1e-2, NARROW, data={"normalise": "none"}),
    nodes("vgae", {}, {}, 100, 1e-2, NARROW, data={"normalise": "none"}),
    nodes("graphmae", HALF, {}, 40),
    nodes("mae", {**HALF, "decoder_depth": 0}, {}, 40, lost=True, note=SPARSE),
    nodes("ijepa", {"predictor_depth": 1, "predictor_width": 64, "momentum": 0.95}, {}, 20),
    nodes("link_prediction", {}, {}, 60),
    nodes("attribute_prediction", {}, {}, 40),
    nodes("masked_words", {}, {}, 40),
    Case("infograph", {}, MUTAG, GIN, {}, 6000, 1e-3, 64, redraw=True),
]
