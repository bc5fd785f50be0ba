"""Test accuracy of what pretext tasks teach an encoder of images, beside floors, over seeds.

    python tests/benchmarks/image_learns.py parquet:cifar10.parquet [--labels "100 per class"]
        [--seen 20000] [--seeds 3] [--only simclr mae] [--encoder '{convnet: {}}']
        [--augment '{random_resized_crop: {scale: 0.2}, horizontal_flip: {}}']

Each pretext runs the recipe of search_spaces/recipes (its settings, but for data, how long, and
what is said here: the recipes are made for digits) and is judged by the linear probe on frozen
features. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from sslsearch import registry
from sslsearch.data.prepare import prepare
from sslsearch.data.samples import Samples
from sslsearch.space import parse
from sslsearch.train.embed import features
from sslsearch.train.loop import Trial
from sslsearch.values import Recipe

RECIPES = Path(__file__).parents[2] / "search_spaces" / "recipes"
FLOORS = ("majority", "raw", "random_patches", "supervised")
CPU = torch.device("cpu")


def judged(train_ND: torch.Tensor, test_ND: torch.Tensor, train: Samples, test: Samples) -> float:
    probe = registry.get("probe", "linear").bind({})()
    fitted = probe.final(train_ND, train.labels_N[train.labelled])
    return float(fitted.score(test_ND, test.labels_N).values["accuracy"])


def of_encoder(trial: Trial, train: Samples, test: Samples) -> float:
    encoder, all_M = trial.objective.encoder, torch.arange(len(test))
    seen = features(encoder, train, train.labelled, CPU), features(encoder, test, all_M, CPU)
    return judged(*seen, train, test)


def recipe_of(name: str, data: dict[str, Any], changed: dict[str, Any]) -> Recipe:
    text = (RECIPES / f"{name}_image.yaml").read_text()
    body = {**yaml.safe_load(text), "data": data}
    body |= {section: value for section, value in changed.items() if value is not None}
    return parse(yaml.safe_dump(body, sort_keys=False)).default()


def learnt(recipe: Recipe, train: Samples, test: Samples, seen: int, seeds: int) -> dict[str, Any]:
    before, after, began = [], [], time.perf_counter()
    for seed in range(seeds):
        trial = Trial(recipe, train, seed, CPU, [seen])
        before.append(of_encoder(trial, train, test))
        report = trial.advance()
        assert report.status == "ok", report.message
        after.append(of_encoder(trial, train, test))
    seconds = (time.perf_counter() - began) / seeds
    return {"untrained": before, "trained": after, "seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source")
    parser.add_argument("--labels", default="100 per class")
    parser.add_argument("--seen", type=int, default=20_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=["simclr", "rotnet", "mae"])
    parser.add_argument("--floors", nargs="*", default=FLOORS)
    parser.add_argument("--encoder", default="{convnet: {depth: 1}}")
    parser.add_argument("--augment", help="default: the recipe's own")
    parser.add_argument("--optim", help="default: the recipe's own")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    written = {"encoder": asked.encoder, "augment": asked.augment, "optim": asked.optim}
    changed = {name: text and yaml.safe_load(text) for name, text in written.items()}
    encoder = changed["encoder"]
    data = {"modality": "image", "source": asked.source, "labels": asked.labels}
    made = prepare(data, Path.cwd())
    train, test = Samples.from_table(made.train), Samples.from_table(made.test)
    figures: dict[str, Any] = {"data": made.summary}
    for name in asked.floors:
        floor = registry.get("floor", name).bind({})(train, test, 0, encoder)
        figures[name] = judged(floor.train_ND, floor.test_ND, train, test)
        print(f"{name:16}{figures[name]:8.3f}", flush=True)
    for name in asked.only:
        row = figures[name] = learnt(
            recipe_of(name, data, changed), train, test, asked.seen, asked.seeds
        )
        means = [float(np.mean(row[key])) for key in ("untrained", "trained")]
        said = f"(untrained {means[0]:.3f}, {row['seconds']:.0f} s a seed)"
        print(f"{name:16}{means[1]:8.3f}  {said}", flush=True)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
