"""Parts of a kind of data that exists only here, to test what no two real parts do wrong."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from sslsearch import registry
from sslsearch.registry import MaskingSlot, Ratio, Unit, register


@pytest.fixture
def toy_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A modality `toy_grid` with encoders, a pretext and augmentations of its own."""
    registry.discover()
    monkeypatch.setattr(registry, "_parts", dict(registry._parts))

    @register("modality", "toy_grid", gives={"cells"})
    class Grid:
        default_encoder = "toy_plain"
        floors = ("majority",)

    @register("encoder", modality="toy_grid")
    def toy_plain(spec: Any) -> None: ...

    @register("encoder", modality="toy_grid", gives={"tokens"})
    def toy_tokens(spec: Any, *, sizes: list[Annotated[int, Field(ge=1)]] = [8]) -> None: ...  # noqa: B006

    @register("encoder", modality="toy_grid", needs={"edges"})
    def toy_edges(spec: Any) -> None: ...

    @register("pretext", modality="toy_grid", needs={"tokens"})
    def toy_restore(
        encoder: Any,
        *,
        width: int,
        masking: MaskingSlot | None = None,
        mode: Literal["on", "off"] = "on",
    ) -> None: ...

    @register("masking", modality="toy_grid", needs={"tokens"})
    def toy_block(
        valid: Any, rng: Any, *, ratio: Annotated[Ratio, Unit("cells")] = 0.4
    ) -> None: ...

    @register("augment", modality="toy_grid", needs={"edges"})
    def toy_turn(x: Any, rng: Any) -> None: ...
