"""Whole files in one place that every node reaches: a folder, s3:// or gs://; through Arrow.

A file has a name with slashes. It is put whole or not at all and got whole or not at all; whoever
puts last wins. Credentials come from the environment, as they do for any client of the store.
"""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pyarrow.fs as arrow

SCHEMES = ("s3", "gs")
OPTIONS = {"s3": ("endpoint_override", "region", "scheme"), "gs": ("endpoint_override", "scheme")}
PART = ".part"  # what is still being written has this ending, in a folder
CONNECT_SECONDS, SILENCE_SECONDS, TRIES = 3.0, 5.0, 2  # of one call; who calls may try again
FIRST_WAIT, LAST_WAIT = 0.5, 10.0  # seconds between tries of who insists
FULL = (errno.ENOSPC, errno.EDQUOT)  # of the local disk: waiting does not help
CURES = {
    "s3": "check the bucket's name, the credentials (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
    "AWS_PROFILE or the machine's role) and, where it is not AWS, AWS_ENDPOINT_URL",
    "gs": "check the bucket's name and the credentials (GOOGLE_APPLICATION_CREDENTIALS or the "
    "machine's service account)",
    "": "check the path and who may write there",
}


class Storage:
    """The files under one URI; made by `storage_of`.

    Attributes:
        uri: leads to the same place from another process, whatever its environment says of
            endpoint and region.
    """

    def __init__(self, uri: str, files: Any, root: str) -> None:
        self.uri, self._files, self._root = uri, files, root
        self._folder = isinstance(files, arrow.LocalFileSystem)

    def put(self, local: Path, name: str) -> None:
        """Copy the file `local` here as `name`, in the place of what was there."""
        path = self._path(name)
        if not self._folder:  # an object is there once it is whole
            self._copy(arrow.LocalFileSystem(), local, self._files, path)
            return
        part = f"{path}.{uuid.uuid4().hex[:8]}{PART}"
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        try:
            self._copy(arrow.LocalFileSystem(), local, self._files, part)
            Path(part).replace(path)
        finally:
            Path(part).unlink(missing_ok=True)

    def get(self, name: str, local: Path) -> None:
        """Copy `name` from here to the file `local`, in the place of what was there.

        Raises:
            FileNotFoundError: there is none; `local` is as it was.
        """
        part = local.with_name(f"{local.name}.{uuid.uuid4().hex[:8]}{PART}")
        local.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._copy(self._files, self._path(name), arrow.LocalFileSystem(), part)
            part.replace(local)
        finally:
            part.unlink(missing_ok=True)

    def exists(self, name: str) -> bool:
        found = self._files.get_file_info(self._path(name))
        return bool(found.type == arrow.FileType.File)

    def names(self, prefix: str = "") -> list[str]:
        """Of all files here whose name begins so, sorted."""
        base = self._path(prefix.rpartition("/")[0])
        chosen = arrow.FileSelector(base, recursive=True, allow_not_found=True)
        files = [i for i in self._files.get_file_info(chosen) if i.type == arrow.FileType.File]
        names = (file.path.removeprefix(self._root).lstrip("/") for file in files)
        return sorted(
            name
            for name in names
            if name.startswith(prefix) and not name.endswith(PART) and ".." not in name.split("/")
        )

    def delete(self, name: str) -> None:
        """Remove a file; it need not be there."""
        with contextlib.suppress(FileNotFoundError):
            self._files.delete_file(self._path(name))

    def check(self) -> None:
        """Put a small file here, look for it and remove it.

        Raises:
            ValueError: that cannot be done; in one line, with the cure.
        """
        name = f".check-{uuid.uuid4().hex}"
        shown = self.uri.partition("?")[0]
        try:
            with tempfile.TemporaryDirectory() as folder:
                small = Path(folder) / "small"
                small.write_text("sslsearch was here\n")
                self.put(small, name)
                there = self.exists(name)
                self.delete(name)
        except OSError as fault:
            reason = str(fault).splitlines()[0].partition(" (Request ID")[0]
            scheme = "" if self._folder else self.uri.partition(":")[0]
            raise ValueError(f"{shown} cannot be written: {reason}; {CURES[scheme]}") from fault
        if not there:
            raise ValueError(f"{shown} does not keep what is put there")

    def _path(self, name: str) -> str:
        return "/".join(part for part in (self._root, name) if part)

    def _copy(self, source: Any, there: Path | str, target: Any, here: Path | str) -> None:
        arrow.copy_files(
            str(there), str(here), source_filesystem=source, destination_filesystem=target
        )


def storage_of(place: str | Path) -> Storage:
    """The storage at `s3://bucket/prefix`, `gs://bucket/prefix`, `file:///path` or a path.

    After a `?` may stand `endpoint_override`, `region` and `scheme`, as in Arrow's URIs; of S3 the
    environment may say the same: AWS_ENDPOINT_URL (or AWS_ENDPOINT_URL_S3), AWS_REGION.

    Raises:
        ValueError: the address makes no sense, or holds a password.
    """
    text = str(place).removeprefix("file://")
    scheme, mark, _ = text.partition("://")
    if not mark:
        folder = Path(text).expanduser().resolve()
        return Storage(str(folder), arrow.LocalFileSystem(), folder.as_posix())
    if scheme not in SCHEMES:
        raise ValueError(f"{scheme}:// is no storage; write s3://bucket/prefix, gs://… or a path")
    parts = urlsplit(text)
    if "@" in parts.netloc:
        raise ValueError(
            f"{scheme}://…@{parts.netloc.rpartition('@')[2]} holds a password; {CURES[scheme]}"
        )
    if not parts.netloc:
        raise ValueError(f"{text} names no bucket; write {scheme}://bucket/prefix")
    options = _options(scheme, parts.netloc, dict(parse_qsl(parts.query)))
    root = parts.netloc + parts.path.rstrip("/")
    query = f"?{urlencode(options)}" if options else ""
    return Storage(f"{scheme}://{root}{query}", _files(scheme, options), root)


def insist(
    do: Callable[[], None],
    seconds: float,
    fault: type[Exception] | tuple[type[Exception], ...] = OSError,
) -> None:
    """Do it, again and again while that ends in `fault`, for `seconds` at most."""
    deadline, wait = time.monotonic() + seconds, FIRST_WAIT
    while True:
        try:
            return do()
        except FileNotFoundError:
            raise  # the storage has answered
        except fault as reason:
            full = getattr(reason, "errno", None) in FULL
            if full or time.monotonic() + wait > deadline:
                raise
        time.sleep(wait)
        wait = min(2 * wait, LAST_WAIT)


def _options(scheme: str, bucket: str, written: dict[str, str]) -> dict[str, str]:
    """Those of the address, then those of the environment."""
    if unknown := set(written) - set(OPTIONS[scheme]):
        raise ValueError(
            f"{scheme}://{bucket}: {', '.join(sorted(unknown))} is not understood after the `?`; "
            f"what is: {', '.join(OPTIONS[scheme])}"
        )
    if scheme != "s3":
        return written
    told = {
        "endpoint_override": _first("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
        "region": _first("AWS_REGION", "AWS_DEFAULT_REGION"),
    }
    options = {key: value for key, value in told.items() if value} | written
    if "endpoint_override" in options:  # not AWS: the region is a matter of form
        options.setdefault("region", "us-east-1")
    return options


def _first(*variables: str) -> str | None:
    return next((os.environ[name] for name in variables if os.environ.get(name)), None)


def _files(scheme: str, options: Mapping[str, str]) -> Any:
    """Arrow's file system. A call gives up after seconds: who waits for a store decides himself."""
    if scheme == "gs":
        return arrow.GcsFileSystem(
            retry_time_limit=timedelta(seconds=SILENCE_SECONDS), **dict(options)
        )
    return arrow.S3FileSystem(
        connect_timeout=CONNECT_SECONDS,
        request_timeout=SILENCE_SECONDS,
        retry_strategy=arrow.AwsStandardS3RetryStrategy(max_attempts=TRIES),
        **options,
    )
