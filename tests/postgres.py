"""A PostgreSQL server of one's own on loopback, where PostgreSQL is installed."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mlflow_server import free_port

USER, PASSWORD = "tracker", "hunter2"
OWNER = "postgres"  # who runs it where we are root: PostgreSQL refuses to


def programs() -> Path | None:
    """The folder of initdb and postgres, of the newest version there is."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    known = shutil.which("initdb") or (str(found[-1]) if found else None)
    return Path(known).parent if known else None


@contextmanager
def postgres() -> Iterator[str]:
    """Start it on an empty database; its URI, with a password."""
    bin_folder = programs()
    assert bin_folder is not None
    folder, port = Path(tempfile.mkdtemp(prefix="pg-")), free_port()
    who: dict[str, Any] = {"user": OWNER} if os.getuid() == 0 else {}
    (folder / "password").write_text(PASSWORD)
    if who:
        for path in (folder, folder / "password"):
            shutil.chown(path, OWNER)
    make = [bin_folder / "initdb", "-D", folder / "data", "-U", USER, "--auth=scram-sha-256"]
    make += ["--pwfile", folder / "password", "-E", "UTF8", "--no-sync"]
    subprocess.run(make, check=True, stdout=subprocess.DEVNULL, cwd=folder, **who)
    settings = {"listen_addresses": "127.0.0.1", "port": port, "fsync": "off"}
    settings |= {"unix_socket_directories": folder}
    start = [bin_folder / "postgres", "-D", folder / "data"]
    start += [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
    with (folder.with_suffix(".log")).open("wb") as log:
        server = subprocess.Popen(start, cwd=folder, stdout=log, stderr=log, **who)
    place = f"{USER}:{PASSWORD}@127.0.0.1:{port}/postgres"
    try:
        _wait(f"postgresql://{place}")
        yield f"postgresql+psycopg2://{place}"  # bare, SQLAlchemy 2.1 wants psycopg 3
    finally:
        server.send_signal(signal.SIGINT)  # a fast shutdown
        server.wait(timeout=30)
        shutil.rmtree(folder, ignore_errors=True)
        folder.with_suffix(".log").unlink()


def _wait(uri: str) -> None:
    import psycopg2

    deadline = time.monotonic() + 60
    while True:
        try:
            psycopg2.connect(uri).close()
            return
        except psycopg2.OperationalError:
            assert time.monotonic() < deadline, "PostgreSQL does not start"
            time.sleep(0.2)
