"""best/ as it is: what sslsearch itself loads."""

from __future__ import annotations

from pathlib import Path

from sslsearch.formats.base import Format
from sslsearch.registry import register
from sslsearch.train import bundle
from sslsearch.train.trained import TrainedEncoder


@register("format", "best")
class Best(Format):
    """sslsearch's own: recipe, weights, fitted probe and preprocessing."""

    files = (bundle.PROBE, bundle.RECIPE, bundle.WEIGHTS, bundle.CARD)

    def write(self, trained: TrainedEncoder, folder: Path) -> list[str]:
        bundle.fill(folder, **trained.parts())
        bundle.load(folder)
        return []
