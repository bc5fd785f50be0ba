"""timm: the weights of a `timm` encoder as timm.create_model takes them."""

from __future__ import annotations

from pathlib import Path

from sslsearch.encoders.timm_model import Timm
from sslsearch.formats.backbone import WEIGHTS, hand_over
from sslsearch.formats.base import CARD, Format
from sslsearch.registry import register
from sslsearch.train.trained import TrainedEncoder


@register("format", "timm")
class TimmFormat(Format):
    """timm: the weights of a `timm` encoder for timm.create_model, to fine-tune further."""

    files = (WEIGHTS, CARD)
    libraries = ("timm",)
    extra = "timm"

    def write(self, trained: TrainedEncoder, folder: Path) -> list[str]:
        encoder, name = trained.encoder, trained.recipe.part("encoder")[0]
        if not isinstance(encoder, Timm):
            raise ValueError(
                f"encoder {name} is no model of timm's, only timm is; what can be had is best, "
                "huggingface, onnx and torch_export"
            )
        weights = encoder.made.state_dict()
        asked = ", ".join(f"{key}={value!r}" for key, value in encoder.asked.items())
        hand_over(
            trained,
            folder,
            weights,
            what=f"timm's {encoder.model}",
            imports="import timm",
            network=f"net = timm.create_model({encoder.model!r}, {asked})",
            maps="net(x)[-1]",
        )
        return [f"{WEIGHTS}: {len(weights)} tensors, as timm names those of {encoder.model}"]
