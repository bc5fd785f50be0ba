"""The event log: what is appended is read back, whatever was torn or left half shipped."""

import json

from sslsearch.track.spool import Spool


def test_events_come_back_in_order_and_from_any_offset(tmp_path):
    spool = Spool(tmp_path)
    for number in range(5):
        spool.append("trial", trial=str(number))
    first, middle = spool.read(limit=2)
    rest, end = spool.read(middle)
    assert [event["trial"] for event in first + rest] == list("01234")
    assert spool.read(end) == ([], end)
    assert end == spool.path.stat().st_size


def test_a_torn_last_line_is_skipped_and_what_follows_is_kept(tmp_path):
    spool = Spool(tmp_path)
    spool.append("trial", trial="a")
    spool.close()
    with spool.path.open("ab") as file:
        file.write(b'{"kind": "report", "time": 12, "sco')
    events, offset = Spool(tmp_path).read()  # opening closes the torn line
    assert [event["trial"] for event in events] == ["a"]
    again = Spool(tmp_path)
    again.append("trial", trial="b")
    assert [event["trial"] for event in again.read()[0]] == ["a", "b"]
    assert [event["trial"] for event in again.read(offset)[0]] == ["b"]


def test_a_line_still_being_written_is_not_consumed(tmp_path):
    spool = Spool(tmp_path)
    spool.append("trial", trial="a")
    whole = spool.path.stat().st_size
    with spool.path.open("ab") as file:
        file.write(b'{"kind": "trial"')
    assert spool.read()[1] == whole


def test_numbers_json_cannot_say_become_null(tmp_path):
    spool = Spool(tmp_path)
    spool.append("report", score=float("nan"), high=float("inf"), rows=[("loss", 0.5, 3)])
    text = spool.path.read_text()
    event = json.loads(text, parse_constant=refuse)
    assert event["score"] is None
    assert event["high"] is None
    assert event["rows"] == [["loss", 0.5, 3]]


def refuse(word):
    raise AssertionError(f"{word} is not JSON")


def test_each_target_has_its_own_cursor_and_no_password_is_stored(tmp_path):
    spool = Spool(tmp_path)
    spool.append("trial", trial="a")
    spool.mark_shipped("http://me:hunter2@here|x", 10)
    assert spool.shipped("http://me:hunter2@here|x") == 10
    assert spool.shipped("sqlite:///x") == 0
    assert "hunter2" not in (tmp_path / "events.shipped.json").read_text()


def test_a_cursor_beyond_the_log_starts_over(tmp_path):
    spool = Spool(tmp_path)
    spool.mark_shipped("x", 10**6)
    assert spool.shipped("x") == 0
