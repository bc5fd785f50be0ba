"""Drawing recipes, listing the questions, and finding the answers that lead to a recipe."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sslsearch import registry
from sslsearch.space import Space, SpaceError, parse
from sslsearch.space.answers import Answers
from sslsearch.values import Recipe

DATA = "data: {modality: timeseries, source: aeon:OSULeaf}\n"
EVERYTHING = """
name: everything
data: {modality: timeseries, source: aeon:OSULeaf, labels: 10 per class}
encoder:
  one_of:
    conv1d: {depth: 3..8, pool: mean | max}
    transformer: {patch: 4 | 8, width: 16..64 log, heads: 2}
pretext:
  one_of:
    simclr: {temperature: 0.05..1.0 log}
    byol:
    mae:
      masking:
        one_of:
          random: {ratio: 0.3..0.9}
          span: {ratio: 0.15..0.75, length: 2..8}
augment:
  sequence_of:
    crop_resize: {keep: 0.4..1.0}
    jitter: {sigma: 0.01..0.5 log}
    flip:
optim: {batch_size: 8 | 16, lr: 1e-4..1e-2 log, lr_scaling: none | sqrt}
"""
SPACE = parse(EVERYTHING)


class Spy:
    """Answers by chance and notes what was asked."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.asked: dict[str, Any] = {}

    def real(self, name: str, low: float, high: float, log: bool) -> float:
        return self._note(name, self.rng.uniform(low, high))

    def whole(self, name: str, low: int, high: int, log: bool) -> int:
        return self._note(name, self.rng.randint(low, high))

    def choice(self, name: str, options: tuple[Any, ...]) -> Any:
        return self._note(name, self.rng.choice(options))

    def _note(self, name: str, value: Any) -> Any:
        assert name not in self.asked, f"{name} was asked twice"
        self.asked[name] = value
        return value


@settings(deadline=None)
@given(st.integers(0, 10_000))
def test_what_is_asked_is_what_is_listed(seed: int) -> None:
    spy = Spy(seed)
    SPACE.draw(spy)
    listed = {
        q.name: q for q in SPACE.questions() if all(spy.asked.get(n) == v for n, v in q.condition)
    }
    assert set(spy.asked) == set(listed)
    for name, value in spy.asked.items():
        question = listed[name]
        if question.kind == "choice":
            assert value in question.options
        else:
            assert question.low <= value <= question.high


def test_no_name_is_both_a_value_and_a_parent() -> None:
    names = [q.name for q in SPACE.questions()]
    assert len(names) == len(set(names))
    assert not [a for a in names for b in names if b.startswith(a + ".")]
    assert not any("/" in name for name in names)
    assert {"pretext.kind", "pretext.simclr.temperature", "augment.jitter.on"} <= set(names)
    assert {"augment.jitter.place", "pretext.mae.masking.span.length", "optim.lr"} <= set(names)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000))
def test_a_recipe_is_a_space_with_nothing_open(seed: int) -> None:
    recipe = SPACE.random_recipe(random.Random(seed))
    again = parse(recipe.to_yaml(), "recipe.yaml")
    assert again.questions() == []
    assert again.default() == recipe
    assert again.default().hash == recipe.hash
    assert list(again.default()["augment"]) == list(recipe["augment"])


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000))
def test_project_finds_the_way_back(seed: int) -> None:
    recipe = SPACE.random_recipe(random.Random(seed))
    answers = SPACE.project(recipe, strict=True)
    assert answers is not None
    drawn = SPACE.draw(Answers(answers, {}))
    assert drawn == recipe
    assert drawn.hash == recipe.hash


def test_every_default_is_written_out() -> None:
    recipe = SPACE.random_recipe(random.Random(3))
    for kind in ("encoder", "pretext"):
        name, knobs = recipe.part(kind)
        assert registry.get(kind, name).resolve(knobs) == knobs
    for name, knobs in recipe["augment"].items():
        assert registry.get("augment", name).resolve(knobs) == knobs
    assert recipe["data"]["normalise"] == "per_series"
    assert recipe["compute"]["recycle_after"] == 200
    mae = parse(DATA + "pretext: mae\n").default()["pretext"]["mae"]
    assert mae["masking"] == {"random": {"ratio": 0.75}}


def test_default_is_the_first_branch_and_the_parts_defaults_in_range() -> None:
    recipe = SPACE.default()
    assert recipe["encoder"] == {
        "conv1d": {"depth": 8, "width": 64, "kernel": 3, "stride": 1, "pool": "max"}
    }
    assert recipe["pretext"]["simclr"]["temperature"] == 0.5
    assert list(recipe["augment"]) == ["crop_resize", "jitter", "flip"]
    assert recipe["optim"] == {
        "batch_size": 16,
        "lr": 1e-3,
        "weight_decay": 1e-4,
        "warmup": 0.05,
        "lr_scaling": "sqrt",
    }


def test_short_yaml() -> None:
    space = parse(DATA + "pretext: simclr\n", "my studies.yaml")
    assert space.name == "my_studies"
    assert str(space.goal) == "maximize probe/accuracy"
    assert space.goal.metric == "probe/accuracy"
    assert space.questions() == []
    recipe = space.default()
    assert recipe.part("encoder")[0] == "conv1d"
    assert recipe["augment"] == {}
    assert recipe.family == "simclr"
    modality = registry.get("modality", "timeseries").make
    assert tuple(space.probe.against) == modality.floors  # type: ignore[attr-defined]
    assert parse(space.text, "space.yaml").default() == recipe, "a copy keeps its name"


@pytest.mark.parametrize(
    "text",
    ["pretext: simclr | byol", "pretext: {one_of: {simclr: , byol: {}}}"],
)
def test_ways_to_write_a_choice_of_parts(text: str) -> None:
    (question,) = parse(DATA + text).questions()
    assert (question.name, question.options) == ("pretext.kind", ("simclr", "byol"))


@pytest.mark.parametrize("text", ["", "augment: none", "augment: {}", "augment:"])
def test_ways_to_augment_nothing(text: str) -> None:
    assert parse(DATA + "pretext: simclr\n" + text).default()["augment"] == {}


def test_a_plain_mapping_of_augmentations_is_all_in_and_in_order() -> None:
    text = "pretext: simclr\naugment: {jitter: {sigma: 0.1..0.2}, flip: {}, crop_resize: }\n"
    space = parse(DATA + text)
    assert [q.name for q in space.questions()] == ["augment.jitter.sigma"]
    assert list(space.default()["augment"]) == ["jitter", "flip", "crop_resize"]


def test_subset_keeps_the_order_written() -> None:
    space = parse(DATA + "pretext: simclr\naugment: {subset_of: {jitter: , flip: , smooth: }}\n")
    drawn = [tuple(space.random_recipe(random.Random(i))["augment"]) for i in range(60)]
    assert len(set(drawn)) == 8
    assert all(
        list(names) == sorted(names, key=["jitter", "flip", "smooth"].index) for names in drawn
    )


def test_sequence_searches_the_order() -> None:
    drawn = {tuple(SPACE.random_recipe(random.Random(i))["augment"]) for i in range(300)}
    assert len(drawn) == 1 + 3 + 6 + 6


class TestMix:
    TEXT = "pretext:\n  mix_of:\n    simclr: {temperature: 0.1..0.5}\n    mae: {weight: 0.2..0.4}\n"

    def test_weights_are_searched(self) -> None:
        space = parse(DATA + self.TEXT)
        names = {q.name: (q.low, q.high, q.start) for q in space.questions()}
        assert names["pretext.simclr.weight"] == (0.1, 1.0, 0.5)
        assert names["pretext.mae.weight"] == (0.2, 0.4, 0.4)

    def test_recipe(self) -> None:
        space = parse(DATA + self.TEXT)
        recipe = space.random_recipe(random.Random(0))
        assert recipe.family == "mae+simclr"
        own = {"weight", "sees", "temperature", "projection"}
        assert set(recipe["pretext"]["mix_of"]["simclr"]) == own
        again = parse(recipe.to_yaml())
        assert again.questions() == []
        assert again.default() == recipe
        assert space.project(recipe, strict=True) is not None

    def test_what_members_see_may_be_open(self) -> None:
        space = parse(DATA + self.TEXT.replace("{weight:", "{sees: augmented | moved, weight:"))
        (question,) = [q for q in space.questions() if q.name == "pretext.mae.sees"]
        assert question.options == ("augmented", "moved")
        with pytest.raises(SpaceError, match=r"sees must be augmented \| moved, got crops"):
            parse(DATA + self.TEXT.replace("{weight:", "{sees: crops, weight:"))

    def test_equal_weights_by_default(self) -> None:
        text = "pretext: {mix_of: {simclr: {}, mae: {}}}\n"
        members = parse(DATA + text).default()["pretext"]["mix_of"]
        assert members["simclr"]["weight"] == members["mae"]["weight"]

    def test_fixed_weight(self) -> None:
        text = "pretext: {mix_of: {simclr: {weight: 1}, mae: {weight: 0.3}}}\n"
        assert parse(DATA + text).questions() == []

    def test_a_mix_is_no_single_pretext(self) -> None:
        mix, single = parse(DATA + self.TEXT), parse(DATA + "pretext: simclr\n")
        assert mix.project(single.default()) is None
        assert single.project(mix.default()) is None


def changed(recipe: Recipe, change: Callable[[dict[str, Any]], None]) -> Recipe:
    import copy

    body = copy.deepcopy(recipe.body)
    change(body)
    return Recipe(body)


class TestLenientProjection:
    def near(self, space: Space, change: Callable[[dict[str, Any]], None]) -> Recipe:
        foreign = changed(SPACE.default(), change)
        assert space.project(foreign, strict=True) is None
        answers = space.project(foreign)
        assert answers is not None
        return space.draw(Answers(answers, {}))

    def test_values_are_put_into_their_range(self) -> None:
        def change(body: dict[str, Any]) -> None:
            body["encoder"]["conv1d"]["depth"] = 10
            body["optim"].update(batch_size=13, lr=0.5)
            body["pretext"]["simclr"]["temperature"] = 0.01

        recipe = self.near(SPACE, change)
        assert recipe["encoder"]["conv1d"]["depth"] == 8
        assert recipe["optim"]["batch_size"] == 16
        assert recipe["optim"]["lr"] == 0.01
        assert recipe["pretext"]["simclr"]["temperature"] == 0.05

    def test_augmentations_that_the_space_has_not_are_dropped(self) -> None:
        def change(body: dict[str, Any]) -> None:
            body["augment"] = {"flip": {"p": 0.5}, "smooth": {"sigma": 1.0}, "crop_resize": {}}

        assert list(self.near(SPACE, change)["augment"]) == ["flip", "crop_resize"]

    def test_what_is_fixed_is_the_spaces_own(self) -> None:
        def change(body: dict[str, Any]) -> None:
            body["optim"]["warmup"] = 0.3

        assert self.near(SPACE, change)["optim"]["warmup"] == 0.05

    def test_an_encoder_that_the_space_has_not_becomes_its_default(self) -> None:
        def change(body: dict[str, Any]) -> None:
            body["encoder"] = {"resnet1d": {"depth": 3}}

        assert self.near(SPACE, change)["encoder"] == SPACE.default()["encoder"]

    def test_another_pretext_is_another_question(self) -> None:
        foreign = changed(SPACE.default(), lambda body: body.update(pretext={"vicreg": {}}))
        assert SPACE.project(foreign) is None

    def test_strict_minds_data_and_judge(self) -> None:
        recipe = SPACE.default()
        assert SPACE.project(recipe, strict=True) is not None
        for assignment in ("data.seed=1", "probe.judge_by=accuracy", "fidelity.last=9000"):
            assert parse(EVERYTHING, sets=[assignment]).project(recipe, strict=True) is None
        assert parse(EVERYTHING, sets=["budget.trials=9"]).project(recipe, strict=True) is not None


def test_rungs() -> None:
    def rungs(first: int, last: int, eta: int) -> list[int]:
        sets = [f"fidelity={{first: {first}, last: {last}, eta: {eta}}}"]
        return parse(EVERYTHING, sets=sets).fidelity.rungs()

    assert rungs(2_000, 54_000, 3) == [2_000, 6_000, 18_000, 54_000]
    assert rungs(3_000, 54_000, 3) == [6_000, 18_000, 54_000]
    assert rungs(100, 100, 2) == [100]
    assert rungs(1, 10, 4) == [1, 2, 10]


def test_digest_minds_what_is_searched_only() -> None:
    assert parse(EVERYTHING).digest == SPACE.digest
    assert parse(SPACE.text).digest == SPACE.digest
    for same in (
        "budget.trials=3",
        "confirm.top=1",
        "track.keep=all",
        "name=other",
        "compute.slots=2",
    ):
        assert parse(EVERYTHING, sets=[same]).digest == SPACE.digest, same
    for other in ("optim.lr=1e-3", "data.seed=1", "fidelity.eta=4", "goal=minimize probe/log_loss",
                  "pretext.one_of.vicreg={}", "augment={subset_of: {flip: {}}}"):  # fmt: skip
        assert parse(EVERYTHING, sets=[other]).digest != SPACE.digest, other


class TestSet:
    def test_values(self) -> None:
        sets = ["data.source=parquet:my.parquet", "optim.lr=1e-5..1e-3 log", "budget.trials=5"]
        space = parse(EVERYTHING, sets=sets)
        assert space.data.source == "parquet:my.parquet"
        assert space.budget.trials == 5
        (lr,) = [q for q in space.questions() if q.name == "optim.lr"]
        assert (lr.low, lr.high, lr.log) == (1e-5, 1e-3, True)

    def test_structure_words_may_be_left_out(self) -> None:
        for path in ("pretext.one_of.simclr.temperature", "pretext.simclr.temperature"):
            space = parse(EVERYTHING, sets=[f"{path}=0.1"])
            assert "pretext.simclr.temperature" not in {q.name for q in space.questions()}
            assert space.default()["pretext"]["simclr"]["temperature"] == 0.1

    def test_a_whole_subtree(self) -> None:
        space = parse(EVERYTHING, sets=["pretext={simclr: {temperature: 0.1}}", "augment=none"])
        assert space.default()["pretext"] == {"simclr": {"temperature": 0.1, "projection": 128}}
        assert space.default()["augment"] == {}

    def test_what_was_left_empty_can_be_filled(self) -> None:
        space = parse(EVERYTHING, sets=["pretext.byol.momentum=0.9", "augment.flip.p=0.1"])
        assert space.default()["augment"]["flip"] == {"p": 0.1}
        assert parse("pretext: mae\n" + DATA, sets=["optim.batch_size=4"])

    def test_a_branch_may_be_added(self) -> None:
        space = parse(EVERYTHING, sets=["pretext.vicreg={}"])
        options = {q.name: q.options for q in space.questions()}
        assert options["pretext.kind"] == ("simclr", "byol", "mae", "vicreg")

    def test_later_wins(self) -> None:
        assert parse(EVERYTHING, sets=["data.seed=1", "data.seed=2"]).data.seed == 2

    def test_text_loads_again(self) -> None:
        sets = [
            "pretext.mae.masking.random.ratio=0.5",
            "data.pool='csv:a | b.csv'",
            "augment.flip=",
        ]
        space = parse(EVERYTHING, sets=sets)
        again = parse(space.text)
        assert again.digest == space.digest
        assert again.data.pool == "csv:a | b.csv"
        assert again.default() == space.default()
