"""Forecast and impute: what the encoder is shown, what is asked, and what may not be asked."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from sslsearch import registry
from sslsearch.data import prepare
from sslsearch.data.samples import Samples
from sslsearch.probe.base import FittedProbe, final_probe
from sslsearch.probe.forecast import Forecast
from sslsearch.probe.impute import Impute
from sslsearch.probe.numbers import Numbers
from sslsearch.search.floors import FloorRunner
from sslsearch.search.shelf import Shelf
from sslsearch.train.embed import features
from sslsearch.values import Batch

CPU = torch.device("cpu")
RULES = {
    "modality": "timeseries",
    "source": "synthetic:500",
    "normalise": "per_channel",
    "window": 24,
    "horizon": 6,
}
PROBES: dict[str, Numbers] = {"forecast": Forecast(horizon=6), "impute": Impute()}
each = pytest.mark.parametrize("name", sorted(PROBES))


def samples(**rules: Any) -> Samples:
    return Samples.from_table(prepare({**RULES, **rules}, Path()).train)


@each
def test_what_is_asked_for_is_not_shown(name: str) -> None:
    probe, data = PROBES[name], samples()
    batch = data.batch(torch.arange(40), CPU)
    other = batch.x.masked_fill(probe.hidden(batch)[:, None], 99.0)
    ours, theirs = probe.look(batch), probe.look(batch.with_x(other))
    assert torch.equal(ours.x, theirs.x)
    plain = [probe.plain(view, data.modality, data.spec) for view in (ours, theirs)]
    assert torch.equal(*plain)
    truth, moved = probe.asked(batch.x, batch), probe.asked(other, batch)
    asked = ~truth.isnan()
    assert (moved[asked] == 99.0).all()
    assert int(asked.sum()) == 40 * 3 * 6  # a horizon of 6 of 24; or a quarter of 24
    assert (truth[asked] != 99.0).all()


def test_imputation_hides_the_same_steps_however_samples_come() -> None:
    data, probe = samples(), Impute(ratio=0.5, span=3)
    whole = probe.hidden(data.batch(torch.arange(50), CPU))
    parts = [probe.hidden(data.batch(index, CPU)) for index in torch.arange(50).split(7)]
    assert torch.equal(torch.cat(parts), whole)
    assert torch.equal(Impute(ratio=0.5, span=3).hidden(data.batch(torch.arange(50), CPU)), whole)
    assert not torch.equal(
        Impute(ratio=0.5, span=3, seed=1).hidden(data.batch(torch.arange(50), CPU)), whole
    )
    assert (whole.sum(1) == 12).all()
    runs = whole.reshape(50, 8, 3)
    assert (runs.all(2) | ~runs.any(2)).all()
    assert len({tuple(row) for row in whole.tolist()}) > 25  # not one mask for all


def test_an_anchor_moves_what_is_told_and_not_the_errors() -> None:
    data = samples()
    free, held = Forecast(horizon=6), Forecast(horizon=6, anchor="last")
    index = torch.arange(30)
    last = data.batch(index, CPU).x[..., 17:18]
    truth = free.truth(data, index, data)
    torch.testing.assert_close(held.truth(data, index, data), truth - last)
    floor = registry.bind("floor", {"last_value": {}})
    scores = [
        probe.taken([]).score(
            floor(data.showing(index), data, 0, {}, probe).train_ND, probe.truth(data, index, data)
        )
        for probe in (free, held)
    ]
    for metric in free.metrics:
        assert scores[0].values[metric] == pytest.approx(scores[1].values[metric], rel=1e-5)


@each
def test_a_fitted_probe_goes_to_json_and_back(name: str) -> None:
    probe, data = PROBES[name], samples()
    shown = data.showing(probe.rows(data))
    truth = probe.truth(shown, shown.labelled, shown)
    encoder = registry.bind("encoder", {"conv1d": {"depth": 1, "width": 8, "stride": 4}})(data.spec)
    seen = features(encoder, shown, shown.labelled, CPU, probe)
    fitted = final_probe(probe, seen, truth, shown.judging)
    again = FittedProbe.from_dict(json.loads(json.dumps(fitted.to_dict())))
    assert again.score(seen, truth) == fitted.score(seen, truth)
    assert fitted.settings["name"] == name
    told = fitted.score(seen, truth).values["mse"]
    assert told < probe.taken([]).score(torch.zeros_like(truth.nan_to_num()), truth).values["mse"]


@pytest.mark.parametrize("read", ["last", "pooled", "both", "all"])
def test_what_a_forecast_reads(read: Any) -> None:
    data, probe = samples(), Forecast(horizon=6, read=read)
    encoder = registry.bind("encoder", {"transformer": {"patch": 4, "depth": 1, "width": 8}})(
        data.spec
    )
    batch = data.batch(torch.arange(5), CPU)
    short = batch.with_x(batch.x, batch.valid & (torch.arange(24) < 9))
    with torch.no_grad():
        encoded = encoder(probe.look(short))
        seen = probe.read(encoded)
    parts = {"last": [encoded.tokens_BND[:, 2]], "pooled": [encoded.pooled_BD]}
    parts["both"] = parts["last"] + parts["pooled"]
    parts["all"] = [encoded.tokens_BND.flatten(1)]
    assert torch.equal(seen, torch.cat(parts[read], 1))
    assert encoded.valid_BN[:, 2].all()
    assert not encoded.valid_BN[:, 3:].any()


def test_rows_are_whole_futures_and_evenly_spread() -> None:
    data = samples()
    probe = Forecast(horizon=6, most=50)
    rows = probe.rows(data)
    judges = data.judges_N[rows]
    assert int((~judges).sum()) == 50
    assert int(judges.sum()) == min(50, int(data.judges_N.sum()))
    assert rows[~judges].tolist()[0] == 0
    assert rows.tolist() == sorted(rows.tolist())


def test_series_of_unequal_length_are_forecast_where_their_end_is_there(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    lists = [rng.standard_normal(n) for n in (12, 9, 12, 8, 12, 7, 12, 9)]
    pq.write_table(pa.table({"series": lists}), tmp_path / "s.parquet")
    rule = {"modality": "timeseries", "source": "parquet:s.parquet", "normalise": "per_channel"}
    done = prepare(rule, tmp_path)
    data, probe = Samples.from_table(done.train), Forecast(horizon=4)
    whole = data.batch(torch.arange(len(data)), CPU).valid.all(1)
    assert probe.rows(data).tolist() == torch.nonzero(whole).flatten().tolist()
    assert len(done.test) > 0  # drawn, though nothing has a label
    truth = probe.truth(data, torch.arange(len(data)), data)
    assert truth[~whole].isnan().any()
    assert probe.taken([]).score(truth.nan_to_num(), truth).values["mse"] == 0.0


@pytest.mark.parametrize(
    ("probe", "rules", "law"),
    [
        (Forecast(horizon=24), {}, "a horizon of 24 steps leaves nothing to see of 24"),
        (Forecast(horizon=8), {}, "splits share steps of a horizon of 8; write data.horizon: 8"),
        (Forecast(horizon=6), {"normalise": "per_series"}, "write data.normalise: per_channel"),
        (Impute(ratio=0.01), {}, "a ratio of 0.01 hides 0 of 24 steps"),
    ],
)
def test_what_cannot_be_asked_is_said(probe: Numbers, rules: dict[str, Any], law: str) -> None:
    with pytest.raises(ValueError, match=re.escape(law)):
        probe.rows(samples(**rules))


@each
def test_floors_of_numbers_are_judged_as_trials_are(name: str, tmp_path: Path) -> None:
    """The actor of a study hands those floors the probe that ask for it."""
    probe, done = PROBES[name], prepare(RULES, Path())
    gives = registry.get("probe", name).gives
    train, test = Samples.from_table(done.train), Samples.from_table(done.test)
    runner = FloorRunner.__new__(FloorRunner)
    runner.probe, runner.test, runner.shelf = probe, test, Shelf(tmp_path, None)
    runner.train = shown = train.showing(probe.rows(train))
    truth = probe.truth(test, torch.arange(len(test)), shown)
    errors = {}
    for floor, part in registry.parts("floor", "timeseries").items():
        if part.needs <= gives and floor != "untrained":
            path = tmp_path / runner.run(floor, 0, {}, "key")
            seen = load_file(path)
            assert len(seen["train"]) == len(shown.labelled)
            if floor != "raw":
                errors[floor] = probe.taken([]).score(seen["test"], truth).values["mse"]
    own = {"forecast": "linear", "impute": "interpolation"}[name]
    assert set(errors) == {"last_value", "mean_value", own}
    assert errors[own] == min(errors.values())


def test_batches_on_their_way_are_not_touched() -> None:
    data = samples()
    batch = data.batch(torch.arange(4), CPU)
    before = batch.x.clone()
    for probe in PROBES.values():
        assert isinstance(probe.look(batch), Batch)
    assert torch.equal(batch.x, before)


@each
def test_no_sample_is_asked_nothing(name: str) -> None:
    """A study may have no test split."""
    assert len(PROBES[name].truth(samples(), torch.empty(0, dtype=torch.int64), samples())) == 0
