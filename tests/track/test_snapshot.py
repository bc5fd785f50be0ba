"""A copy of a database in use: whole at every moment, and the original untouched."""

import hashlib
import sqlite3
import threading
from pathlib import Path

import pytest

from sslsearch.track.snapshot import snapshot, stamp

ACCOUNTS = 200


def files(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}


@pytest.fixture(params=["wal", "delete"])
def bank(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Accounts that always hold nothing in sum, with a page's worth of text each."""
    path = tmp_path / "bank.db"
    with sqlite3.connect(path) as writer:
        writer.execute(f"PRAGMA journal_mode={request.param}")
        writer.execute("CREATE TABLE account (id INTEGER PRIMARY KEY, sum INTEGER, note TEXT)")
        rows = [(i, 0, "x" * 2000) for i in range(ACCOUNTS)]
        writer.executemany("INSERT INTO account VALUES (?, ?, ?)", rows)
    writer.close()
    return path


def test_nothing_is_written(bank: Path) -> None:
    writer = sqlite3.connect(bank)
    writer.execute("UPDATE account SET sum = 7 WHERE id = 1")
    writer.commit()  # with a log it stays there: the file itself does not know it
    before, mark = files(bank.parent), stamp(bank)
    with snapshot(bank) as copy, sqlite3.connect(copy) as reader:
        assert reader.execute("SELECT sum FROM account WHERE id = 1").fetchone() == (7,)
    reader.close()
    assert files(bank.parent) == before
    assert not copy.exists()
    assert stamp(bank) == mark
    writer.execute("UPDATE account SET sum = 8 WHERE id = 1")
    writer.commit()
    assert stamp(bank) != mark
    writer.close()


def test_every_copy_is_of_one_moment(bank: Path) -> None:
    """While somebody moves sums from account to account, no copy shows half a move."""
    stop = threading.Event()

    def move() -> None:
        writer = sqlite3.connect(bank, timeout=0.0)  # would fail if a reader held a lock
        writer.execute("PRAGMA wal_autocheckpoint=20")
        step = 0
        while not stop.wait(0.002):
            step += 1
            with writer:
                giver, taker = step % ACCOUNTS, (step * 7 + 1) % ACCOUNTS
                writer.execute("UPDATE account SET sum = sum - 1 WHERE id = ?", (giver,))
                writer.execute("UPDATE account SET sum = sum + 1 WHERE id = ?", (taker,))
        writer.close()

    thread = threading.Thread(target=move)
    thread.start()
    moved = set()
    try:
        for _ in range(15):
            with snapshot(bank) as copy:
                reader = sqlite3.connect(copy)
                assert reader.execute("PRAGMA integrity_check").fetchone() == ("ok",)
                assert reader.execute("SELECT SUM(sum) FROM account").fetchone() == (0,)
                moved.add(reader.execute("SELECT GROUP_CONCAT(sum) FROM account").fetchone())
                reader.close()
    finally:
        stop.set()
        thread.join()
    assert len(moved) > 5  # it did see the writer at work


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such file"), snapshot(tmp_path / "none.db"):
        pass
