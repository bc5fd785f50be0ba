"""What an encoder ignores, and the map of what it sees: of encoders whose answers are known."""

import math
from collections.abc import Callable

import pytest
import torch

from sslsearch import registry
from sslsearch.data.prepare import Prepared
from sslsearch.data.samples import Samples
from sslsearch.encoders.base import Encoder
from sslsearch.registry import Identity, marker
from sslsearch.train.flat_map import flat_map
from sslsearch.train.invariance import invariance, levels, strength_of
from sslsearch.values import Batch, Encoded

EVERY = [
    (modality, name)
    for modality in ("timeseries", "image", "graph", "tabular")
    for name in registry.parts("augment", modality)
]


class Reads(Encoder):
    """An encoder that answers with what a function makes of the batch."""

    def __init__(self, of: Callable[[Batch], torch.Tensor]) -> None:
        super().__init__()
        self.of = of

    def forward(self, batch: Batch, hidden_BCN: torch.Tensor | None = None) -> Encoded:
        x_BD = self.of(batch)
        return Encoded(x_BD[:, None], x_BD, torch.ones(len(x_BD), 1, dtype=torch.bool))

    def token_valid(self, batch: Batch) -> torch.Tensor:
        raise AssertionError("nothing is masked here")

    def patchify(self, batch: Batch) -> torch.Tensor:
        raise AssertionError("nothing is restored here")


@pytest.fixture
def train(prepared: Prepared) -> Samples:
    return Samples.from_table(prepared.train)


@pytest.mark.parametrize(("modality", "name"), EVERY)
def test_levels_are_legal_and_grow_through_the_default(modality: str, name: str) -> None:
    part = registry.get("augment", name)
    found = levels(part)
    strengths = [strength for strength, _ in found]
    assert strengths == sorted(set(strengths))
    assert all(strength > 0 for strength in strengths)
    for _, knobs in found:
        part.resolve(knobs)
    moved = {
        word: info
        for word, info in part.knobs.model_fields.items()
        if marker(info, Identity) is not None and word != "p"
    }
    if moved:
        (default,) = [knobs for strength, knobs in found if strength == 1.0]
        assert all(default[word] == info.default for word, info in moved.items())
        info = next(iter(moved.values()))
        assert strength_of(info, marker(info, Identity).value) == 0.0


def test_an_encoder_is_as_invariant_as_what_it_reads(train: Samples) -> None:
    """The spread of a series forgets its level and its order; its values do not."""
    encoders = {
        "sorted": Reads(lambda batch: batch.x.sort(-1).values.flatten(1)),
        "values": Reads(lambda batch: batch.x.flatten(1)),
    }
    found, floor = invariance(encoders, train, ["reverse", "jitter"], seconds=60.0)
    whole = next(level for level in found["reverse"] if level.knobs.get("p") == 1.0)
    assert whole.alike["sorted"][0] == pytest.approx(1.0, abs=1e-5)
    assert whole.alike["values"][0] < 0.9
    jitter = [level.alike["values"][0] for level in found["jitter"]]
    assert jitter == sorted(jitter, reverse=True)  # the stronger, the less alike
    assert all(abs(alike) < 0.1 for alike in floor.values())  # different samples: about 0


def test_similarity_is_the_cosine_from_the_mean(train: Samples) -> None:
    encoder = Reads(lambda batch: 100.0 + batch.x.flatten(1))  # what is common to all plays no part
    found, floor = invariance({"it": encoder}, train, ["jitter"], seconds=60.0)
    index = train.pool[torch.linspace(0, len(train.pool) - 1, 48).round().long()]
    x = train.batch(index, "cpu").x.flatten(1).double()
    x = torch.nn.functional.normalize(x - x.mean(0), dim=1)
    cosines = x @ x.T
    others = [float(cosines[i, j]) for i in range(48) for j in range(48) if i != j]
    assert floor["it"] == pytest.approx(sum(others) / len(others), abs=1e-3)
    assert found["jitter"][0].alike["it"][0] > 0.9


def test_what_takes_too_long_is_left_out(train: Samples) -> None:
    encoder = Reads(lambda batch: batch.x.flatten(1))
    found, _ = invariance({"it": encoder}, train, ["jitter", "reverse"], seconds=-1.0)
    assert found == {}


def test_a_map_shows_the_main_plane_of_the_training_labels(train: Samples) -> None:
    labels = train.labels_N
    encoder = Reads(
        lambda batch: torch.nn.functional.one_hot(labels[batch.index].clamp(min=0), 3).float()
    )
    found = flat_map(encoder, train)
    assert len(found["xy"]) == len(train.labelled) == len(found["labels"])
    assert found["labels"] == labels[train.labelled].tolist()
    assert found["linear"] == found["knn"] == 1.0
    assert sum(found["spread"]) == pytest.approx(1.0)  # three corners lie in a plane
    first = dict(zip(found["labels"], found["xy"], strict=True))
    for label, xy in zip(found["labels"], found["xy"], strict=True):
        assert xy == pytest.approx(first[label], abs=1e-3)
    assert math.dist(first[0], first[1]) == pytest.approx(math.dist(first[1], first[2]), rel=1e-2)
