"""Dense prediction: a linear classifier of frozen tokens says of which class each patch is.

Long et al. 2015, Fully Convolutional Networks for Semantic Segmentation, arXiv:1411.4038 (the
metrics); a linear layer on frozen patch tokens as in Oquab et al. 2023, DINOv2, arXiv:2304.07193,
which reads a finer map out of it: here all pixels of a patch get the class of their patch.

Shapes: N = images, T = tokens (patches of an image, row by row), D = features of a token, P =
pixels of a patch, H, W = pixels of an image, K = classes, A = penalties tried. Truth: the class of
each pixel (N, H, W), -1 where nothing is said.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from pydantic import Field

from sslsearch.data.samples import Samples
from sslsearch.encoders.base import Encoder
from sslsearch.modalities.base import Modality
from sslsearch.probe.base import FittedProbe, Probe, Rows, as_features, as_groups, rung_scores
from sslsearch.probe.linear import group_folds
from sslsearch.probe.logistic import fit_at
from sslsearch.probe.metrics import centred, share_scores
from sslsearch.probe.patches import by_patch, commonest, confusion, figure, raw_patches, truth_of
from sslsearch.probe.ridge import Ridge, standardisation
from sslsearch.registry import Count, Positive, Unit, register
from sslsearch.values import Batch, Encoded, InputSpec, Scores

FloatArray = NDArray[np.float64]
Ints = NDArray[np.int64]
VERSION = 1  # raised whenever the same features and settings would score differently
ALPHAS_A = np.geomspace(1e6, 1e-2, 9)  # ridge penalties tried at rungs


@register("probe", "dense", modality="image", paper="Long et al. 2015, arXiv:1411.4038")
class Dense(Probe):
    """Mean IoU and share of right pixels, of classes told from single tokens by a linear map.

    Learns from the labelled images' maps (`data.columns.mask`): each patch counts as the class
    that most of its pixels are of. At rungs a ridge, cross-validated by images; at the end
    logistic regression. Both learn from at most `most` patches, evenly spaced.
    """

    metrics: ClassVar[tuple[str, ...]] = ("miou", "pixel_accuracy")
    ranks: ClassVar[tuple[str, ...]] = metrics

    def __init__(
        self,
        *,
        most: Annotated[Count, Unit("patches learnt from")] = 20_000,
        folds: Annotated[int, Field(ge=2), Unit("folds")] = 5,
        c: Annotated[Positive, Unit("inverse penalty on standardised features")] = 1.0,
    ) -> None:
        self.most, self.folds, self.c = most, folds, c

    def rows(self, samples: Samples) -> torch.Tensor:
        if "mask" not in samples.columns:
            raise ValueError(
                "probe dense judges by maps of classes, which the source has not: name their "
                "column with data.columns.mask, or take another probe"
            )
        said_N = truth_of(samples, samples.labelled).flatten(1).ge(0).any(1)
        return samples.labelled[said_N]

    def truth(self, samples: Samples, index_N: torch.Tensor, train: Samples) -> torch.Tensor:
        return truth_of(samples, index_N)

    def read(self, encoded: Encoded) -> torch.Tensor:
        return encoded.tokens_BND

    def plain(self, batch: Batch, modality: Modality, spec: InputSpec) -> torch.Tensor:
        """Patches of 4 x 4 pixels as they are (2 x 2 or 1 where the image is not made of them)."""
        return raw_patches(batch.x)

    def examine(
        self,
        encoder: Encoder,
        samples: Samples,
        features_ND: torch.Tensor,
        truth_N: torch.Tensor,
        groups_N: ArrayLike | None,
        device: torch.device,
    ) -> Scores:
        """As any frozen features; but the tokens must be whole patches of the images."""
        batch = samples.batch(samples.labelled[:1], device)
        height, width = batch.x.shape[-2:]
        covered = math.prod(encoder.grid(batch)) * encoder.patch_width
        if covered != batch.x.shape[1] * height * width:
            raise ValueError(
                f"probe dense: images of {height} x {width} pixels are not made of whole patches "
                "of the encoder: choose another data.size, or another encoder"
            )
        return rung_scores(self, features_ND, truth_N, groups_N, samples.judging)

    def rung(self, features_ND: Rows, truth_N: Rows, groups_N: ArrayLike | None = None) -> Scores:
        """Each image as predicted by ridges that have not seen it (nor its group)."""
        x_MD, truth_NTP, classes = _task(features_ND, truth_N)
        N, T, _ = truth_NTP.shape
        patch_NT = commonest(truth_NTP, classes)
        groups = as_groups(groups_N, N)
        apart_N = np.arange(N) if groups is None else groups
        whole_N = np.zeros(N, np.int64)  # maps have no class to keep in proportion
        fold_N = group_folds(whole_N, apart_N, self.folds)
        token_NT = self._left_out(x_MD, patch_NT, np.repeat(fold_N, T), len(classes))
        settings = self._settings(x_MD, N, classes) | {"head": "ridge", "cv": "folds by image"}
        table_NKK = confusion(truth_NTP, token_NT.reshape(N, T), classes)
        return scored(table_NKK, groups, settings)

    def _left_out(self, x_MD: Any, patch_NT: Ints, fold_M: Ints, k: int) -> Ints:
        """The class of each patch, by a ridge of the penalty that errs least on unseen folds."""
        code_M = patch_NT.ravel()
        learnt_M = np.zeros(len(code_M), bool)
        learnt_M[_spaced(np.flatnonzero(code_M >= 0), self.most)] = True
        said_AMK = np.empty((len(ALPHAS_A), len(code_M), k), np.float32)
        target_MK = np.eye(k)[np.maximum(code_M, 0)]
        for fold in np.unique(fold_M):
            held_M = fold_M == fold
            fits_M = learnt_M & ~held_M
            ridge = Ridge(x_MD[fits_M], target_MK[fits_M])
            said_AMK[:, held_M] = ridge.predict(x_MD[held_M], ALPHAS_A)
        error_A = ((said_AMK[:, learnt_M] - target_MK[learnt_M]) ** 2).sum((1, 2))
        best_M: Ints = said_AMK[int(error_A.argmin())].argmax(1)
        return best_M

    def final(self, features_ND: Rows, truth_N: Rows) -> FittedProbe:
        x_MD, truth_NTP, classes = _task(features_ND, truth_N)
        code_M = commonest(truth_NTP, classes).ravel()
        learnt = _spaced(np.flatnonzero(code_M >= 0), self.most)
        x_LD, known, code_L = x_MD[learnt], *np.unique(code_M[learnt], return_inverse=True)
        mean_D, gain_D = standardisation(x_LD)
        coef_DK, bias_K = fit_at((x_LD - mean_D) * gain_D, code_L, self.c)
        settings = self._settings(x_MD, len(truth_NTP), classes)
        return FittedDense(
            classes=classes[known].tolist(),
            mean=mean_D.tolist(),
            gain=gain_D.tolist(),
            coef=coef_DK.tolist(),
            bias=bias_K.tolist(),
            settings=settings | {"head": "logistic", "C": self.c},
        )

    @staticmethod
    def load(saved: dict[str, Any]) -> FittedProbe:
        return FittedDense(**{key: value for key, value in saved.items() if key != "probe"})

    def _settings(self, x_MD: Any, images: int, classes: Ints) -> dict[str, Any]:
        return {
            "name": "dense",
            "version": VERSION,
            "n": images,
            "patches": len(x_MD) // images,
            "d": x_MD.shape[1],
            "classes": len(classes),
            "most": self.most,
        }


@dataclass(frozen=True)
class FittedDense(FittedProbe):
    """The class of each token by an affine map of its standardised features."""

    classes: list[int]
    mean: list[float]
    gain: list[float]
    coef: list[list[float]]
    bias: list[float]
    settings: dict[str, Any]
    probe = "dense"

    def predict(self, features_NTD: Rows) -> Ints:
        """The class of each patch (N, T)."""
        shape = tuple(features_NTD.shape)
        x_MD = as_features(features_NTD.reshape(-1, shape[-1]))
        x_MD = (x_MD - np.asarray(self.mean)) * np.asarray(self.gain)
        said_M = (x_MD @ np.asarray(self.coef) + np.asarray(self.bias)).argmax(1)
        said_NT: Ints = np.asarray(self.classes, np.int64)[said_M].reshape(shape[:-1])
        return said_NT

    def score(self, features_ND: Rows, truth_N: Rows, groups_N: ArrayLike | None = None) -> Scores:
        table_NKK = self._table(features_ND, truth_N)
        settings = {**self.settings, "cv": "held out"}
        return scored(table_NKK, as_groups(groups_N, len(table_NKK)), settings)

    def shares(self, metric: str, features_ND: Rows, truth_N: Rows) -> FloatArray:
        return shares_of(metric, self._table(features_ND, truth_N))

    def _table(self, features_NTD: Rows, truth_NHW: Rows) -> Ints:
        truth_NTP = by_patch(truth_NHW, features_NTD.shape[1])
        classes = np.union1d(self.classes, truth_NTP[truth_NTP >= 0])
        said_NT = np.searchsorted(classes, self.predict(features_NTD))
        return confusion(truth_NTP, said_NT, classes)

    def to_dict(self) -> dict[str, Any]:
        return {"probe": self.probe, **asdict(self)}


def shares_of(metric: str, table_NKK: Ints) -> FloatArray:
    """Each image's share in a figure of all pixels: jackknife pseudo-values, their mean is it."""
    total_KK = table_NKK.sum(0)
    without_N = np.array([figure(metric, total_KK - table_KK) for table_KK in table_NKK])
    return centred(figure(metric, total_KK), without_N, len(table_NKK))


def scored(table_NKK: Ints, groups_N: NDArray[np.int64] | None, settings: dict[str, Any]) -> Scores:
    shares = {metric: shares_of(metric, table_NKK) for metric in Dense.metrics}
    return Scores(*share_scores(shares, groups_N), settings)


def _task(features_NTD: Rows, truth_NHW: Rows) -> tuple[NDArray[Any], Ints, Ints]:
    """Checked features of all patches (N·T, D), the truth of each, and the classes there are."""
    x_MD = as_features(features_NTD.reshape(-1, features_NTD.shape[-1]))
    truth_NTP = by_patch(truth_NHW, features_NTD.shape[1])
    classes = np.unique(truth_NTP[truth_NTP >= 0])
    if len(classes) < 2:
        raise ValueError(
            f"the maps of classes show {len(classes)} class: a probe tells classes apart and "
            "needs at least 2"
        )
    return x_MD, truth_NTP, classes


def _spaced(place: Ints, most: int) -> Ints:
    """At most so many of the places, evenly spaced."""
    if len(place) <= most:
        return place
    return place[np.linspace(0, len(place) - 1, most).astype(np.int64)]
