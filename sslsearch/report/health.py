"""What to be wary of in a study, each with its cure; only what holds is said."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sslsearch.probe.metrics import sign
from sslsearch.report.study import StudyFiles, comparable, number
from sslsearch.report.widen import edges

PER_QUESTION = 3  # trials that an open question needs, as a rule of thumb
FAILS, FAILS_SHARE = 2, 1 / 3  # of a family's trials
STOPPED_MORE = 0.1  # than the scheduler is meant to stop at the first rung
FEW_PAIRS = 8  # trials that reached the last rung, before their ranks say anything
FEW_SPREAD = 6  # trials before their spread says anything
CURES = {
    "nan": "lower the learning rates (`optim.lr`) or the loss's own temperature",
    "collapsed": "raise the batch size or the terms that keep embeddings apart, or leave it out",
    "oom": "smaller `optim.batch_size`, a narrower encoder, or fewer slots (`compute.slots`)",
    "timeout": "a longer `compute` time limit, or a smaller encoder",
    "error": "read its message under What went wrong",
}


@dataclass(frozen=True)
class Caution:
    """What is wrong, why that matters, and what to do: as words, and as a command's setting."""

    title: str
    text: str
    cure: str
    setting: str = ""


def warnings(study: StudyFiles) -> list[Caution]:
    """The weightiest first."""
    asked = (
        beaten_by_floor, no_better, opened_twice, too_noisy, lucky, at_an_edge, too_few,
        stopped_at_once, ranks_disagree, failing,
    )  # fmt: skip
    return [warning for ask in asked for warning in ask(study)]


def beaten_by_floor(study: StudyFiles) -> list[Caution]:
    """A floor with a better test mean than the winner's."""
    winner, floors = study.result.get("winner") or {}, study.result.get("floors") or {}
    better = sign(str(study.result.get("metric") or "accuracy").removeprefix("probe/"))
    ours = better * number(winner.get("test", winner.get("test_mean")))
    above = [name for name, one in floors.items() if better * number(one.get("test")) > ours]
    if not above:
        return []
    return [
        Caution(
            f"{_list(above)} {'are' if len(above) > 1 else 'is'} better than the winner",
            "What learns nothing from the unlabelled data does better on the test split than the "
            "best recipe found.",
            "For the task alone, use that. For a better encoder: more samples seen, a larger "
            "encoder, or other pretext tasks.",
            f"--set fidelity.last={3 * study.lessons.rungs[-1]}" if study.lessons.rungs else "",
        )
    ]


def no_better(study: StudyFiles) -> list[Caution]:
    """A winner that is not better than the default beyond noise."""
    result = study.result
    if not result or result.get("beats_default", True):
        return []
    seeds = int(study.lessons.asked.get("seeds", 3))
    low, high = (number(result.get("difference", {}).get(side)) for side in ("low", "high"))
    if low == high == 0.0:
        text = "Nothing that the search tried did better than the recipe it began with."
    else:
        text = (
            f"The difference lies between {100 * low:+.1f} and {100 * high:+.1f} points: the "
            "search may have helped, or not."
            if not _loss(study)
            else "Zero lies within the interval of the difference."
        )
    return [
        Caution(
            "The winner is not better than the default beyond noise",
            text,
            "The default is exported. More seeds narrow the interval; more trials may find better.",
            f"--set confirm.seeds={2 * seeds}",
        )
    ]


def opened_twice(study: StudyFiles) -> list[Caution]:
    opened = study.result.get("test_opened") or 0
    if opened < 2:
        return []
    return [
        Caution(
            f"The test split was opened {opened} times",
            "Each opening is a chance to stop when the figures please: the last is optimistic.",
            "Report the first opening, or judge the exported encoder on samples held apart.",
        )
    ]


def too_noisy(study: StudyFiles) -> list[Caution]:
    """Intervals of single scores that are wider than the spread of the trials."""
    at = comparable(study)
    widths = [
        number(line["score_high"]) - number(line["score_low"]) for line in study.of_kind("trial")
    ]
    widths = [width for width in widths if math.isfinite(width)]
    if len(at) < FEW_SPREAD or not widths:
        return []
    tenths = statistics.quantiles(at.values(), n=10)
    spread, width = tenths[-1] - tenths[0], statistics.median(widths)
    if width <= spread:
        return []
    labels = str(study.lessons.asked.get("labels", ""))
    count = labels.split()[0] if labels else ""
    more = f"--set 'data.labels={2 * int(count)} per class'" if count.isdigit() else ""
    return [
        Caution(
            "The labels are too few to tell trials apart",
            f"A trial's score is known to within {width:.3f} (95 % interval); eight in ten trials "
            f"lie within {spread:.3f} of each other. Which of them leads is mostly luck.",
            "More labels are worth more than more trials here."
            if labels != "all"
            else "All labels are in use: a smoother score (`probe.judge_by`) or fewer questions.",
            more,
        )
    ]


def lucky(study: StudyFiles) -> list[Caution]:
    """Search optimism that is larger than the winner's lead."""
    result = study.result
    optimism = number(result.get("optimism"))
    scores = [number((result.get(kind) or {}).get("score")) for kind in ("winner", "default")]
    lead = scores[0] - scores[1]
    if not (optimism > 0 and optimism > lead):
        return []
    return [
        Caution(
            "The search's own scores flatter",
            f"While searching, the winner scored {optimism:.3f} more than on fresh seeds; its lead "
            f"over the default is {lead:.3f}. The best of many noisy scores is a lucky one.",
            "Believe the confirmed figures. More finalists guard against choosing by luck.",
            f"--set confirm.top={2 * int(study.lessons.asked.get('top', 3))}",
        )
    ]


def at_an_edge(study: StudyFiles) -> list[Caution]:
    """The best values at an end of their range."""
    found = edges(study.lessons, study.best)
    return [
        Caution(
            f"{edge.axis.words} is best at the {'upper' if edge.side > 0 else 'lower'} end of its "
            "range",
            f"The leading trial has {edge.value:.3g}, and the best quarter of the trials leans the "
            "same way: better values may lie beyond.",
            "Widen the range and run again; trials that still fit are kept.",
            edge.setting,
        )
        for edge in found
    ]


def too_few(study: StudyFiles) -> list[Caution]:
    trials, axes = study.lessons.trials, study.lessons.axes
    if not axes or len(trials) >= PER_QUESTION * len(axes):
        return []
    least = [one["name"] for one in study.lessons.importance if one["share"] is not None][-3:]
    fixed = f" Or fix what mattered least: {_list(least)}." if least else ""
    return [
        Caution(
            f"{len(trials)} trials for {len(axes)} open questions",
            "With so few, most questions were answered in a handful of ways: what mattered and "
            "what did not can hardly be told.",
            f"More trials (about {PER_QUESTION} for each question).{fixed}",
            f"--trials {PER_QUESTION * len(axes)}",
        )
    ]


def stopped_at_once(study: StudyFiles) -> list[Caution]:
    """More trials stopped at the first rung than the scheduler is meant to stop there."""
    trials, asked = study.lessons.trials, study.lessons.asked
    judged = [one for one in trials if one.status in ("ok", "stopped")]
    if len(judged) < FEW_PAIRS or len(study.lessons.rungs) < 2:
        return []
    share = sum(one.status == "stopped" and len(one.scores) == 1 for one in judged) / len(judged)
    if share <= 1 - 1 / float(asked.get("eta", 3)) + STOPPED_MORE:
        return []
    return [
        Caution(
            f"{100 * share:.0f} % of the trials were stopped at the first rung",
            "They were judged after a fraction of their training, and what learns slowly first "
            "never had its turn.",
            "A later first rung.",
            f"--set fidelity.first={study.lessons.rungs[1]}",
        )
    ]


def ranks_disagree(study: StudyFiles) -> list[Caution]:
    """A first rung whose ranks are not shown to agree with the last's."""
    early = study.result.get("early_stopping") or {}
    agreement: Sequence[Mapping[str, Any]] = early.get("agreement") or ()
    if not agreement or not early.get("trials") or agreement[0]["trials"] < FEW_PAIRS:
        return []
    first = agreement[0]
    if number(first["low"]) > 0:
        return []
    later = next((one["samples"] for one in agreement if number(one["low"]) > 0), None)
    return [
        Caution(
            "Early ranks are not shown to foretell late ones",
            f"Scores after {first['samples']:,} samples agree with the last rung's at "
            f"{first['rho']:.2f} [{first['low']:.2f}, {first['high']:.2f}]: stopping there may "
            "have cost the best trial.",
            "Stop later, or not at all.",
            f"--set fidelity.first={later}" if later else "--set search.scheduler=none",
        )
    ]


def failing(study: StudyFiles) -> list[Caution]:
    """Pretext families of which a third or more did not come through."""
    ended: dict[str, Counter[str]] = {}
    for line in study.of_kind("trial"):
        ended.setdefault(line["pretext"], Counter())[line["status"]] += 1
    found = []
    for family, statuses in sorted(ended.items()):
        fails = Counter({status: n for status, n in statuses.items() if status in CURES})
        if fails.total() < FAILS or fails.total() < FAILS_SHARE * statuses.total():
            continue
        worst = fails.most_common(1)[0][0]
        found.append(
            Caution(
                f"{fails.total()} of {statuses.total()} trials of {family} did not come through",
                "They ended " + _list([f"{status} ({n})" for status, n in fails.items()]) + ".",
                f"{CURES[worst][0].upper()}{CURES[worst][1:]}.",
            )
        )
    return found


def _loss(study: StudyFiles) -> bool:
    return sign(str(study.result.get("metric") or "accuracy").removeprefix("probe/")) < 0


def _list(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]])) if words else ""
