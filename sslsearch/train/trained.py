"""A trained encoder at work: raw samples in, embeddings and class probabilities out.

Shapes: N = samples, D = pooled width, K = classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from sslsearch import registry
from sslsearch.data.rows import read
from sslsearch.data.samples import Samples
from sslsearch.data.store import table_of
from sslsearch.encoders.base import Encoder
from sslsearch.modalities.base import Modality
from sslsearch.probe.base import FittedClassifier, FittedProbe
from sslsearch.train.embed import CHUNK, features
from sslsearch.values import InputSpec, Recipe

FloatArray = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class TrainedEncoder:
    """What `sslsearch.load` returns.

    Samples are handed in raw, as a table of `read`, or as the modality's arrays: for series
    (N, channels, steps), (N, steps) with one channel, or a list of (channels, steps) of any
    lengths. They are preprocessed exactly as the training data were.

    Attributes:
        encoder: the network, in eval mode.
        classes: names of the classes, in the order of predict_proba's columns.
        scores: what the study found out about it.
        preprocess: the fitted state of the preprocessing.
        probe: None where there were no labels to fit one on.
    """

    encoder: Encoder
    recipe: Recipe
    classes: list[str]
    scores: dict[str, Any]
    spec: InputSpec
    preprocess: dict[str, Any]
    probe: FittedProbe | None

    @property
    def width(self) -> int:
        """Numbers in an embedding."""
        return self.encoder.pooled_width

    @property
    def predicts(self) -> bool:
        """Does its probe tell classes?"""
        return isinstance(self.probe, FittedClassifier)

    @property
    def modality(self) -> Modality:
        """The kind of data, with the rules under which it was trained."""
        part = registry.get("modality", self.preprocess["modality"])
        made: Modality = part.bind(self.preprocess["rules"])()
        return made

    def parts(self) -> dict[str, Any]:
        """What `bundle.fill` writes of it."""
        return {
            "recipe": self.recipe,
            "weights": self.encoder.state_dict(),
            "probe": self.probe,
            "spec": self.spec,
            "preprocess": self.preprocess,
            "classes": self.classes,
            "scores": self.scores,
        }

    @classmethod
    def from_pretrained(
        cls, path: str | Path, device: str | torch.device = "cpu"
    ) -> TrainedEncoder:
        """As `sslsearch.load`: a folder, or `hf://owner/name` on the Hugging Face Hub."""
        from sslsearch.train.bundle import load

        return load(path, device)

    def save_pretrained(self, folder: str | Path, *, licence: str = "other") -> None:
        """Write a folder in the layout of the Hugging Face Hub, which `sslsearch.load` reads too.

        Args:
            licence: an identifier of the Hub's, as `apache-2.0`; what it may be is for the licence
                of the training data to say.
        """
        from sslsearch.train import bundle, hub

        def write(part: Path) -> None:
            bundle.fill(part, **self.parts())
            hub.rearrange(part, licence)

        bundle.into(Path(folder), write)

    def push_to_hub(
        self,
        repo: str,
        *,
        private: bool = False,
        token: str | None = None,
        licence: str = "other",
    ) -> str:
        """Upload to the Hugging Face Hub as the model `repo` (owner/name), made if it is not there.

        Needs `pip install 'sslsearch[hub]'` and a log-in (`hf auth login`, or HF_TOKEN).

        Returns:
            The address of the commit.
        """
        from sslsearch.train import hub

        with TemporaryDirectory() as place:
            folder = Path(place) / "model"
            self.save_pretrained(folder, licence=licence)
            message = f"recipe {self.recipe.hash}"
            return hub.push(folder, repo, private=private, token=token, message=message)

    def read(
        self, source: str, columns: Mapping[str, Any] | None = None, root: Path | None = None
    ) -> pa.Table:
        """`parquet:my.parquet` and the like -> raw; label, group and split may be absent."""
        return read(self.modality, source, dict(columns or {}), root or Path(), unlabelled=True)

    def embed(self, raw: Any) -> FloatArray:
        """(N, D) float32. ValueError where a sample holds nothing to embed."""
        table = self._table(raw)
        empty = np.flatnonzero(~self.usable(table))
        if len(empty):
            rows = ", ".join(map(str, empty[:5])) + (", …" if len(empty) > 5 else "")
            raise ValueError(
                f"{len(empty)} samples hold nothing, being empty or missing all through (from 0: "
                f"{rows}); leave them out"
            )
        parts = [self._embed(table.slice(at, CHUNK)) for at in range(0, len(table), CHUNK)]
        return np.concatenate(parts) if parts else np.empty((0, self.width), np.float32)

    def predict_proba(self, raw: Any) -> FloatArray:
        """(N, K), one column for each of `classes`; 0 for a class the probe never saw."""
        return self.proba_of(self.embed(raw))

    def predict(self, raw: Any) -> list[str]:
        """The likeliest class of each sample, by name."""
        return [self.classes[k] for k in self.predict_proba(raw).argmax(axis=1)]

    def proba_of(self, embedding_ND: FloatArray) -> FloatArray:
        """As `predict_proba`, from embeddings."""
        proba_NK = np.zeros((len(embedding_ND), len(self.classes)))
        if len(embedding_ND):
            if not isinstance(self.probe, FittedClassifier):
                what = f"a {self.probe.probe} probe" if self.probe else "an encoder without labels"
                raise ValueError(
                    f"{what} does not predict classes; use .embed, or fit a classifier of your own "
                    "on the embeddings"
                )
            proba_NK[:, self.probe.classes] = self.probe.predict_proba(embedding_ND)
        return proba_NK

    def usable(self, raw: pa.Table) -> NDArray[np.bool_]:
        """False for samples that hold nothing."""
        try:
            return self.modality.usable(raw)
        except (KeyError, TypeError) as fault:
            raise ValueError(
                f"a table with the columns {', '.join(raw.column_names)} is not in the raw form "
                f"of {self.spec.modality}; let .read('parquet:FILE') make it"
            ) from fault

    def _table(self, raw: Any) -> pa.Table:
        if isinstance(raw, pa.Table):
            return raw
        return self.modality.from_arrays(raw, self.preprocess)

    def _embed(self, raw: pa.Table) -> FloatArray:
        """One chunk, along the very path that training and judging took."""
        none = np.full(len(raw), -1, np.int64)
        tensors = self.modality.preprocess(raw, self.preprocess)
        table = table_of(tensors, raw, self.spec, [], none, np.full(len(raw), "new"))
        device = next(self.encoder.parameters()).device
        index = torch.arange(len(raw))
        embedding: FloatArray = features(
            self.encoder, Samples.from_table(table), index, device
        ).numpy()
        return embedding
