"""What a registered model runs: raw samples in, embeddings or the probe's classes out.

MLflow copies this very file into the model and executes it where the model is loaded; nothing is
unpickled. It needs an installed sslsearch, and `best/`, which lies beside it in the model.
"""

from __future__ import annotations

from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.pyfunc import PythonModel

import sslsearch

EMBEDDING, PREDICTION = "embedding", "prediction"  # what `params={"output": …}` may ask for


class Served(PythonModel):  # type: ignore[misc]  # mlflow has no types
    """An exported encoder as an MLflow pyfunc."""

    def load_context(self, context: Any) -> None:
        self.trained = sslsearch.load(context.artifacts["best"])

    def predict(
        self, context: Any, model_input: np.ndarray, params: dict[str, Any] | None = None
    ) -> np.ndarray | pd.DataFrame:
        """Embeddings (samples, features) float32; or a row per sample: its likeliest class, and
        the probability of each. The rows of a table come as a DataFrame; it is annotated as an
        array because of that MLflow makes no signature of its own.
        """
        output = (params or {}).get("output", EMBEDDING)
        if output not in (EMBEDDING, PREDICTION):
            raise ValueError(f"output is {EMBEDDING} or {PREDICTION}, not {output!r}")
        ragged = isinstance(model_input, np.ndarray) and model_input.dtype.kind == "O"
        embedding_ND = self.trained.embed(list(model_input) if ragged else model_input)
        if output == EMBEDDING:
            return embedding_ND
        proba_NK, classes = self.trained.proba_of(embedding_ND), self.trained.classes
        columns = {f"probability.{name}": proba_NK[:, k] for k, name in enumerate(classes)}
        likeliest = [classes[k] for k in proba_NK.argmax(axis=1)]
        return pd.DataFrame({"prediction": likeliest, **columns})


mlflow.models.set_model(Served())
