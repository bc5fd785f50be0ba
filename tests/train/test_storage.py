"""A storage keeps whole files: in a folder, and on a real S3 server."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import s3_server

from sslsearch.train import storage
from sslsearch.train.storage import Storage, storage_of


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[s3_server.Server]:
    with s3_server.serving(tmp_path_factory.mktemp("s3")) as made:
        yield made


@pytest.fixture
def on_s3(server: s3_server.Server, monkeypatch: pytest.MonkeyPatch) -> Storage:
    for key, value in server.environment.items():
        monkeypatch.setenv(key, value)
    return storage_of(f"s3://{s3_server.BUCKET}/here")


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "s3":
        made: Storage = request.getfixturevalue("on_s3")
        return made
    return storage_of(tmp_path / "storage")


def test_what_is_put_is_got(place: Storage, tmp_path: Path) -> None:
    place.check()
    large, empty = tmp_path / "large", tmp_path / "empty"
    large.write_bytes(os.urandom(12 << 20))  # more than one part of an upload
    empty.touch()
    place.put(large, "a/b/large")
    place.put(empty, "a/empty")
    place.put(empty, "ab")
    assert place.names() == ["a/b/large", "a/empty", "ab"]
    assert place.names("a/") == ["a/b/large", "a/empty"]
    assert place.names("a/b") == ["a/b/large"]
    assert place.names("nothing/") == []
    assert place.exists("a/b/large")
    assert not place.exists("a/b")  # no file
    place.get("a/b/large", tmp_path / "new" / "copy")
    assert (tmp_path / "new" / "copy").read_bytes() == large.read_bytes()
    large.write_text("changed")
    place.put(large, "a/b/large")
    place.get("a/b/large", tmp_path / "new" / "copy")
    assert (tmp_path / "new" / "copy").read_text() == "changed"
    for name in place.names():
        place.delete(name)
    place.delete("a/empty")  # gone already
    assert place.names() == []


def test_what_is_not_there_leaves_what_was(place: Storage, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.write_text("mine")
    with pytest.raises(FileNotFoundError):
        place.get("nowhere", mine)
    assert mine.read_text() == "mine"
    with pytest.raises(FileNotFoundError):
        place.put(tmp_path / "nothing", "never")
    assert not place.exists("never")
    assert not [path for path in tmp_path.rglob("*") if path.suffix == storage.PART]


def test_its_uri_needs_no_environment(
    on_s3: Storage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "x").write_text("x")
    on_s3.put(tmp_path / "x", "x")
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    assert storage_of(on_s3.uri).names() == ["x"]
    on_s3.delete("x")


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("ftp://host/x", "ftp:// is no storage; write s3://"),
        ("s3:///x", "names no bucket"),
        ("s3://key:secret@bucket/x", "s3://…@bucket holds a password"),
        ("s3://bucket/x?colour=red", "colour is not understood"),
    ],
)
def test_an_address_that_makes_no_sense(place: str, words: str) -> None:
    with pytest.raises(ValueError, match=words.replace("?", r"\?")) as fault:
        storage_of(place)
    assert "secret" not in str(fault.value)


def test_a_bucket_that_is_not_there(
    server: s3_server.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in server.environment.items():
        monkeypatch.setenv(key, value)
    with pytest.raises(ValueError, match=r"s3://nobody/x cannot be written.*AWS_ACCESS_KEY_ID"):
        storage_of("s3://nobody/x").check()


@pytest.mark.parametrize("frozen", [False, True])
def test_a_server_that_does_not_answer_is_told_within_seconds(
    frozen: bool, server: s3_server.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in server.environment.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setattr(storage, "SILENCE_SECONDS", 1.0)
    address = f"s3://{s3_server.BUCKET}/x"
    if frozen:
        server.freeze()
    else:
        address += "?endpoint_override=http://127.0.0.1:9"
    began = time.monotonic()
    try:
        with pytest.raises(ValueError, match="cannot be written") as fault:
            storage_of(address).check()
    finally:
        server.go_on()
    assert time.monotonic() - began < 15
    assert "\n" not in str(fault.value)


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="who may write there"):
        storage_of(tmp_path / "file" / "x").check()
