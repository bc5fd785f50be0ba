"""Which questions of the space mattered: the share of the scores' variance each explains."""

from __future__ import annotations

import streamlit as st

from sslsearch.dashboard.library import Entry, Library


def show(library: Library, chosen: Entry) -> None:
    st.info("…")
