"""torchvision: the weights of a `resnet` encoder under torchvision's own names."""

from __future__ import annotations

from pathlib import Path

from sslsearch.encoders.resnet import ImageResNet, PixelBatchNorm
from sslsearch.formats.backbone import WEIGHTS, hand_over
from sslsearch.formats.base import CARD, Format
from sslsearch.registry import register
from sslsearch.train.trained import TrainedEncoder

NAMES = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")
MAPS = "torch.nn.Sequential(*list(net.children())[:-2])(x)"  # without pooling and head


@register("format", "torchvision")
class Torchvision(Format):
    """torchvision: the weights of a `resnet` for torchvision.models, to fine-tune further."""

    files = (WEIGHTS, CARD)

    def write(self, trained: TrainedEncoder, folder: Path) -> list[str]:
        encoder, name = trained.encoder, trained.recipe.part("encoder")[0]
        if not isinstance(encoder, ImageResNet):
            raise ValueError(
                f"encoder {name} is no network of torchvision's, only resnet is; what can be had "
                "is best, huggingface, onnx and torch_export"
            )
        weights = {}
        for key, tensor in encoder.layers.state_dict().items():
            place, _, rest = key.partition(".")
            weights[f"{NAMES[int(place)]}.{rest}"] = tensor
        imports = "import torchvision\nfrom functools import partial"
        hand_over(
            trained,
            folder,
            weights,
            what="a torchvision ResNet",
            imports=imports,
            network=_network(encoder, trained),
            maps=MAPS,
        )
        return [f"{WEIGHTS}: {len(weights)} tensors, as torchvision.models.resnet names them"]


def _network(encoder: ImageResNet, trained: TrainedEncoder) -> str:
    depth, colours = trained.recipe.part("encoder")[1].get("depth", 18), encoder.colours
    batch = any(isinstance(module, PixelBatchNorm) for module in encoder.modules())
    norm = "" if batch else "norm_layer=partial(torch.nn.GroupNorm, 32)"
    lines = [f"net = torchvision.models.resnet{depth}({norm})"]
    if encoder.patch == 8:
        lines += [
            f"net.conv1 = torch.nn.Conv2d({colours}, 64, 3, 1, 1, bias=False)  # small images",
            "net.maxpool = torch.nn.Identity()",
        ]
    elif colours != 3:
        lines.append(f"net.conv1 = torch.nn.Conv2d({colours}, 64, 7, 2, 3, bias=False)")
    return "\n".join([*lines, "net.fc = torch.nn.Identity()"])
