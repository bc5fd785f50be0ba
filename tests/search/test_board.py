"""leaderboard.csv: its columns, its order, never half-written."""

from pathlib import Path

import pandas as pd

from sslsearch.search.board import COLUMNS, Line, write_board
from sslsearch.space import Goal


def test_columns_and_order(tmp_path: Path) -> None:
    path = tmp_path / "leaderboard.csv"
    lines = [
        Line("floor", "raw", "ok", 0.9),
        Line("trial", "t0", "ok", 0.3, rung=3, samples_seen=3600),
        Line("trial", "t1", "stopped", 0.8, rung=1, samples_seen=1216),
        Line("trial", "t2", "ok", 0.5, rung=3, samples_seen=3616),
        Line("trial", "t3", "nan", float("nan"), rung=1),
        Line("finalist", "f0", "ok", 0.4, test_score=0.7, rung=3),
    ]
    write_board(path, lines, Goal(("maximize probe/accuracy",)))
    frame = pd.read_csv(path)
    assert list(frame.columns) == COLUMNS
    assert list(frame["id"]) == ["f0", "t2", "t0", "t1", "t3", "raw"]
    assert list(frame["rank"]) == [1, 2, 3, 4, 5, 6]
    assert list(tmp_path.iterdir()) == [path]
