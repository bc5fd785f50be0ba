"""The layout of the Hugging Face Hub, with a model card."""

from __future__ import annotations

from pathlib import Path

from sslsearch.formats.base import Format
from sslsearch.registry import register
from sslsearch.train import bundle, hub
from sslsearch.train.trained import TrainedEncoder

LICENCE = "other"  # what the licence of the training data asks for, nobody here knows


@register("format", "huggingface")
class HuggingFace(Format):
    """Hugging Face Hub: the same in its layout, with a model card; `sslsearch.load` reads it."""

    files = (hub.CONFIG, *(name for name in hub.FILES if name != hub.CONFIG))

    def write(self, trained: TrainedEncoder, folder: Path) -> list[str]:
        bundle.fill(folder, **trained.parts())
        hub.rearrange(folder, LICENCE)
        bundle.load(folder)
        return ["push it with: hf upload OWNER/NAME FOLDER"]
