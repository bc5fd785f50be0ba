"""A study whose nodes share nothing but a storage: a real S3 server on loopback."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import s3_server
from real_runs import begin, board, door, events, finished, flat, kill_tree, told_once, until

from sslsearch.search.announce import Announcer
from sslsearch.search.board import COLUMNS
from sslsearch.search.mirror import Mirror
from sslsearch.search.record import Record
from sslsearch.search.study_copy import INDEX
from sslsearch.space import Space
from sslsearch.track.mlflow import Tracker
from sslsearch.track.spool import Spool
from sslsearch.train.storage import Storage, storage_of
from sslsearch.values import Report


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[s3_server.Server]:
    with s3_server.serving(tmp_path_factory.mktemp("s3")) as made:
        yield made


@pytest.fixture
def s3(
    server: s3_server.Server, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Storage:
    """A prefix of its own for each test; processes that are started here find it too."""
    for key, value in server.environment.items():
        monkeypatch.setenv(key, value)
    return storage_of(f"s3://{s3_server.BUCKET}/{request.node.name}")


def plain(place: Storage) -> str:
    return place.uri.partition("?")[0]


class Driver:
    """The driver's side of a study without its slots: a record, a log and a mirror."""

    def __init__(self, space: Space, folder: Path, place: Storage) -> None:
        self.said: list[str] = []
        self.mirror = Mirror(plain(place), folder, self.said.append)
        self.mirror.restore()
        folder.mkdir(exist_ok=True)
        self.folder, self.record, self.log = folder, Record(folder, space), Spool(folder)

    def trial(self, text: str = "best") -> str:
        """A trial begins and ends, and leaves a file."""
        row = self.record.ask()
        self.log.append("trial", trial=row.name)
        self.record.finish(row.name, "stopped")
        self.log.append("finish", trial=row.name, status="stopped")
        (self.folder / "leaderboard.csv").write_text(f"{row.name} {text}")
        self.mirror.ended(row.name)
        return row.name

    def begin(self) -> None:
        self.mirror.begin(self.record.rows, False)


def test_a_lost_folder_comes_back(space: Space, s3: Storage, tmp_path: Path) -> None:
    first = Driver(space, tmp_path / "a", s3)
    first.begin()
    name = first.trial()
    (first.folder / "best").mkdir()
    (first.folder / "best" / "recipe.yaml").write_text("x")
    (first.folder / "samples").mkdir()
    (first.folder / "samples" / "large").touch()
    first.mirror.close()
    assert set(s3.names()) == {
        INDEX, "study.db", "events.jsonl", "leaderboard.csv", "best/recipe.yaml"
    }  # fmt: skip
    second = Driver(space, tmp_path / "elsewhere" / "b", s3)
    assert second.mirror.restored
    assert f"the study is taken from {plain(s3)} and goes on" in second.said[0]
    assert [row.name for row in second.record.rows()] == [name]
    assert (second.folder / "best" / "recipe.yaml").read_text() == "x"
    assert len(second.log.read()[0]) == 2
    (second.folder / "best" / "recipe.yaml").unlink()  # what goes here goes there
    second.mirror.close()
    assert "best/recipe.yaml" not in s3.names()


def test_the_newer_of_two_goes_on(space: Space, s3: Storage, tmp_path: Path) -> None:
    here = Driver(space, tmp_path / "a", s3)
    here.trial()
    here.mirror.close()
    again = Driver(space, tmp_path / "a", s3)  # the folder is as new
    assert not again.mirror.restored
    there = Driver(space, tmp_path / "b", s3)  # the study goes on elsewhere
    there.trial("newer")
    there.mirror.close()
    back = Driver(space, tmp_path / "a", s3)
    assert back.mirror.restored
    assert len(back.record.rows()) == 2
    (aside,) = tmp_path.glob("a.older-*")
    assert f"older and lies in {aside}" in back.said[0]
    again.trial("late")  # whoever was overtaken stops
    again.mirror.close()
    assert "another run of this study writes to" in again.said[0]
    s3.get("leaderboard.csv", tmp_path / "now")
    assert "newer" in (tmp_path / "now").read_text()


def test_two_studies_are_not_mixed_up(space: Space, s3: Storage, tmp_path: Path) -> None:
    Driver(space, tmp_path / "a", s3).mirror.close()
    Record(tmp_path, space)
    with pytest.raises(ValueError, match=r"holds a study and s3://.* another; give another folder"):
        Mirror(plain(s3), tmp_path, print).restore()


def test_a_study_stays_with_its_storage(space: Space, s3: Storage, tmp_path: Path) -> None:
    Driver(space, tmp_path / "a", s3).mirror.close()
    for other in (None, str(tmp_path / "copies")):
        with pytest.raises(ValueError, match=f"in {plain(s3)}; set compute.storage to it again"):
            Mirror(other, tmp_path / "a", print).restore()


def test_a_folder_cannot_hold_its_own_copy(tmp_path: Path) -> None:
    for place in (tmp_path / "a", tmp_path / "a" / "copy"):
        with pytest.raises(ValueError, match="lies in the study folder"):
            Mirror(str(place), tmp_path / "a", print)
    Mirror(str(tmp_path / "copies"), tmp_path / "a", print)


def test_an_end_that_the_log_has_not_is_told_again(
    space: Space, s3: Storage, tmp_path: Path
) -> None:
    """The driver was lost after its record had reached the storage and before its log had."""
    first = Driver(space, tmp_path / "a", s3)
    told = first.trial()
    row = first.record.ask()
    first.record.report(row.name, Report(0, 32, "ok", 0.5))
    first.record.finish(row.name, "stopped")
    first.mirror.close()
    second = Driver(space, tmp_path / "b", s3)
    announcer = Announcer.__new__(Announcer)
    announcer.folder, announcer.record = second.folder, second.record
    announcer.tracker = Tracker(second.folder, None, "x")
    announcer.catch_up()
    announcer.catch_up()
    ends = [event["trial"] for event in events(second.folder) if event["kind"] == "finish"]
    assert ends == [told, row.name]
    assert told_once(second.folder)


def test_a_copy_torn_off_is_got_again(space: Space, s3: Storage, tmp_path: Path) -> None:
    """The next driver dies while it gets the study: the record was to come last."""
    Driver(space, tmp_path / "a", s3).mirror.close()
    torn = Driver(space, tmp_path / "b", s3).folder
    (torn / "study.db").unlink()
    assert Driver(space, torn, s3).mirror.restored


def test_what_trials_left_behind_is_swept(space: Space, s3: Storage, tmp_path: Path) -> None:
    driver = Driver(space, tmp_path / "a", s3)
    over, runs = driver.trial(), driver.record.ask().name
    finalist = driver.record.add_finalist(space.default(), 1000).name
    driver.record.finish(finalist, "ok")
    left = [f"trials/{name}/rung.safetensors" for name in (over, runs, finalist, "t0099")]
    for name in [*left, f"trials/{finalist}/features.safetensors"]:
        s3.put(driver.folder / "study.db", name)
    driver.begin()
    assert s3.names("trials/") == [f"trials/{finalist}/features.safetensors", left[1]]
    driver.mirror.close()


def test_a_storage_that_goes_away_is_told_and_gets_everything(
    space: Space,
    s3: Storage,
    server: s3_server.Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sslsearch.train.storage.SILENCE_SECONDS", 1.0)
    monkeypatch.setattr("sslsearch.search.mirror.EVERY_SECONDS", 0.2)
    driver = Driver(space, tmp_path / "a", s3)
    driver.begin()
    until(lambda: s3.exists(INDEX), 20)
    server.freeze()
    try:
        driver.trial("while it was away")  # nobody waits
        until(lambda: driver.said, 20)
    finally:
        server.go_on()
    until(lambda: len(driver.said) > 1, 40)
    assert "does not answer; the search goes on" in driver.said[0]
    assert "answers again and has everything" in driver.said[1]
    s3.get("leaderboard.csv", tmp_path / "now")
    assert "while it was away" in (tmp_path / "now").read_text()
    driver.mirror.close()


def test_a_wrong_bucket_is_one_line(space_file: Path, s3: Storage, tmp_path: Path) -> None:
    more = ("--set", "compute.storage=s3://nobody/x")
    done = subprocess.run(
        door(space_file, tmp_path / "out", *more), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert "s3://nobody/x cannot be written" in line
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_study_lives_in_its_storage(space_file: Path, s3: Storage, tmp_path: Path) -> None:
    """The driver dies in mid-study and its folder with it; at the end the folder goes once more.

    Workers and floors never see the study folder: nothing of theirs lies there before it is got.
    """
    out = tmp_path / "out"
    more = ("--set", f"compute.storage={plain(s3)}", "--set", "fidelity.last=2592")
    command = door(space_file, out, *more)
    first = begin(command)
    try:
        until(lambda: len(finished(out)) >= 2, 150)
        until(lambda: s3.names("trials/t"), 60)  # another is under way
        over = finished(out)
        until(lambda: _finished_there(s3, tmp_path) >= over, 15)
        assert not (out / "trials").exists()
        assert not (out / "floors").exists()
    finally:
        kill_tree(first)
    shutil.rmtree(out)
    done = subprocess.run(command, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"the study is taken from {plain(s3)} and goes on" in flat(done.stdout)
    assert over <= finished(out)
    assert told_once(out)
    rows = board(out)
    assert list(rows.columns) == COLUMNS
    assert rows["kind"].value_counts()["trial"] == 4
    assert set(rows[rows["kind"] == "trial"]["status"]) <= {"ok", "stopped"}
    assert not s3.names("trials/t")  # losers leave nothing behind
    assert s3.exists("best/encoder.safetensors")
    assert s3.exists("report.html")
    whole = (out / "leaderboard.csv").read_text()
    shutil.rmtree(out)
    again = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "This study is finished" in flat(again.stdout)
    assert (out / "leaderboard.csv").read_text() == whole


def _finished_there(place: Storage, folder: Path) -> set[str]:
    """The trials whose end has reached the storage."""
    if not place.exists("events.jsonl"):
        return set()
    place.get("events.jsonl", folder / "there" / "events.jsonl")
    return {event["trial"] for event in events(folder / "there") if event["kind"] == "finish"}
