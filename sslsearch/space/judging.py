"""How trials are judged: whether goal, probe, metrics and floors go together."""

from __future__ import annotations

from typing import Any

import yaml

from sslsearch import registry
from sslsearch.probe.metrics import LOSSES
from sslsearch.registry import Part, did_you_mean
from sslsearch.space.errors import Faults
from sslsearch.space.knobs import BAD, read_fixed
from sslsearch.space.nodes import Fixed
from sslsearch.space.sections import COSTS, Head, Probe
from sslsearch.space.source import entries

Entries = dict[str, tuple[yaml.ScalarNode, yaml.Node]]


def check_judging(
    head: Head | None,
    probe: Probe,
    modality: str,
    here: Entries,
    root: yaml.Node,
    faults: Faults,
) -> Probe:
    """The section with what it leaves open filled in: the metric that ranks, knobs, floors."""
    part = registry.get("probe", probe.name)
    node = here["probe"][1] if "probe" in here else None
    said = entries(node) if isinstance(node, yaml.MappingNode) else {}
    if head is not None:
        at = here["goal"][1] if "goal" in here else root
        _goals(head, part, at, faults)
    ranks = list(_of(part, "ranks"))
    if probe.judge_by and probe.judge_by not in ranks:
        near = did_you_mean(probe.judge_by, ranks)
        faults.add(
            said["judge_by"][1], f"judge_by: {probe.judge_by}: no metric of probe {part.name}{near}"
        )
    filled: dict[str, Any] = {
        "judge_by": probe.judge_by or ranks[0],
        "knobs": _knobs(part, said, faults),
        "against": list(probe.against),
    }
    if "against" not in said:
        own = [name for name, floor in registry.parts("floor", modality).items() if floor.needs]
        own = [name for name in own if _only_of(name, part)]
        usual = registry.get("modality", modality).make.floors  # type: ignore[attr-defined]
        usual = [name for name in usual if _missing(name, part, modality) is None]
        filled["against"] = [*own, *usual]
    for name in probe.against:
        missing = _missing(name, part, modality)
        if missing:
            faults.add(said["against"][1], f"{name}: {missing}")
    return probe.model_copy(update=filled)


def _goals(head: Head, probe: Part, at: yaml.Node, faults: Faults) -> None:
    goals = [head.goal] if isinstance(head.goal, str) else head.goal
    if not isinstance(head.goal, str) and len(goals) < 2:
        faults.add(at, "goal: a list holds two objectives or more; write one without brackets")
    seen: set[str] = set()
    for number, goal in enumerate(goals):
        direction, metric = goal.split()
        kind, _, name = metric.partition("/")
        if metric in seen:
            faults.add(at, f"goal: {metric}: is asked for twice")
        seen.add(metric)
        if kind == "cost":
            known, right = COSTS, "minimize"
            if number == 0:
                faults.add(at, f"goal: {goal}: the first objective is the probe's, as probe/…")
        else:
            known, right = _of(probe, "metrics"), "minimize" if name in LOSSES else "maximize"
        if name not in known:
            others = _probes_with(name) if kind == "probe" else []
            cure = f"; probe {{name: {others[0]}}} measures it" if others else ""
            near = cure or did_you_mean(name, known)
            who = f"probe {probe.name}" if kind == "probe" else "cost"
            faults.add(at, f"goal: {metric}: no metric of {who} that a goal may name{near}")
        elif direction != right:
            faults.add(at, f"goal: {goal}: of {name} {_more(right)} is better: write {right}")


def _more(direction: str) -> str:
    return "more" if direction == "maximize" else "less"


def _probes_with(metric: str) -> list[str]:
    return [n for n, part in registry.parts("probe").items() if metric in _of(part, "metrics")]


def _knobs(probe: Part, said: Entries, faults: Faults) -> dict[str, Any]:
    """The probe's own knobs as written, checked."""
    if "knobs" not in said or not isinstance(said["knobs"][1], yaml.MappingNode):
        return {}
    found = {}
    for word, (key, node) in entries(said["knobs"][1]).items():
        if word not in probe.knobs.model_fields:
            near = did_you_mean(word, probe.knobs.model_fields)
            faults.add(key, f"{word}: unknown knob of probe {probe.name}{near}")
            continue
        value = read_fixed(probe.knobs, word, node, faults)
        if value is not BAD and isinstance(value, Fixed):
            found[word] = value.value
    return found


def _missing(floor: str, probe: Part, modality: str) -> str | None:
    """Why the probe cannot judge a floor, in words."""
    part = registry.get("floor", floor)
    lacking = sorted(part.needs - probe.gives)
    if not lacking:
        return None
    floors = registry.parts("floor", modality)
    fitting = [name for name, other in floors.items() if other.needs <= probe.gives]
    return (
        f"needs a probe that gives {', '.join(lacking)}, which {probe.name} does not; "
        f"floors that it can judge: {', '.join(fitting)}"
    )


def _only_of(floor: str, probe: Part) -> bool:
    """Is the floor made for what this probe alone gives?"""
    needs = registry.get("floor", floor).needs
    usual = registry.get("probe", "linear").gives
    return needs <= probe.gives and bool(needs - usual)


def _of(probe: Part, attribute: str) -> Any:
    return getattr(probe.make, attribute)
