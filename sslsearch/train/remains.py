"""What a trial that came to its end leaves for the driver: its encoder, and what it sees.

encoder.safetensors   the weights, as the probe has left them
features.safetensors  `train`: of the samples that the probe is shown; `test`: of the test samples
probe.json            the fitted probe, where it was fitted together with the encoder
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import load_file

from sslsearch.data.samples import Samples
from sslsearch.encoders.base import Encoder
from sslsearch.probe.base import FittedProbe, Probe, final_probe
from sslsearch.train import checkpoint
from sslsearch.train.embed import features

ENCODER, FEATURES, PROBE = FILES = ("encoder.safetensors", "features.safetensors", "probe.json")


def leave(
    folder: Path,
    encoder: Encoder,
    probe: Probe,
    train: Samples,
    test: Samples,
    device: torch.device,
) -> None:
    """Write the files; `test` holds nothing that a sample is judged by."""
    shown = train.showing(probe.rows(train))
    encoder, fitted = probe.adapt(encoder, shown, device)
    tensors = {
        "train": features(encoder, shown, shown.labelled, device, probe).contiguous(),
        "test": features(encoder, test, torch.arange(len(test)), device, probe).contiguous(),
    }
    weights = {k: v.detach().cpu().contiguous() for k, v in encoder.state_dict().items()}
    if fitted is not None:
        folder.mkdir(parents=True, exist_ok=True)
        checkpoint.write_text(folder / PROBE, json.dumps(fitted.to_dict()))
    checkpoint.write(folder / ENCODER, weights, {})
    checkpoint.write(folder / FEATURES, tensors, {})


def fitted_probe(path: Path, probe: Probe, train: Samples) -> FittedProbe:
    """The probe that the field reports, of the features in the file `path`."""
    known = path.with_name(PROBE)
    if known.exists():
        return FittedProbe.from_dict(json.loads(known.read_text()))
    shown = train.showing(probe.rows(train))
    truth = probe.truth(shown, shown.labelled, shown)
    return final_probe(probe, load_file(path)["train"], truth, shown.judging)
