"""A real S3 server on loopback (moto's), with one bucket; it may be frozen and go on."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.fs as arrow
import pytest
from mlflow_server import free_port

BUCKET = "studies"
KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}


@dataclass(frozen=True)
class Server:
    process: Any
    endpoint: str

    @property
    def environment(self) -> dict[str, str]:
        """What a client of this server must find in its environment."""
        return {**KEYS, "AWS_ENDPOINT_URL": self.endpoint, "AWS_EC2_METADATA_DISABLED": "true"}

    def freeze(self) -> None:
        """Answer nobody."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self.process.send_signal(signal.SIGCONT)


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Server]:
    pytest.importorskip("moto.server", reason="moto[server] is not installed")
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with (folder / "s3.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **KEYS})
    server = Server(process, f"http://127.0.0.1:{port}")
    try:
        _make_bucket(server)
        yield server
    finally:
        server.go_on()
        process.kill()
        process.wait()


def _make_bucket(server: Server) -> None:
    files = arrow.S3FileSystem(
        access_key="testing",
        secret_key="testing",
        region="us-east-1",
        endpoint_override=server.endpoint,
        allow_bucket_creation=True,
    )
    deadline = time.monotonic() + 60
    while True:
        try:
            return files.create_dir(BUCKET)
        except OSError:
            assert time.monotonic() < deadline
            assert server.process.poll() is None
            time.sleep(0.1)
