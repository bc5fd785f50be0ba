"""All studies: how far each is, its best score, its verdict."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from sslsearch.dashboard import words
from sslsearch.dashboard.library import Entry, Library
from sslsearch.dashboard.seen import Study
from sslsearch.track.summary import clock

SECONDS = 5.0  # between looks


def show(library: Library, chosen: Entry) -> None:
    _table(library, chosen)


@st.fragment(run_every=SECONDS)
def _table(library: Library, chosen: Entry) -> None:
    entries = library.entries()
    studies = [library.study(entry) for entry in entries]
    running = sum(words.state(study) == "running" for study in studies)
    noun = "study" if len(studies) == 1 else "studies"
    st.caption(f"{len(studies)} {noun}, {running} running. Choose one above to look into it.")
    st.dataframe(
        pd.DataFrame([_row(study) for study in studies]),
        hide_index=True,
        key="studies",
        column_config={
            "study": st.column_config.TextColumn(pinned=True),
            "best": st.column_config.TextColumn(
                help="the selection score of the best trial that came furthest, its 95 % interval "
                "and its pretext; scores of different data or probes do not compare"
            ),
            "verdict": st.column_config.TextColumn(width="large"),
        },
    )
    known = next((s for e, s in zip(entries, studies, strict=True) if e.name == chosen.name), None)
    if known is not None:
        _one(known)


def _row(study: Study) -> dict[str, str]:
    return {
        "study": study.name,
        "state": words.state(study),
        "trials": words.budget(study),
        "ended": words.counted(study),
        "metric": study.metric,
        "best": words.best(study),
        "ran for": clock(study.spent),
        "heard of": f"{words.ago(study.heard)} ago",
        "verdict": words.verdict(study),
    }


def _one(study: Study) -> None:
    """The chosen study in full sentences."""
    with st.container(border=True):
        st.markdown(f"**{study.name}**: {words.verdict(study)}")
        st.caption(f"{study.place} · {study.goal} · id {study.id}")
        tests = {
            key.removesuffix("/test").removeprefix("floor/"): value
            for key, value in study.results.items()
            if key.endswith("/test")
        }
        if tests:
            said = ", ".join(f"{name} {value:.3f}" for name, value in tests.items())
            st.markdown(f"Scores on the test split: {said}.")
