"""The app's frame: which study, which view. `streamlit run` starts it anew at every click."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import streamlit as st

from sslsearch.dashboard import (
    view_board,
    view_compare,
    view_composition,
    view_importance,
    view_live,
    view_studies,
)
from sslsearch.dashboard.__main__ import arguments
from sslsearch.dashboard.library import Entry, Library

VIEWS: dict[str, Callable[[Library, Entry], None]] = {
    "Studies": view_studies.show,
    "Live": view_live.show,
    "Leaderboard": view_board.show,
    "Importance": view_importance.show,
    "Composition": view_composition.show,
    "Compare": view_compare.show,
}
NONE_HERE = """
**No study here.** `{root}` holds none, nor does a folder in it. A study is what a search leaves:

```
python -m sslsearch.run search_spaces/timeseries.yaml
python -m sslsearch.dashboard runs
```
"""
STYLE = """<style>
.block-container {padding-top: 3.6rem; padding-bottom: 2rem}
[data-testid="stMetricValue"] {font-size: 1.6rem}
</style>"""
OWN_MLFLOW = Path("mlflow.db")  # where a search in this directory keeps its runs


def main(argv: Sequence[str] | None = None) -> None:
    """Draw the page."""
    args, _ = arguments().parse_known_args(sys.argv[1:] if argv is None else argv)
    st.set_page_config("sslsearch", layout="wide", initial_sidebar_state="collapsed")
    st.html(STYLE)
    library = _library(args.runs.absolute(), _mlflow(args.mlflow))
    entries = library.entries()
    if library.trouble:
        st.warning(f"{library.trouble}. Folders are shown without it.")
    if not entries:
        st.title("sslsearch")
        st.info(NONE_HERE.format(root=args.runs))
        return
    by_name = {entry.name: entry for entry in entries}
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        name = st.selectbox("Study", list(by_name), key="study", bind="query-params", width=320)
        view = st.segmented_control(
            "View", list(VIEWS), default="Studies", required=True, key="view", bind="query-params"
        )
    try:
        VIEWS[view or "Studies"](library, by_name[name or entries[0].name])
    except (ValueError, FileNotFoundError) as fault:
        st.warning(f"{fault}. It may just have been moved or removed: reload the page.")


@st.cache_resource(show_spinner=False)
def _library(root: Path, mlflow: str | None) -> Library:
    return Library(root, mlflow)


def _mlflow(given: str | None) -> str | None:
    if given is None:
        return f"sqlite:///{OWN_MLFLOW.absolute()}" if OWN_MLFLOW.exists() else None
    return None if given == "none" else given


if __name__ == "__main__":
    main()
