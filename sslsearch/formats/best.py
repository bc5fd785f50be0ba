"""best/ as it is: what sslsearch itself loads, and the layout of the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path

from sslsearch.formats.base import Format
from sslsearch.registry import register
from sslsearch.train import bundle, hub
from sslsearch.train.trained import TrainedEncoder


@register("format", "best")
class Best(Format):
    """sslsearch's own: recipe, weights, fitted probe and preprocessing."""

    files = (bundle.PROBE, bundle.RECIPE, bundle.WEIGHTS, bundle.CARD)

    def write(self, trained: TrainedEncoder, folder: Path) -> list[str]:
        bundle.fill(folder, **trained.parts())
        bundle.load(folder)
        return []


@register("format", "huggingface")
class HuggingFace(Format):
    """Hugging Face Hub: the same in its layout, with a model card; `sslsearch.load` reads it."""

    files = (hub.CONFIG, *(name for name in hub.FILES if name != hub.CONFIG))

    def write(self, trained: TrainedEncoder, folder: Path) -> list[str]:
        Best().write(trained, folder)
        hub.rearrange(folder, licence="other")
        bundle.load(folder)
        return [f"push it with: hf upload OWNER/NAME {folder}"]
