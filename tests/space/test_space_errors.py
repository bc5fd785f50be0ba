"""Every wrong space says where, what was written, the law and the nearest right word."""

from __future__ import annotations

from pathlib import Path

import pytest
from wrong_spaces import DATA, SHORT, WRONG

from sslsearch.space import SpaceError, load, parse


def lines_of(text: str, sets: tuple[str, ...] = ()) -> list[str]:
    with pytest.raises(SpaceError) as caught:
        parse(text, "t.yaml", sets)
    return str(caught.value).split("\n")


@pytest.mark.parametrize(("text", "expected"), [w[1:] for w in WRONG], ids=[w[0] for w in WRONG])
def test_message(text: str, expected: list[str]) -> None:
    found = lines_of(text)
    assert len(found) == len(expected), found
    for line, wanted in zip(found, expected, strict=True):
        assert line.startswith(wanted[:-1]) if wanted.endswith("…") else line == wanted


def test_there_are_many() -> None:
    assert len(WRONG) >= 40


def test_all_faults_of_a_file_in_the_order_of_its_lines() -> None:
    text = (
        SHORT
        + "optim: {lr: fast}\naugmnt: {}\nencoder:\n  conv1d: {depth: 0}\nbudget: {trial: 3}\n"
    )
    assert lines_of(text) == [
        "t.yaml:3: lr: fast: lr must be a number > 0 (at a batch of 32 samples), got fast",
        "t.yaml:4: augmnt: unknown section; did you mean 'augment'?",
        "t.yaml:6: depth: 0: depth must be >= 1 (blocks), got 0",
        "t.yaml:7: trial: unknown key of budget; did you mean 'trials'?",
    ]


def test_a_wrong_data_section_does_not_hide_the_rest() -> None:
    text = "data: {modality: timeseries}\npretext: {simclrr: {}}\n"
    assert [line.split(":")[1] for line in lines_of(text)] == ["1", "2"]


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(
        SpaceError, match=r"missing\.yaml: there is no such file; shipped: forecast"
    ):
        load(tmp_path / "missing.yaml")
    with pytest.raises(SpaceError, match="cannot be read: Is a directory"):
        load(tmp_path)


def test_not_text(tmp_path: Path) -> None:
    file = tmp_path / "space.yaml"
    file.write_bytes(b"name: \xff\n")
    with pytest.raises(SpaceError, match=r"is not UTF-8 text \(byte 6\)"):
        load(file)
    file.write_bytes(b"name: a\nx: \x00\n")
    with pytest.raises(SpaceError, match=r"space\.yaml:2: special characters"):
        load(file)


TOY = "data: {modality: toy_grid, source: npz:x.npz}\n"


@pytest.mark.usefixtures("toy_parts")
class TestFit:
    def test_a_pair_that_cannot_work(self) -> None:
        text = TOY + "encoder: {toy_plain: {}}\npretext:\n  toy_restore: {width: 4}\n"
        assert lines_of(text) == [
            "t.yaml:4: toy_restore: needs tokens, which neither toy_grid nor encoder toy_plain "
            "offers: take toy_tokens"
        ]

    def test_any_open_pair_counts(self) -> None:
        text = TOY + "encoder:\n  one_of: {toy_tokens: {}, toy_plain: {}}\n"
        text += "pretext:\n  one_of:\n    none: {}\n    toy_restore: {width: 4}\n"
        (line,) = lines_of(text)
        assert line.startswith("t.yaml:7: toy_restore: needs tokens")
        assert "toy_plain" in line

    def test_masking_and_augment_count_too(self) -> None:
        text = TOY + "encoder: {toy_tokens: {}}\npretext:\n  toy_restore:\n    width: 4\n"
        text += "    masking: {span: {}}\naugment:\n  toy_turn: {}\n"
        assert lines_of(text) == [
            "t.yaml:6: span: needs time, which neither toy_grid nor encoder toy_tokens offers: "
            "leave span out",
            "t.yaml:8: toy_turn: needs edges, which neither toy_grid nor encoder toy_tokens "
            "offers: leave toy_turn out",
        ]

    def test_an_encoder_needs_of_the_data(self) -> None:
        text = TOY + "encoder: {toy_edges: {}}\npretext: {none: {}}\n"
        assert lines_of(text) == ["t.yaml:2: toy_edges: needs edges, which toy_grid has not"]

    def test_the_modalitys_own_encoder_is_checked_where_none_is_written(self) -> None:
        (line,) = lines_of(TOY + "pretext:\n  toy_restore: {width: 4}\n")
        assert line.startswith("t.yaml:3: toy_restore: needs tokens")

    def test_a_part_of_another_modality(self) -> None:
        text = TOY + "encoder: {toy_tokens: {}}\npretext: {none: {}}\naugment:\n  jitter: {}\n"
        assert lines_of(text) == [
            "t.yaml:5: jitter: is for timeseries, not for toy_grid; known: toy_turn"
        ]
        text = DATA + "pretext: {toy_restore: {width: 3}}\n"
        assert lines_of(text)[0].startswith(
            "t.yaml:2: toy_restore: is for toy_grid, not for timeseries; known: "
        )

    def test_a_floor_of_another_modality(self) -> None:
        text = TOY + "pretext: {none: {}}\nprobe: {against: [multirocket]}\n"
        (line,) = lines_of(text)
        assert line.startswith("t.yaml:3: multirocket: is for timeseries, not for toy_grid; known:")

    def test_a_knob_without_a_default(self) -> None:
        text = TOY + "encoder: {toy_tokens: {}}\npretext:\n  toy_restore: {}\n"
        assert lines_of(text) == ["t.yaml:4: toy_restore: needs width, a whole number"]

    def test_values_that_are_lists(self) -> None:
        text = TOY + "encoder: {toy_tokens: {sizes: [8, 0]}}\npretext: {none: {}}\n"
        assert lines_of(text) == [
            "t.yaml:2: sizes: [8, 0]: sizes must be a list, as in [a, b], got [8, 0]"
        ]
        text = TOY + "encoder: {toy_tokens: {sizes: [8, 2..4]}}\npretext: {none: {}}\n"
        assert lines_of(text) == [
            "t.yaml:2: sizes: [8, 2..4]: what stands inside a list or a mapping is fixed, not open"
        ]

    def test_on_and_off_stay_words(self) -> None:
        text = TOY + "encoder: {toy_tokens: {sizes: [8, 4]}}\n"
        text += "pretext: {toy_restore: {width: 2..3, mode: on | off}}\n"
        space = parse(text)
        assert space.default()["pretext"] == {
            "toy_restore": {"width": 2, "masking": None, "mode": "on"}
        }
        assert space.default()["encoder"] == {"toy_tokens": {"sizes": [8, 4]}}
        assert space.probe.against == ["majority"]


class TestSet:
    def test_a_wrong_value_names_the_path(self) -> None:
        assert lines_of(SHORT, ("data.source=my.parquet",)) == [
            "--set data.source: source: my.parquet: source must be kind:place, as in "
            "parquet:my.parquet or aeon:OSULeaf, got my.parquet"
        ]

    @pytest.mark.parametrize(
        ("assignment", "line"),
        [
            ("data.sourc=csv:x", "--set data.sourc: sourc: unknown key of data; did you mean 'source'?"),  # noqa: E501
            ("dat.source=csv:x", "--set dat.source: dat: unknown section; did you mean 'data'?"),
            (
                "pretext.simclr.temperatur=0.1",
                "--set pretext.simclr.temperatur: temperatur: unknown knob of simclr; did you mean 'temperature'?",  # noqa: E501
            ),
            ("optim.lr=1e-2..1e-3", "--set optim.lr: lr: 1e-2..1e-3: a range goes from low to high: write 1e-3..1e-2"),  # noqa: E501
            ("optim.lr=[", "--set optim.lr: not YAML: expected the node content, but found '<stream end>' while parsing a flow node; got '['"),  # noqa: E501
            ("optim.lr", "--set optim.lr: write PATH=VALUE"),
            ("optim..lr=1", "--set optim..lr=1: write PATH=VALUE"),
            ("optim.lr.x=1", "--set optim.lr.x: optim.lr holds a value, nothing is inside it"),
        ],
    )  # fmt: skip
    def test_message(self, assignment: str, line: str) -> None:
        assert lines_of(SHORT + "optim: {lr: 1e-3}\n", (assignment,)) == [line]

    def test_a_branch_that_is_not_there(self) -> None:
        text = DATA + "pretext:\n  one_of: {simclr: {}, byol: {}}\n"
        assert lines_of(text, ("pretext.simclrr.temperature=0.1",)) == [
            "--set pretext.simclrr.temperature: there is no pretext.simclrr in this space"
            "; did you mean 'simclr'?"
        ]

    def test_file_first_then_the_command_line(self) -> None:
        found = lines_of(SHORT + "budget: {trials: 0}\n", ("optim.lr=0", "data.seed=-1"))
        assert [line.split(": ")[0] for line in found] == [
            "t.yaml:3",
            "--set data.seed",
            "--set optim.lr",
        ]
