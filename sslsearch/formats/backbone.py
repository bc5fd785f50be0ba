"""What formats of plain backbones share: weights under the names that a library gives them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save

from sslsearch.encoders.image import ImageEncoder
from sslsearch.formats.base import CARD, about, readme
from sslsearch.train.trained import TrainedEncoder

WEIGHTS = "model.safetensors"
USE = """
import torch
from torch.nn import functional as F
{imports}
from safetensors.torch import load_file

{network}
net.load_state_dict(load_file("model.safetensors"), strict=True)
net.eval()

rng = np.random.default_rng(0)
images = {images}  # uint8
x = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
mean, std = {mean}, {std}  # of the training pixels
x = (x - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
{padding}with torch.no_grad():
    maps = {maps}
features = {pooled}
"""
POOLED = {
    "mean": "maps.mean((2, 3))",
    "max": "maps.amax((2, 3))",
    "mean_max": "torch.cat([maps.mean((2, 3)), maps.amax((2, 3))], 1)",
}


def hand_over(
    trained: TrainedEncoder,
    folder: Path,
    weights: Mapping[str, torch.Tensor],
    *,
    what: str,
    imports: str,
    network: str,
    maps: str,
) -> None:
    """Weights, and a README whose lines make the encoder's features of raw images."""
    encoder = trained.encoder
    assert isinstance(encoder, ImageEncoder)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    (folder / WEIGHTS).write_bytes(save(tensors, metadata=about(trained)))
    port = trained.modality.raw_input(trained.preprocess).ports["images"]
    use = USE.format(
        imports=imports,
        network=network,
        images=port.example,
        mean=encoder.mean_C11.flatten().tolist(),
        std=encoder.std_C11.flatten().tolist(),
        padding=_padding(encoder, trained),
        maps=maps,
        pooled=POOLED[str(getattr(encoder, "pool", "mean"))],
    )
    limits = (
        f"Images are {port.form}. The weights' names are the library's own, nothing is left out or "
        "left over; the probe is not in them (the formats best, huggingface and onnx have it)."
    )
    text = readme(trained, what, "import numpy as np\n" + use.lstrip(), limits)
    (folder / CARD).write_text(text, encoding="utf-8")


def _padding(encoder: ImageEncoder, trained: TrainedEncoder) -> str:
    sizes = (trained.spec.sizes[side] for side in ("height", "width"))
    below, right = (-size % encoder.patch for size in sizes)
    return f"x = F.pad(x, (0, {right}, 0, {below}))  # whole patches\n" if below or right else ""
