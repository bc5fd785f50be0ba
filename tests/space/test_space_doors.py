"""The doors `explain` and `catalog`, the editor schema, and the spaces that come with us."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from sslsearch import catalog, explain, registry
from sslsearch.space import SpaceError, literature, load, parse
from sslsearch.space.cost import expected_samples, search_samples
from sslsearch.space.errors import Faults
from sslsearch.space.knobs import read_value
from sslsearch.space.nodes import Fixed
from sslsearch.space.schema import schema
from sslsearch.space.source import compose, entries

SPACES = Path(__file__).parents[2] / "search_spaces"
RECIPES = sorted((SPACES / "recipes").glob("*.yaml"))
SHORT = "data: {modality: timeseries, source: aeon:OSULeaf}\npretext: {simclr: {}}\n"


def editor_view(text: str) -> Any:
    """The YAML as an editor's YAML 1.2 reader hands it to a JSON schema."""
    root = compose(text, "t.yaml", Faults())
    assert root is not None
    return _plain(root)


def _plain(node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return {word: _plain(value) for word, (_, value) in entries(node).items()}
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item) for item in node.value]
    assert isinstance(node, yaml.ScalarNode)
    found = read_value(node)
    return found.value if isinstance(found, Fixed) else node.value


@pytest.fixture(scope="module")
def validator() -> jsonschema.protocols.Validator:
    made = schema()
    jsonschema.Draft202012Validator.check_schema(made)
    return jsonschema.Draft202012Validator(made)


class TestSchema:
    def test_the_committed_copy_is_current(self) -> None:
        committed = json.loads((SPACES / "schema.json").read_text())
        assert committed == json.loads(json.dumps(schema())), (
            "regenerate it: python -m sslsearch.catalog --schema > search_spaces/schema.json"
        )

    @pytest.mark.parametrize("path", [*SPACES.glob("*.yaml"), *RECIPES], ids=lambda p: p.stem)
    def test_our_spaces_are_valid(
        self, path: Path, validator: jsonschema.protocols.Validator
    ) -> None:
        validator.validate(editor_view(path.read_text()))

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "encoder: conv1d | transformer\n",
            "augment: none\n",
            "augment: {sequence_of: {jitter: {sigma: 0.1..0.3 log}, flip: }}\n",
            "optim: {batch_size: 8 | 16, lr: 1e-4..1e-2 log, warmup: 0.1}\n",
            "fidelity: {first: 2_000, last: 54_000}\n",
        ],
    )
    def test_accepts(self, text: str, validator: jsonschema.protocols.Validator) -> None:
        parse(SHORT + text)
        validator.validate(editor_view(SHORT + text))

    def test_accepts_mixes(self, validator: jsonschema.protocols.Validator) -> None:
        text = SHORT.splitlines()[0] + "\npretext: {mix_of: {simclr: {weight: 0.5}, mae: {}}}\n"
        parse(text)
        validator.validate(editor_view(text))

    @pytest.mark.parametrize(
        "text",
        [
            "augmnt: {}\n",
            "encoder: {conv2d: {}}\n",
            "encoder: {conv1d: {depth: 0}}\n",
            "encoder: {conv1d: {deepth: 3}}\n",
            "augment: {subset_of: {jitter: {sigma: -1}}}\n",
            "augment: {one_of: {jitter: {}}}\n",
            "search: {sampler: tpee}\n",
            "probe: {against: [untraind]}\n",
            "compute: {slots: 0}\n",
            "budget: {trials: 10..20}\n",
        ],
    )
    def test_refuses(self, text: str, validator: jsonschema.protocols.Validator) -> None:
        with pytest.raises(SpaceError):
            parse(SHORT + text)
        with pytest.raises(jsonschema.ValidationError):
            validator.validate(editor_view(SHORT + text))

    def test_every_part_and_knob_is_described(self) -> None:
        defs = schema()["$defs"]
        for kind in ("encoder", "pretext", "augment", "masking"):
            for name, part in registry.parts(kind).items():
                assert set(defs[f"{kind}.{name}"]["properties"]) == set(part.knobs.model_fields)
        assert defs["augment.jitter"]["properties"]["sigma"]["description"].endswith(
            "(channel standard deviations)"
        )


class TestOurSpaces:
    def test_timeseries(self) -> None:
        space = load(SPACES / "timeseries.yaml")
        assert space.name == "timeseries"
        assert space.questions()
        families = {recipe.family for recipe in literature(space)}
        assert families == {"simclr", "ts2vec", "vicreg", "mae"}

    @pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
    def test_recipe_is_fully_written(self, path: Path) -> None:
        space = load(path)
        assert space.name == path.stem
        assert space.questions() == []
        assert space.default().body == yaml.safe_load(path.read_text())
        said = path.read_text().split("\nname:")[0]
        assert "arXiv:" in said or "NeurIPS" in said

    def test_there_is_a_recipe_for_each_pretext(self) -> None:
        names = {load(path).default().family for path in RECIPES}
        assert {"simclr", "byol", "vicreg", "mae", "cpc", "ts2vec"} <= names


class TestLiterature:
    SPACE = SHORT.replace("{simclr: {}}", "{one_of: {simclr: {temperature: 0.2..1.0}, mae: {}}}")

    def test_comes_through_the_space(self) -> None:
        recipes = literature(parse(self.SPACE))
        assert [recipe.family for recipe in recipes] == ["mae", "simclr"]
        assert recipes[1]["pretext"]["simclr"]["temperature"] == 0.2
        assert all(recipe.part("encoder")[0] == "conv1d" for recipe in recipes)

    def test_no_folder(self, tmp_path: Path) -> None:
        assert literature(parse(self.SPACE), tmp_path / "none") == []

    def test_doubles_run_once(self, tmp_path: Path) -> None:
        for name in ("a", "b"):
            (tmp_path / f"{name}.yaml").write_text(SHORT)
        assert len(literature(parse(self.SPACE), tmp_path)) == 1

    @pytest.mark.usefixtures("toy_parts")
    def test_of_another_modality(self) -> None:
        text = "data: {modality: toy_grid, source: npz:x}\npretext: {none: {}}\n"
        assert literature(parse(text)) == []


def test_cost() -> None:
    text = SHORT + "fidelity: {first: 2_000, last: 54_000, eta: 3}\nbudget: {trials: 10}\n"
    space = parse(text)
    # 2000 of all, 4000 of a third, 12 000 of a ninth, 36 000 of a 27th
    assert expected_samples(space) == pytest.approx(2000 + 4000 / 3 + 12_000 / 9 + 36_000 / 27)
    assert search_samples(space) == (pytest.approx(60_000), (3 + 1) * 3 * 54_000)
    assert expected_samples(parse(text, sets=["search.scheduler=none"])) == 54_000


class TestExplain:
    def test_a_space(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert explain.main([str(SPACES / "timeseries.yaml")]) == 0
        said = capsys.readouterr().out
        assert "temperature: 0.05..1.0 log" in said
        assert "subset_of" in said
        count = len(load(SPACES / "timeseries.yaml").questions())
        assert f"open questions   {count}" in said
        assert "900 → 1,800 → 3,600 samples seen" in said
        assert "60 trials × 1,800 = 108,000 samples" in said
        assert "ts2vec" in said.split("first recipes")[1].split("\n")[0]
        assert said.count("sample ") >= 3
        assert "\x1b" not in said, "no colours in a pipe"

    def test_a_recipe(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert explain.main([str(RECIPES[0])]) == 0
        assert "open questions   0" in capsys.readouterr().out

    def test_every_kind_of_node(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        file = tmp_path / "mixed.yaml"
        file.write_text(
            SHORT.splitlines()[0]
            + "\npretext: {mix_of: {simclr: {}, mae: {}}}\naugment: {sequence_of: {flip: }}\n"
        )
        assert explain.main([str(file)]) == 0
        said = capsys.readouterr().out
        assert "mix_of" in said
        assert "sequence_of" in said

    def test_views_that_are_alike(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        file = tmp_path / "short.yaml"
        file.write_text(SHORT)
        assert explain.main([str(file)]) == 0
        assert "without augment the views of simclr are alike" in capsys.readouterr().out
        assert explain.main([str(file), "--set", "augment={jitter: {}}"]) == 0
        assert "alike" not in capsys.readouterr().out

    def test_a_wrong_space(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        file = tmp_path / "wrong.yaml"
        file.write_text(SHORT + "optim: {lr: 0}\n")
        assert explain.main([str(file), "--set", "budget.trials=0"]) == 2
        assert capsys.readouterr().err == (
            f"{file}:3: lr: 0: lr must be > 0 (at a batch of 32 samples), got 0\n"
            "--set budget.trials: trials: 0: trials must be >= 1, got 0\n"
        )

    def test_a_wrong_command_line(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as caught:
            explain.main([])
        assert caught.value.code == 2
        assert "the following arguments are required: space" in capsys.readouterr().err


class TestCatalog:
    def test_all(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert catalog.main([]) == 0
        said = capsys.readouterr().out
        for kind in registry.ROOMS:
            for name in registry.parts(kind):
                assert name in said

    def test_one_kind(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert catalog.main(["augment"]) == 0
        said = capsys.readouterr().out
        (line,) = [line for line in said.split("\n") if "│ jitter " in line]
        assert "sigma" in line
        assert "a number >= 0" in line
        assert "0.03" in line
        assert "channel standard deviations" in line
        assert "conv1d" not in said

    def test_json(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert catalog.main(["pretext", "--modality", "timeseries", "--json"]) == 0
        rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
        assert "1807.03748" in rows["cpc"]["paper"]
        masking = next(k for k in rows["mae"]["knobs"] if k["name"] == "masking")
        assert masking["range"] == "one masking"
        assert masking["default"] == {"random": {"ratio": 0.75}}

    @pytest.mark.usefixtures("toy_parts")
    def test_modality(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert catalog.main(["encoder", "--modality", "toy_grid", "--json"]) == 0
        names = {row["name"] for row in json.loads(capsys.readouterr().out)}
        assert names >= {"toy_plain", "toy_tokens"}
        assert "conv1d" not in names

    @pytest.mark.usefixtures("toy_parts")
    def test_what_fits_and_why_not(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert catalog.main(["pretext", "--json"]) == 0
        fits = {row["name"]: row["fits"] for row in json.loads(capsys.readouterr().out)}
        assert fits["simclr"]["timeseries"] == "yes"
        assert fits["simmim"]["timeseries"] == "with conv1d, resnet1d"
        assert fits["cpc"]["toy_grid"] == "no: needs time"
        assert fits["transform_prediction"]["toy_grid"] == "no: made for timeseries"
        assert fits["mae"]["toy_grid"] == "with toy_tokens"
        assert catalog.main(["pretext", "--modality", "toy_grid"]) == 0
        listed, _, below = capsys.readouterr().out.partition("which pretext fits toy_grid")
        assert "cpc" not in listed
        assert "no: needs time" in below

    def test_schema(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert catalog.main(["--schema"]) == 0
        assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(schema()))

    @pytest.mark.parametrize(
        ("argv", "line"),
        [
            (["encodr"], "unknown kind 'encodr'; did you mean 'encoder'?\n"),
            (["--modality", "timeserie"], "unknown modality 'timeserie'; did you mean 'timeseries'?\n"),  # noqa: E501
        ],
    )  # fmt: skip
    def test_unknown(self, argv: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert catalog.main(argv) == 2
        assert capsys.readouterr().err == line
