"""The leaderboard of a study, with intervals and floors."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd
import streamlit as st

from sslsearch.dashboard import charts, words
from sslsearch.dashboard.library import Entry, Library
from sslsearch.dashboard.seen import Study, Trial, number

ORDER = {"finalist": 0, "trial": 1, "floor": 2}
DRAWN = 30  # rows with an interval in the chart
HELP = {
    "score": "the selection score at the last rung reached; higher is better",
    "test": "on the test split: finalists and floors only, once they are confirmed",
    "samples": "trained on; scores of trials that saw different numbers do not compare",
}


def show(library: Library, chosen: Entry) -> None:
    study = library.study(chosen)
    if not study.trials:
        st.info("No trial has begun yet.")
        return
    rows = _filtered(study)
    st.caption(
        f"{len(rows)} of {len(study.trials)} rows. Finalists first, then trials, then floors; in "
        "each, who came furthest, then by score. A click on a heading sorts."
    )
    st.dataframe(
        frame(rows),
        hide_index=True,
        height=min(420, 40 + 35 * max(1, len(rows))),
        placeholder="",
        key="board",
        column_config={
            **{k: st.column_config.NumberColumn(format=v) for k, v in words.TABLE.items()},
            "score": st.column_config.NumberColumn(format="%.3f", help=HELP["score"]),
            "test": st.column_config.NumberColumn(format="%.3f", help=HELP["test"]),
            "augment": st.column_config.TextColumn(width="medium"),
            "samples": st.column_config.NumberColumn(format="localized", help=HELP["samples"]),
        },
    )
    judged = [row for row in rows if row.kind != "floor"][:DRAWN]
    if any(math.isfinite(row.last.score) for row in judged):
        st.markdown(
            f"**{study.metric}** with 95 % intervals, the first {len(judged)}; dashed: floors"
        )
        families = words.families(study.trials)
        st.altair_chart(charts.intervals(study, judged, families), key="intervals")


def _filtered(study: Study) -> list[Trial]:
    """What the three filters leave, in the order of leaderboard.csv."""
    first, second, third = st.columns(3)
    kinds = first.pills(
        "Kind", list(ORDER), selection_mode="multi", default=list(ORDER), key="kinds"
    )
    pretexts = second.multiselect(
        "Pretext", words.families(study.trials), placeholder="all", key="pretexts"
    )
    statuses = third.multiselect(
        "Status",
        sorted({trial.status for trial in study.trials}),
        placeholder="all",
        key="statuses",
    )
    kept = [
        trial
        for trial in study.trials
        if trial.kind in kinds
        and (not pretexts or trial.pretext in pretexts)
        and (not statuses or trial.status in statuses)
    ]
    return sorted(kept, key=_order)


def _order(trial: Trial) -> tuple[int, int, float]:
    score = trial.last.score if math.isfinite(trial.last.score) else -math.inf
    return ORDER.get(trial.kind, 1), -len(trial.points), -score


def frame(trials: Sequence[Trial]) -> pd.DataFrame:
    """Trials as a table; the column of messages only if there is one."""
    table = pd.DataFrame(
        [
            {
                "kind": trial.kind,
                "id": trial.id,
                "status": trial.status,
                "score": trial.last.score,
                "low": trial.last.low,
                "high": trial.last.high,
                "test": trial.test,
                "pretext": trial.pretext,
                "augment": " + ".join(trial.augments),
                "encoder": trial.params.get("encoder", ""),
                "batch size": number(trial.params.get("optim.batch_size")),
                "rungs": len(trial.points) if trial.kind != "floor" else None,
                "samples": trial.last.samples if trial.kind != "floor" else None,
                "seconds": trial.seconds if trial.kind != "floor" else None,
                "recipe": trial.recipe,
                "message": trial.message,
            }
            for trial in trials
        ]
    )
    return table if table["message"].any() else table.drop(columns="message")
