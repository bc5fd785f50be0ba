"""What the data section may say depends on the modality: its rules and the roles of columns."""

from __future__ import annotations

import jsonschema
import pytest
import yaml

from sslsearch.space import SpaceError, parse
from sslsearch.space.schema import schema

TABLE = """data:
  modality: tabular
  source: "csv:my.csv"
  normalise: standard
  min_count: 5
  columns: {label: y, categorical: [zip, town], ignore: name}
pretext: scarf
"""
SERIES = 'data: {modality: timeseries, source: "csv:my.csv"}\npretext: simclr\n'


def test_a_modality_has_its_own_rules_and_roles() -> None:
    data = parse(TABLE).data.model_dump()
    assert (data["normalise"], data["min_count"], data["max_categories"]) == ("standard", 5, 100)
    assert data["columns"]["categorical"] == ["zip", "town"]
    assert data["columns"]["ignore"] == "name"
    assert "unequal" not in data
    assert set(parse(SERIES).data.model_dump()) == {
        *("modality", "source", "labels", "normalise", "columns", "group", "pool"),
        *("unequal", "missing", "window", "stride", "horizon", "periods", "test", "seed"),
    }


@pytest.mark.parametrize(
    ("was", "now", "law"),
    [
        ("standard", "per_series", "normalise must be quantile | standard | none, got per_series"),
        ("min_count: 5", "unequal: pad", "unequal: unknown key of data"),
        ("categorical:", "categories:", "categories: unknown key of data.columns; did you mean"),
        ("categorical:", "series:", "series: unknown key of data.columns"),
        ("min_count: 5", "max_categories: 999", "max_categories must be .*<= 254"),
        ("scarf", "ts2vec", "needs time"),
    ],
)
def test_another_modalitys_words_are_refused(was: str, now: str, law: str) -> None:
    with pytest.raises(SpaceError, match=law.replace("|", r"\|")):
        parse(TABLE.replace(was, now))


def test_editors_accept_either() -> None:
    for text in (TABLE, SERIES):
        jsonschema.validate(yaml.safe_load(text), schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(TABLE.replace("standard", "standart")), schema())


def test_windows_and_their_periods() -> None:
    text = SERIES.replace("}", ", window: 192, stride: 4, periods: [8640, 2880, 2880]}", 1)
    data = parse(text).data.model_dump()
    assert (data["window"], data["stride"], data["horizon"]) == (192, 4, None)
    assert data["periods"] == [8640, 2880, 2880]
    jsonschema.validate(yaml.safe_load(text), schema())
    shares = parse(SERIES, sets=["data.window=9", "data.periods=[0.5, 0.2, 0.3]"])
    assert shares.data.model_dump()["periods"] == [0.5, 0.2, 0.3]
    for wrong in ("window: 0", "window: 2..4", "periods: 3", "stride: 0.5"):
        with pytest.raises(SpaceError, match=wrong.split(":")[0]):
            parse(SERIES.replace("}", f", {wrong}}}", 1))
