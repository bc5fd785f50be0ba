"""Confirmation: who is a finalist, what a verdict says, and that the test is opened by it alone."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from sslsearch.data.prepare import Prepared
from sslsearch.data.samples import Samples
from sslsearch.probe.base import build
from sslsearch.search import confirm
from sslsearch.search.opening import refuse_other_question
from sslsearch.search.outcome import shareable
from sslsearch.search.record import Record, Row
from sslsearch.search.shelf import Shelf
from sslsearch.space import Space, parse
from sslsearch.track.params import scrub
from sslsearch.values import Recipe, Report


def recipe(temperature: float) -> Recipe:
    return Recipe({"pretext": {"simclr": {"temperature": temperature}}, "augment": {}})


def row(name: str, temperature: float, scores: list[float], status: str = "ok") -> Row:
    reports = tuple(Report(i, 32 * 3**i, "ok", score) for i, score in enumerate(scores))
    return Row(name, "trial", "sampler", recipe(temperature), 0, status, reports)


def test_finalists_are_the_longest_trained_then_the_best() -> None:
    rows = [
        row("t0", 0.1, [0.1, 0.3]),
        row("t1", 0.2, [0.2, 0.5]),
        row("t2", 0.3, [0.9], "stopped"),  # high at a low rung: does not compare
        row("t3", 0.2, [0.2, 0.4]),  # the same recipe as t1
        row("t4", 0.4, [0.2, 0.9], "nan"),
    ]
    assert confirm.finalists(rows, 3) == [recipe(0.2), recipe(0.1), recipe(0.3)]
    assert confirm.finalists(rows, 1) == [recipe(0.2)]


def confirmed(name: str, kind: str, score: float, right: np.ndarray) -> confirm.Confirmed:
    runs = {f"{name}-{i}": Path() for i in range(len(right))}
    made = recipe(len(name) / 10) if kind != "floor" else None
    contender = confirm.Contender(name, kind, made, runs, (score,) * len(right))
    return confirm.Confirmed(contender, tuple(right.mean(axis=1)), right)


def answers(share: float, seed: int) -> np.ndarray:
    return (np.random.default_rng(seed).random((3, 400)) < share).astype(float)


def test_a_clear_winner_is_exported() -> None:
    found = [
        confirmed("default", "default", 0.5, answers(0.6, 0)),
        confirmed("finalist 1", "finalist", 0.7, answers(0.8, 1)),
        confirmed("second", "finalist", 0.6, answers(0.9, 2)),  # not chosen: worse validation
        confirmed("minirocket", "floor", 0.9, answers(0.99, 3)),  # a floor is never exported
    ]
    verdict = confirm.decide(found, "accuracy")
    assert verdict.beats_default
    assert verdict.chosen.name == verdict.winner.name == "finalist 1"
    assert verdict.difference[0] == pytest.approx(
        np.mean(found[1].test) - np.mean(found[0].test), abs=1e-9
    )


def test_a_winner_within_noise_gives_way_to_the_default() -> None:
    found = [
        confirmed("default", "default", 0.5, answers(0.7, 0)),
        confirmed("finalist 1", "finalist", 0.7, answers(0.71, 1)),
    ]
    verdict = confirm.decide(found, "accuracy")
    assert not verdict.beats_default
    assert verdict.chosen.name == "default"
    assert "the default is exported" in verdict.sentence


def test_one_seed_is_not_enough_to_claim_a_win() -> None:
    found = [
        confirmed("default", "default", 0.5, answers(0.5, 0)[:1]),
        confirmed("finalist 1", "finalist", 0.7, answers(0.9, 1)[:1]),
    ]
    assert not confirm.decide(found, "accuracy").beats_default


@pytest.mark.parametrize("metric", ["accuracy", "balanced_accuracy", "macro_f1", "log_loss"])
def test_shares_of_the_samples_average_to_the_metric(metric: str) -> None:
    from sslsearch import registry

    rng = np.random.default_rng(0)
    features, labels = rng.normal(size=(90, 5)), rng.integers(0, 3, 90)
    features[:, 0] += labels
    probe = registry.get("probe", "linear").bind({})().final(features[:60], labels[:60])
    samples = probe.shares(metric, features[60:], labels[60:])
    value = probe.score(features[60:], labels[60:]).values[metric]
    assert samples.mean() == pytest.approx(-value if metric == "log_loss" else value, rel=1e-6)


def test_each_opening_of_the_test_is_counted(
    space: Space, prepared: Prepared, tmp_path: Path
) -> None:
    train, test = Samples.from_table(prepared.train), Samples.from_table(prepared.test)
    path = tmp_path / "features.safetensors"
    rng = torch.Generator().manual_seed(0)
    made = {
        "train": torch.randn(len(train.labelled), 4, generator=rng),
        "test": torch.randn(len(test), 4, generator=rng),
    }
    save_file(made, path)
    record = Record(tmp_path, space)
    contender = confirm.Contender("default", "default", recipe(0.1), {"run": path}, (0.1,))
    for opened in (1, 2):
        (one,) = confirm.open_test(
            record, [contender], train, test, build({"name": "linear"}), "accuracy"
        )
        assert record.recall("test_opened") == opened
        assert one.test[0] == pytest.approx(one.samples_RN.mean())


def test_workers_never_get_test_labels(prepared: Prepared) -> None:
    sealed = confirm.without_labels(prepared.test)
    assert sealed["label"].null_count == len(sealed)
    samples = Samples.from_table(sealed)
    assert (samples.labels_N == -1).all()
    buffers = sealed["label"].combine_chunks().buffers()
    values = np.frombuffer(buffers[1], np.int64) if buffers[1] is not None else np.zeros(0)
    assert not values.any()


def test_failed_runs_do_not_confirm(tmp_path: Path) -> None:
    failed = [replace(row("f", 0.1, [0.1]), status="nan")]
    assert confirm.contender_of("default", "default", failed, Shelf(tmp_path, None)) is None


def test_what_is_kept_or_shared_holds_no_password(space: Space, tmp_path: Path) -> None:
    text = space.text.replace("mlflow: none", 'mlflow: "postgresql://me:secret@host/db?token=abc"')
    secret = parse(text + "compute: {storage: s3://ours/x}\n")
    recipe = secret.default()
    shared = shareable(recipe)
    assert "secret" in recipe.to_yaml()
    assert shared.hash == recipe.hash
    assert "secret" not in shared.to_yaml()
    assert "s3://ours" not in shared.to_yaml()
    kept = scrub(secret.text)
    assert "secret" not in kept
    assert "abc" not in kept
    (tmp_path / "space.yaml").write_text(kept)
    refuse_other_question(tmp_path / "space.yaml", secret)  # it is the same question
