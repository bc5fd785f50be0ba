"""Each pretext task beats the untrained encoder on real graphs: mean test accuracy, 3 seeds.

Nodes: scikit-learn's digits, each joined to the four most like it. Graphs: the inked pixels of a
digit, neighbours joined, their rows as tags. Settings were chosen by trying on these data.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.neighbors import kneighbors_graph

from sslsearch import registry
from sslsearch.data.prepare import prepare
from sslsearch.data.samples import Samples
from sslsearch.encoders.base import Encoder
from sslsearch.train.embed import features
from sslsearch.train.loop import Trial
from sslsearch.values import Recipe

CPU = torch.device("cpu")
VIEWS = {"edge_drop": {"ratio": 0.3}, "feature_mask": {"ratio": 0.2}}
GCN = {"gcn": {"depth": 2, "width": 64}}
GIN = {"gin": {"depth": 3, "width": 32}}
HALF = {"masking": {"random": {"ratio": 0.5}}}
NODES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [  # pretext, its knobs, augment
    ("cca_ssg", {}, VIEWS),
    ("simclr", {"temperature": 0.4}, VIEWS),
    ("byol", {"momentum": 0.99}, VIEWS),
    ("vicreg", {"expander": 1.0}, VIEWS),
    ("dgi", {}, {}),
    ("vgae", {}, {}),
    ("graphmae", {}, {}),
    ("mae", {**HALF, "decoder_depth": 0}, {}),
    ("link_prediction", {}, {}),
    ("attribute_prediction", {}, {"edge_drop": {"ratio": 0.2}}),
]
GRAPHS = [
    ("simclr", {"temperature": 0.2}, {"node_drop": {"ratio": 0.2}, "edge_perturb": {"ratio": 0.1}}),
    ("infograph", {}, {}),
]


def similar_digits(folder: Path) -> str:
    x, y = load_digits(return_X_y=True)
    x, y = x[::2], y[::2]
    near = kneighbors_graph(x, 4).tocoo()
    np.savez(folder / "digits.npz", x=x / 16, edges=np.stack([near.row, near.col], 1), y=y)
    return f"npz:{folder}/digits.npz"


def inked_pixels(folder: Path) -> str:
    images, labels = load_digits(return_X_y=True)
    lines = ["600"]
    for image, label in zip(images[:600].reshape(-1, 8, 8), labels, strict=False):
        at = np.argwhere(image > 3)
        apart = np.abs(at[:, None] - at[None]).max(2)
        lines.append(f"{len(at)} {label}")
        for node, (row, _) in enumerate(at):
            near = np.flatnonzero(apart[node] == 1)
            lines.append(" ".join(map(str, (row, len(near), *near))))
    (folder / "digits.txt").write_text("\n".join(lines))
    return f"txt:{folder}/digits.txt"


def compare(
    source: str, labels: str, encoder: Any, pretext: Any, augment: Any, optim: Any, epochs: int
) -> tuple[float, float]:
    """Mean test accuracy of three seeds: untrained and trained."""
    data = {"modality": "graph", "source": source, "labels": labels, "normalise": "columns"}
    prepared = prepare(data, Path.cwd())
    train, test = Samples.from_table(prepared.train), Samples.from_table(prepared.test)
    probe = registry.bind("probe", {"linear": {}})()

    def accuracy(model: Encoder) -> float:
        seen = features(model, train, train.labelled, CPU)
        fitted = probe.final(seen, train.labels_N[train.labelled])
        scores = fitted.score(features(model, test, torch.arange(len(test)), CPU), test.labels_N)
        return float(scores.values["accuracy"])

    body = {
        "data": data,
        "encoder": encoder,
        "pretext": pretext,
        "augment": augment,
        "optim": {"lr_scaling": "none", "weight_decay": 1e-5, "warmup": 0.05, **optim},
        "probe": {"name": "linear", "watch": [], "judge_by": "r2"},
        "fidelity": {},
    }
    before, after = [], []
    for seed in range(3):
        trial = Trial(Recipe(body), train, seed, CPU, [len(train) * epochs])
        before.append(accuracy(trial.objective.encoder))
        assert trial.advance().status == "ok"
        after.append(accuracy(trial.objective.encoder))
    return float(np.mean(before)), float(np.mean(after))


@pytest.mark.learns
@pytest.mark.parametrize(("pretext", "knobs", "augment"), NODES, ids=[c[0] for c in NODES])
def test_nodes(pretext: str, knobs: Any, augment: Any, tmp_path: Path) -> None:
    optim = {"batch_size": 4096, "lr": 3e-3}
    source = similar_digits(tmp_path)
    before, after = compare(source, "2 per class", GCN, {pretext: knobs}, augment, optim, 60)
    assert after > before


@pytest.mark.learns
def test_gae_on_a_narrow_encoder(tmp_path: Path) -> None:
    """As wide as the authors': inner products of wide vectors learnt less than they lost here."""
    optim, encoder = {"batch_size": 4096, "lr": 1e-2}, {"gcn": {"depth": 2, "width": 32}}
    source = similar_digits(tmp_path)
    before, after = compare(source, "2 per class", encoder, {"gae": {}}, {}, optim, 30)
    assert after > before


@pytest.mark.learns
@pytest.mark.parametrize(("pretext", "knobs", "augment"), GRAPHS, ids=[c[0] for c in GRAPHS])
def test_graphs(pretext: str, knobs: Any, augment: Any, tmp_path: Path) -> None:
    optim = {"batch_size": 64, "lr": 1e-3}
    source = inked_pixels(tmp_path)
    before, after = compare(source, "5 per class", GIN, {pretext: knobs}, augment, optim, 20)
    assert after > before
