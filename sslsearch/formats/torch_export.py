"""torch.export: the whole encoder as a program (.pt2) that needs torch alone, no Python of ours.

torch.export.load reads parts of such a file with pickle, and sslsearch unpickles nothing that
comes from disk: what is compared with the encoder is the program in memory, as it is written.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from sslsearch.formats.base import CARD, Format, about, readme
from sslsearch.formats.onnx import forms
from sslsearch.formats.whole import Outputs, Whole, compare
from sslsearch.registry import register
from sslsearch.train.trained import TrainedEncoder

MODEL = "model.pt2"
USE = """
import numpy as np
import torch

rng = np.random.default_rng(0)
encode = torch.export.load("model.pt2").module()  # unpickles: load none but your own
{arrays}
{outputs} = encode({arguments})
"""


@register("format", "torch_export")
class TorchExport(Format):
    """torch.export: the same graph as a .pt2 file for torch, AOTInductor and ExecuTorch."""

    files = (MODEL, CARD)

    def write(self, trained: TrainedEncoder, folder: Path) -> list[str]:
        whole = Whole(trained).eval()
        program = _program(whole, trained.recipe.part("encoder")[0])
        module = program.module()

        def run(arrays: tuple[np.ndarray, ...]) -> Outputs:
            with torch.no_grad():
                found = module(*(torch.from_numpy(array.copy()) for array in arrays))
            return [tensor.numpy() for tensor in found]

        said = compare(trained, whole, run)
        extra = {name.replace("sslsearch.", ""): text for name, text in about(trained).items()}
        torch.export.save(program, folder / MODEL, extra_files=extra)
        (folder / CARD).write_text(_readme(trained, whole), encoding="utf-8")
        return [f"{MODEL}: {said}"]


def _program(whole: Whole, encoder: str) -> torch.export.ExportedProgram:
    tensors, axes = whole.traced()
    try:
        with torch.no_grad():
            return torch.export.export(whole, tensors, dynamic_shapes=axes, strict=False)
    except (RuntimeError, torch._dynamo.exc.TorchDynamoException) as error:
        first = str(error).strip().splitlines()[0]
        raise ValueError(
            f"encoder {encoder} cannot be traced by torch.export: {first}; what can be had is "
            "best and huggingface"
        ) from error


def _readme(trained: TrainedEncoder, whole: Whole) -> str:
    arrays = [
        f"{name} = torch.from_numpy({port.example})  # raw samples"
        for name, port in whole.ports.items()
    ]
    outputs = ", ".join(whole.outputs) + ("," if len(whole.outputs) == 1 else "")
    use = USE.format(arrays="\n".join(arrays), outputs=outputs, arguments=", ".join(whole.ports))
    return readme(trained, "torch.export", use, forms(trained, whole))
