"""Two or more studies side by side, and what differs in their spaces."""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence

import pandas as pd
import streamlit as st

from sslsearch.dashboard import charts, words
from sslsearch.dashboard.library import Entry, Library
from sslsearch.dashboard.seen import Study, Trial
from sslsearch.track.summary import clock

MOST = 5
ABSENT = "–"


def show(library: Library, chosen: Entry) -> None:
    entries = {entry.name: entry for entry in library.entries()}
    picked = st.multiselect(
        "Studies",
        list(entries),
        default=[chosen.name] if chosen.name in entries else [],
        max_selections=MOST,
        key="compared",
    )
    if len(picked) < 2:
        st.info(f"Choose two to {MOST} studies above.")
        return
    studies = [library.study(entries[name]) for name in picked]
    names_wide = {"_index": st.column_config.TextColumn(width=120)}
    st.dataframe(facts(studies), key="facts", height="content", column_config=names_wide)
    rows = best_of_each(studies)
    if len({study.metric for study in studies}) > 1:
        st.warning("These studies are judged by different metrics: their scores do not compare.")
    if len(rows):
        st.markdown("**The best score of each pretext** with its 95 % interval")
        names = [study.name for study in studies]
        st.altair_chart(charts.side_by_side(rows, names, studies[0].metric), key="side_by_side")
    _differences(studies)


def facts(studies: Sequence[Study]) -> pd.DataFrame:
    """A column for each study, the same line for the same fact."""
    columns = {}
    for study in studies:
        said, results = study.settings(), study.results
        columns[study.name] = {
            "state": words.state(study),
            "data": said.get("data.source", ABSENT),
            "labels": said.get("data.labels", ABSENT),
            "goal": study.goal or ABSENT,
            "metric": study.metric,
            "trials": words.budget(study),
            "ended": words.counted(study),
            "minutes": said.get("budget.minutes", ABSENT),
            "full length": said.get("fidelity.last", ABSENT),
            "ran for": clock(study.spent),
            "best score": words.best(study),
            "winner, test": _figure(results.get("winner/test")),
            "default, test": _figure(results.get("default/test")),
            "verdict": words.verdict(study),
        }
    return pd.DataFrame(columns)


def best_of_each(studies: Sequence[Study]) -> pd.DataFrame:
    """The best trial of each pretext that came to its last rung, or else as far as any did."""
    rows = []
    for study in studies:
        trials = [t for t in study.of_kind("trial") if math.isfinite(t.last.score)]
        deepest = max((len(t.points) for t in trials), default=0)
        leaders: dict[str, Trial] = {}
        for trial in sorted(trials, key=lambda t: t.last.score):
            if len(trial.points) == deepest:
                leaders[trial.pretext] = trial
        for pretext, trial in leaders.items():
            point = trial.last
            rows.append(
                {
                    "study": study.name,
                    "pretext": pretext,
                    "trial": trial.id,
                    "score": point.score,
                    "low": point.low,
                    "high": point.high,
                }
            )
    return pd.DataFrame(rows)


def differences(studies: Sequence[Study]) -> pd.DataFrame:
    """The settings in which the spaces differ, by path; a column for each study."""
    said = {study.name: study.settings() for study in studies}
    paths = list(dict.fromkeys(path for settings in said.values() for path in settings))
    rows = {
        path: {name: settings.get(path, ABSENT) for name, settings in said.items()}
        for path in paths
    }
    apart = {path: row for path, row in rows.items() if len(set(row.values())) > 1}
    return pd.DataFrame.from_dict(apart, orient="index", columns=list(said))


def _differences(studies: Sequence[Study]) -> None:
    apart = differences(studies)
    st.markdown("**What differs in the spaces**")
    if apart.empty:
        st.caption("Nothing: they ask the same.")
        return
    st.dataframe(apart, key="apart")
    first = studies[0]
    for other in studies[1:]:
        with st.expander(f"{first.name} → {other.name}, line by line"):
            lines = difflib.unified_diff(
                first.space.splitlines(), other.space.splitlines(), first.name, other.name,
                lineterm="", n=1,
            )  # fmt: skip
            st.code("\n".join(lines) or "the same text", language="diff")


def _figure(value: float | None) -> str:
    return ABSENT if value is None else f"{value:.3f}"
