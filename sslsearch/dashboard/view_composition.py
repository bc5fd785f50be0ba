"""Which augmentations with which pretext, how often, how well, and how strong."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st

from sslsearch.dashboard import charts, words
from sslsearch.dashboard.library import Entry, Library
from sslsearch.dashboard.seen import Study, Trial, at_common_rung
from sslsearch.dashboard.view_board import frame

NONE = "(none)"
BINS, FEWEST = 5, 3  # of a strength curve, and trials in each of them
WIDE = 8.0  # the largest strength over the smallest from which on the axis is logarithmic


def show(library: Library, chosen: Entry) -> None:
    study = library.study(chosen)
    trials = study.of_kind("trial")
    scores, samples = at_common_rung(trials)
    if not scores:
        st.info("No trial has come to a rung yet.")
        return
    st.caption(
        f"All scores are {study.metric} after about {samples:,} samples, the furthest rung that at "
        f"least half of the trials reached ({len(scores)} trials). The sampler tries more of what "
        "works, so a cell with few trials says little."
    )
    st.altair_chart(charts.heat(cells(trials, scores), study.metric), key="heat")
    _of_a_set(trials, scores)
    _strength(study, trials, scores)


def cells(trials: Sequence[Trial], scores: Mapping[str, float]) -> pd.DataFrame:
    """Trials and mean score of each augmentation with each pretext; rows by overall mean."""
    rows = [
        {"augmentation": name, "pretext": trial.pretext, "score": scores[trial.id]}
        for trial in trials
        if trial.id in scores
        for name in trial.augments or (NONE,)
    ]
    table = pd.DataFrame(rows)
    order = table.groupby("augmentation")["score"].mean().sort_values(ascending=False).index
    grouped = table.groupby(["augmentation", "pretext"])["score"].agg(["mean", "count"])
    found = grouped.rename(columns={"count": "trials"}).reset_index()
    found["label"] = [f"{n} trial{'s' if n != 1 else ''}" for n in found["trials"]]
    found["place"] = [list(order).index(name) for name in found["augmentation"]]
    return found.sort_values(["place", "pretext"]).drop(columns="place").reset_index(drop=True)


def _of_a_set(trials: Sequence[Trial], scores: Mapping[str, float]) -> None:
    names = sorted({name for trial in trials for name in trial.augments})
    if not names:
        return
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    wanted = left.multiselect(
        "Trials that have these augmentations", names, placeholder="any", key="wanted"
    )
    alone = right.toggle("and no others", key="alone")
    found = [
        trial
        for trial in trials
        if set(wanted) <= set(trial.augments) and (not alone or len(trial.augments) == len(wanted))
    ]
    known = [scores[trial.id] for trial in found if trial.id in scores]
    mean = f"; mean at the common rung {sum(known) / len(known):.3f}" if known else ""
    st.caption(f"{len(found)} of {len(trials)} trials{mean}")
    st.dataframe(
        frame(sorted(found, key=lambda t: -scores.get(t.id, -math.inf))).drop(
            columns=["kind", "test"]
        )
        if found
        else pd.DataFrame(),
        hide_index=True,
        height=250,
        placeholder="",
        key="having",
        column_config={k: st.column_config.NumberColumn(format=v) for k, v in words.TABLE.items()},
    )


def _strength(study: Study, trials: Sequence[Trial], scores: Mapping[str, float]) -> None:
    knobs = strengths(trials, scores)
    if not knobs:
        return
    knob = st.selectbox("Strength of", sorted(knobs), key="knob")
    rows = [
        {"trial": t.id, "pretext": t.pretext, "strength": knobs[knob][t.id], study.metric: s}
        for t in trials
        if t.id in knobs[knob] and math.isfinite(s := scores.get(t.id, math.nan))
    ]
    dots = pd.DataFrame(rows)
    values = dots["strength"]
    log = values.min() > 0 and values.max() >= WIDE * values.min()
    bins = means(dots["strength"], dots[study.metric])
    chart = charts.strength(dots, bins, (knob, study.metric), log, words.families(trials))
    st.altair_chart(chart, key="strength")
    st.caption(
        "Grey: the mean of neighbours in strength, with its 95 % interval; all pretexts together."
        if len(bins)
        else f"Too few trials for a curve: {2 * FEWEST} are needed."
    )


def strengths(trials: Sequence[Trial], scores: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """By knob of an augmentation that was searched: its value in each trial that has a score."""
    found: dict[str, dict[str, float]] = {}
    for trial in trials:
        for name, text in trial.params.items():
            if name.startswith("augment.") and trial.id in scores:
                try:
                    found.setdefault(name.removeprefix("augment."), {})[trial.id] = float(text)
                except ValueError:
                    continue  # a choice, not a strength
    return {name: values for name, values in found.items() if len(set(values.values())) > 2}


def means(strength: pd.Series, score: pd.Series) -> pd.DataFrame:
    """Mean score and its 95 % interval in groups of about equally many neighbours."""
    count = min(BINS, len(strength) // FEWEST)
    if count < 2:
        return pd.DataFrame(columns=["strength", "mean", "low", "high"])
    place = pd.qcut(strength.rank(method="first"), count, labels=False)
    table = pd.DataFrame({"strength": strength, "score": score}).groupby(place)
    mean, wide = table["score"].mean(), 1.96 * table["score"].sem().fillna(0.0)
    return pd.DataFrame(
        {
            "strength": table["strength"].median(),
            "mean": mean,
            "low": mean - wide,
            "high": mean + wide,
        }
    )
