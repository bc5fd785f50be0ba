"""Every encoder in every format: as the table of docs/export.md says, and as its README does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from readme_lines import ran
from small_encoders import small_encoder

from sslsearch import registry
from sslsearch.formats.base import CARD, Format
from sslsearch.formats.whole import Whole

DOCS = Path(__file__).parents[2] / "docs" / "export.md"
GRAPHS = ("onnx", "torch_export")
BACKBONES = ("timm", "torchvision")
QUICK = {("conv1d", "onnx"), ("ft_transformer", "torch_export"), ("gcn", "onnx"), ("vit", "timm")}
SLOW = pytest.mark.slow


def table() -> dict[str, dict[str, str]]:
    """encoder -> format -> `yes` or `no`, as the page says."""
    text = DOCS.read_text(encoding="utf-8")
    start = text.index("| encoder |")
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text[start:].split("\n\n")[0].splitlines()
    ]
    head = [re.sub(r"\W", "", cell) for cell in rows[0]]
    return {
        name: dict(zip(head[1:], row[1:], strict=True))
        for row in rows[2:]
        for name in re.findall(r"`(\w+)`", row[0])
    }


def cases() -> list[Any]:
    return [
        pytest.param(encoder, name, marks=() if (encoder, name) in QUICK else SLOW)
        for encoder in registry.parts("encoder")
        for name in (*GRAPHS, *BACKBONES)
    ]


def test_the_page_names_every_encoder_and_format() -> None:
    told = table()
    assert set(told) == set(registry.parts("encoder"))
    for row in told.values():
        assert set(row) == set(registry.parts("format"))
    text = DOCS.read_text(encoding="utf-8")
    for name in registry.parts("format"):
        assert f"`{name}`" in text


@pytest.mark.parametrize(("encoder", "name"), cases())
def test_it_can_be_had_as_the_page_says(
    encoder: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSLSEARCH_OWN_CODE", "encoders_of_ours")
    trained = small_encoder(encoder)
    made: Format = registry.get("format", name).make()
    if table()[encoder][name] != "yes":
        with pytest.raises(ValueError, match=rf"encoder {encoder} .*what can be had is"):
            made.write(trained, tmp_path)
        return
    said = made.write(trained, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(made.files)
    if name in GRAPHS:
        assert "differs from the encoder by at most" in said[0]
    monkeypatch.chdir(tmp_path)
    left = ran(tmp_path / CARD)
    whole = Whole(trained).eval()
    raw = [torch.as_tensor(left[port]) for port in whole.ports]
    with torch.no_grad():
        wanted = dict(zip(whole.outputs, whole(*raw), strict=True))
    for output in whole.outputs if name in GRAPHS else ["features"]:
        found = torch.as_tensor(left[output]).detach().numpy()
        np.testing.assert_allclose(found, wanted[output].numpy(), atol=1e-4)
