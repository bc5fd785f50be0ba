"""Warnings: each is shown when its condition holds, and only then."""

from dataclasses import replace
from pathlib import Path

import pytest
from made_studies import AXES, SIGMA, lessons, random_trials, told

from sslsearch.report import health
from sslsearch.report.answers import Axis, Lessons
from sslsearch.report.study import StudyFiles
from sslsearch.report.widen import edges, legal

FINE = {
    "metric": "probe/accuracy",
    "beats_default": True,
    "difference": {"low": 0.01, "high": 0.05},
    "winner": {"name": "w", "test": 0.8, "score": 0.7},
    "default": {"name": "d", "test": 0.7, "score": 0.6},
    "floors": {"raw": {"test": 0.5}, "untrained": {"test": 0.6}},
    "optimism": 0.02,
    "test_opened": 1,
    "early_stopping": {
        "trials": 9,
        "agreement": [
            {"samples": 100, "rho": 0.8, "low": 0.4, "high": 0.9, "trials": 12},
            {"samples": 300, "rho": 0.9, "low": 0.5, "high": 0.95, "trials": 12},
        ],
    },
}


def study(known: Lessons | None = None, **changed: object) -> StudyFiles:
    known = known or lessons(random_trials(40))
    lines = [
        {
            "kind": "trial",
            "id": one.id,
            "pretext": one.family,
            "status": one.status,
            "score": one.scores[-1],
            "score_low": one.scores[-1] - 0.02,
            "score_high": one.scores[-1] + 0.02,
        }
        for one in sorted(known.trials, key=lambda one: -(one.scores[-1] or 0))
    ]
    rungs = {one.id: dict(enumerate(one.scores)) for one in known.trials}
    return StudyFiles(Path("s"), lines, {**FINE, **changed}, lessons=known, rungs=rungs)


def said(files: StudyFiles) -> list[str]:
    return [warning.title for warning in health.warnings(files)]


def test_a_sound_study_has_no_warning() -> None:
    assert said(study()) == []
    assert said(StudyFiles(Path("s"))) == []  # nor has one that has not begun


@pytest.mark.parametrize(
    ("changed", "title", "setting"),
    [
        ({"floors": {"raw": {"test": 0.9}}}, "raw is better than the winner", "fidelity.last=2700"),
        (
            {"beats_default": False, "difference": {"low": -0.01, "high": 0.03}},
            "The winner is not better than the default beyond noise",
            "confirm.seeds=6",
        ),
        ({"test_opened": 3}, "The test split was opened 3 times", ""),
        ({"optimism": 0.2}, "The search's own scores flatter", "confirm.top=4"),
    ],
)
def test_what_the_result_tells(changed: dict, title: str, setting: str) -> None:
    (warning,) = health.warnings(study(**changed))
    assert warning.title == title
    assert setting in warning.setting
    assert warning.cure


def test_of_a_loss_a_lower_floor_is_better() -> None:
    worse = {"metric": "probe/mse", "floors": {"raw": {"test": 0.9}}}
    assert said(study(**worse)) == []
    assert said(study(metric="probe/mse")) == ["raw and untrained are better than the winner"]


def test_ranks_that_do_not_hold() -> None:
    agreement = [dict(one) for one in FINE["early_stopping"]["agreement"]]
    agreement[0]["low"] = -0.1
    (warning,) = health.warnings(study(early_stopping={"trials": 9, "agreement": agreement}))
    assert warning.title == "Early ranks are not shown to foretell late ones"
    assert warning.setting == "--set fidelity.first=300"
    agreement[0]["trials"] = 5  # too few to say so
    assert said(study(early_stopping={"trials": 9, "agreement": agreement})) == []
    assert said(study(early_stopping={"trials": 0, "agreement": agreement})) == []


def test_labels_that_are_too_few() -> None:
    known = lessons(random_trials(40))
    wide = study(known)
    lines = [{**line, "score_low": 0.0, "score_high": 1.0} for line in wide.lines]
    (warning,) = health.warnings(replace(wide, lines=lines))
    assert warning.title == "The labels are too few to tell trials apart"
    assert warning.setting == "--set 'data.labels=10 per class'"


def test_too_few_trials_for_the_questions() -> None:
    (warning,) = health.warnings(study(lessons(random_trials(14))))
    assert warning.title == "14 trials for 5 open questions"
    assert warning.setting == "--trials 15"
    assert said(study(lessons(random_trials(15)))) == []


def test_more_stopped_at_once_than_is_meant() -> None:
    ran = random_trials(40)
    short = [replace(one, status="stopped", scores=one.scores[:1]) for one in ran]
    some = [*short[:26], *ran[26:]]  # 65 %, and asha with eta 3 means to stop 67 %
    assert said(study(lessons(some))) == []
    (title,) = said(study(lessons([*short[:35], *ran[35:]])))
    assert title == "88 % of the trials were stopped at the first rung"


def test_a_family_that_fails() -> None:
    ran = random_trials(40)
    broken = [told(f"x{i}", "byol", [0.1]) for i in range(3)]
    files = study(lessons([*ran, *broken]))
    for statuses, wanted in ((("nan", "nan", "ok"), True), (("nan", "ok", "stopped"), False)):
        ends = iter(statuses)
        lines = [
            {**line, "status": next(ends)} if line["pretext"] == "byol" else line
            for line in files.lines
        ]
        titles = said(replace(files, lines=lines))
        assert any("trials of byol did not come through" in one for one in titles) is wanted


def test_a_best_value_at_the_end_of_its_range() -> None:
    ran = [one for one in random_trials(60, peak=1.0) if one.answers[SIGMA.name] > 0.1]
    known = lessons(ran)
    best = max(known.trials, key=lambda one: one.scores[-1])
    top = replace(best, answers={**best.answers, SIGMA.name: 0.5})
    known = replace(known, trials=[top, *(one for one in known.trials if one is not best)])
    (edge,) = [edge for edge in edges(known, top.id) if edge.axis is SIGMA]
    assert edge.side == 1
    assert edge.setting == "--set 'augment.jitter.sigma=0.01..1.6 log'"
    assert "augment.jitter.sigma is best at the upper end of its range" in said(study(known))
    # the best in the middle, or one at the end that the others do not follow: no edge
    middle = edges(lessons(random_trials(60, peak=0.5)), best.id)
    assert all(edge.axis is not SIGMA for edge in middle)
    alone = lessons(random_trials(60, peak=0.2))
    one = replace(alone.trials[0], answers={**alone.trials[0].answers, SIGMA.name: 0.5})
    lone = edges(replace(alone, trials=[one, *alone.trials[1:]]), one.id)
    assert all(edge.axis is not SIGMA for edge in lone)


def test_what_the_law_forbids_is_not_proposed() -> None:
    assert legal("augment.crop_resize.keep", 1.0)
    assert not legal("augment.crop_resize.keep", 1.2)
    assert legal("pretext.mae.masking.random.ratio", 0.95)
    assert not legal("pretext.mae.masking.random.ratio", 1.5)
    assert not legal("optim.lr", -1e-3)
    keep = Axis("augment.crop_resize.keep", "real", 0.9, 0.5, 1.0)
    made = [told(f"t{i}", "mae", [0.5 + i / 99], augment__crop_resize__keep=1.0) for i in range(9)]
    assert edges(lessons(made, [keep]), "t8") == []  # at the end, and there is nothing beyond
    batch = Axis("optim.batch_size", "choice", 32, options=(16, 32, 64))
    made = [told(f"t{i}", "mae", [0.5 + i / 99], optim__batch_size=64) for i in range(9)]
    (edge,) = edges(lessons(made, [batch]), "t8")
    assert edge.setting == "--set 'optim.batch_size=16 | 32 | 64 | 128'"
    assert len(AXES) == 5
