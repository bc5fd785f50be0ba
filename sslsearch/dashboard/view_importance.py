"""Which questions of the space mattered: the share of the scores' variance that each explains."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import streamlit as st

from sslsearch.dashboard import charts
from sslsearch.dashboard.library import Entry, Library
from sslsearch.dashboard.seen import Study, at_common_rung
from sslsearch.search.importance import FEWEST, Weight, importance
from sslsearch.search.peek import peek
from sslsearch.space import load
from sslsearch.track.snapshot import Stamp, stamp

ALL = "in all trials"


def show(library: Library, chosen: Entry) -> None:
    if chosen.folder is None:
        st.info("MLflow does not keep what was asked: look at the study's folder instead.")
        return
    study = library.study(chosen)
    _, samples = at_common_rung(study.of_kind("trial"))
    weights = _weights(chosen.folder, stamp(chosen.folder / "study.db"), study)
    known = [one for one in weights if math.isfinite(one.share)]
    if not known:
        st.info(
            f"Too few trials: from {FEWEST} that came to the same rung on, this says something."
        )
        return
    st.caption(
        f"What part of the variance of {study.metric} after about {samples:,} samples each "
        "question of the space explains (fANOVA). A question that only some branches ask is judged "
        "among the trials in which it was asked. Grey: 95 % interval. Orange tick: what chance "
        "explains in 1 of 20 studies; a bar that does not pass it is no finding."
    )
    st.altair_chart(charts.weights(rows(known)), key="weights")
    with st.expander("As a table, with what could not be judged"):
        st.dataframe(pd.DataFrame(rows(weights)), hide_index=True, key="weights_table")


def rows(weights: Sequence[Weight]) -> list[dict[str, object]]:
    """A line for each question."""
    return [
        {
            "axis": one.name,
            "asked": ", ".join(f"{name} = {said}" for name, said in one.among) or ALL,
            "trials": one.trials,
            "share": one.share,
            "low": one.low,
            "high": one.high,
            "chance": one.chance,
        }
        for one in weights
    ]


@st.cache_resource(max_entries=32, show_spinner="Growing trees over the trials …")
def _weights(folder: Path, mark: Stamp, _study: Study) -> list[Weight]:
    """`mark` has changed when the record has, and what is cached is old."""
    space = load(folder / "space.yaml")
    scores, _ = at_common_rung(_study.of_kind("trial"))
    answers = {
        row.name: said
        for row in peek(folder)
        if row.name in scores and (said := space.project(row.recipe)) is not None
    }
    at_rung = [scores[name] for name in answers]
    return importance(space.questions(), list(answers.values()), at_rung)
