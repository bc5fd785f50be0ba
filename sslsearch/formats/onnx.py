"""ONNX: preprocessing, encoder and linear probe as one file for ONNX Runtime and the like."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sslsearch.formats.base import CARD, Format, about, readme
from sslsearch.formats.whole import Outputs, Whole, compare
from sslsearch.registry import register
from sslsearch.train.trained import TrainedEncoder

MODEL = "model.onnx"
USE = """
import numpy as np
import onnxruntime

rng = np.random.default_rng(0)
session = onnxruntime.InferenceSession("model.onnx")
{arrays}
{outputs} = session.run(None, {feed})
"""


@register("format", "onnx")
class Onnx(Format):
    """ONNX: raw arrays in, features and class probabilities out, checked with ONNX Runtime."""

    files = (MODEL, CARD)
    libraries = ("onnx", "onnxscript", "onnxruntime")
    extra = "onnx"

    def write(self, trained: TrainedEncoder, folder: Path) -> list[str]:
        whole = Whole(trained).eval()
        program = _program(whole, trained.recipe.part("encoder")[0])
        program.model.metadata_props.update(about(trained))
        program.save(folder / MODEL)
        said = compare(trained, whole, _session(folder / MODEL))
        (folder / CARD).write_text(_readme(trained, whole), encoding="utf-8")
        return [f"{MODEL}: {said}"]


def _program(whole: Whole, encoder: str) -> Any:
    tensors, axes = whole.traced()
    try:
        with _hushed():
            return torch.onnx.export(
                whole,
                tensors,
                input_names=list(whole.ports),
                output_names=whole.outputs,
                dynamic_shapes=axes,
                dynamo=True,
                verbose=False,
            )
    except (torch.onnx.errors.OnnxExporterError, RuntimeError) as error:
        first = str(error).strip().splitlines()[0]
        raise ValueError(
            f"encoder {encoder} cannot be exported to ONNX: {first}; what can be had is best, "
            "huggingface and perhaps torch_export"
        ) from error


def _session(path: Path) -> Any:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]

    def run(arrays: tuple[np.ndarray, ...]) -> Outputs:
        found: Outputs = session.run(None, dict(zip(names, arrays, strict=True)))
        return found

    return run


@contextmanager
def _hushed() -> Iterator[None]:
    """Without what the exporter has to say of itself and of libraries that are not here."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)


def _readme(trained: TrainedEncoder, whole: Whole) -> str:
    ports = whole.ports
    arrays = [f"{name} = {port.example}  # raw samples" for name, port in ports.items()]
    feed = ", ".join(f'"{name}": {name}' for name in ports)
    outputs = ", ".join(whole.outputs) + ("," if len(whole.outputs) == 1 else "")
    use = USE.format(arrays="\n".join(arrays), outputs=outputs, feed=f"{{{feed}}}")
    return readme(trained, "ONNX", use, forms(trained, whole))


def forms(trained: TrainedEncoder, whole: Whole) -> str:
    """Inputs and outputs in words."""
    lines = [f"- `{name}`: {port.form}" for name, port in whole.ports.items()]
    lines.append(f"- `features`: float32 (batch, {trained.width})")
    if whole.head is not None:
        names = ", ".join(trained.classes)
        lines.append(f"- `probabilities`: float32 (batch, {len(trained.classes)}): {names}")
    lines.append("")
    lines.append(
        "Samples go in raw: they are preprocessed in the graph as the training data were. The "
        "file's metadata (`sslsearch.recipe`, `sslsearch.preprocess` …) says how."
    )
    return "\n".join(lines)
