"""What runs now: every running trial, its rung and its curve, refreshed by itself."""

from __future__ import annotations

import time

import pandas as pd
import streamlit as st

from sslsearch.dashboard import charts, words
from sslsearch.dashboard.library import Entry, Library
from sslsearch.dashboard.seen import Study, Trial
from sslsearch.track.summary import clock, figure

SECONDS = 3.0  # between looks


def show(library: Library, chosen: Entry) -> None:
    _now(library, chosen)


@st.fragment(run_every=SECONDS)
def _now(library: Library, chosen: Entry) -> None:
    study = library.study(chosen)
    _figures(study)
    if study.live and study.state == "running":
        st.dataframe(
            _running(study),
            hide_index=True,
            key="running",
            column_config={
                "score": st.column_config.NumberColumn(format="%.3f"),
                "done": st.column_config.ProgressColumn(
                    format="percent", help="samples seen at the last rung, of all it may see"
                ),
            },
        )
    else:
        st.info(_why_nothing(study))
    trials = study.of_kind("trial")
    if not any(trial.points for trial in trials):
        st.caption("No trial has come to a rung yet.")
        return
    leader = study.best
    bright = [trial.id for trial in study.live] or ([leader.id] if leader else [])
    what = "those that run now" if study.live else "the best"
    st.markdown(f"**How trials learn.** Thick: {what}. Dashed: floors.")
    st.altair_chart(charts.curves(study, bright, words.families(trials)), key="curves")


def _figures(study: Study) -> None:
    leader = study.best
    cells = {
        "state": "silent" if study.silent(time.time()) else study.state,
        "trials": words.budget(study),
        "running now": str(len(study.live)) if study.state == "running" else "0",
        f"best {study.metric}": figure(leader.last.score) if leader else "–",
        "ran for": clock(_elapsed(study)),
    }
    for place, (name, value) in zip(st.columns(len(cells)), cells.items(), strict=True):
        place.metric(name, value)


def _elapsed(study: Study) -> float:
    running = study.state == "running" and not study.silent(time.time())
    return study.spent + (time.time() - study.heard if running else 0.0)


def _running(study: Study) -> pd.DataFrame:
    return pd.DataFrame([_row(trial) for trial in study.live])


def _row(trial: Trial) -> dict[str, object]:
    last = int(trial.params.get("fidelity.last", "0").replace("_", "") or 0)
    return {
        "trial": trial.id,
        "pretext": trial.pretext,
        "augment": " + ".join(trial.augments) or "none",
        "batch size": trial.params.get("optim.batch_size", ""),
        "rungs": len(trial.points),
        "done": min(1.0, trial.last.samples / last) if last else None,
        "score": trial.last.score,
        "age": words.ago(trial.began),
        "last word": f"{words.ago(trial.heard)} ago",
    }


def _why_nothing(study: Study) -> str:
    if study.state == "finished":
        return "This study is finished: nothing runs. A larger --trials or --minutes extends it."
    if study.state == "paused":
        return "This study is paused: the same `sslsearch run` goes on where it stopped."
    return "No trial runs at the moment: slots are starting, or the floors are being computed."
