"""`python -m sslsearch.dashboard [RUNS]`: the app on this machine's loopback, read-only."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from sslsearch.doors import enter

PORT = 8501
FLAGS = {  # Streamlit's settings: nothing is told to anyone, nothing is taken in
    "browser.gatherUsageStats": "false",
    "client.showErrorDetails": "none",
    "client.toolbarMode": "viewer",
    "server.fileWatcherType": "none",
    "server.maxUploadSize": "1",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until interrupted; exit code 2 where Streamlit or the folder is missing."""
    args = arguments().parse_args(argv)
    if importlib.util.find_spec("streamlit") is None:
        raise ValueError("the dashboard needs Streamlit: pip install 'sslsearch[dashboard]'")
    if not args.runs.is_dir():
        raise ValueError(f"{args.runs}: there is no such folder; name one that holds studies")
    settings = FLAGS | {
        "server.address": args.host,
        "server.port": str(args.port),
        "server.headless": "false" if args.open else "true",
    }
    words = [word for key, value in settings.items() for word in (f"--{key}", value)]
    own = [str(args.runs), *(["--mlflow", args.mlflow] if args.mlflow else [])]
    app = Path(__file__).with_name("app.py")
    command = [sys.executable, "-m", "streamlit", "run", str(app), *words, "--", *own]
    sys.stdout.flush()
    os.execv(sys.executable, command)  # Streamlit takes this process over, with its signals


def arguments() -> argparse.ArgumentParser:
    """What the door and the app understand."""
    made = argparse.ArgumentParser(prog="sslsearch dashboard", description=__doc__)
    made.add_argument(
        "runs", nargs="?", type=Path, default=Path("runs"), help="a folder of studies, or a study"
    )
    made.add_argument(
        "--mlflow",
        metavar="URI",
        help="also the studies of this MLflow, such as http://… or sqlite:///mlflow.db "
        "(default: mlflow.db in this directory, if there is one; none = without)",
    )
    made.add_argument("--port", type=int, default=PORT, help=f"default {PORT}")
    made.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on (default 127.0.0.1: this machine alone; there is no password)",
    )
    made.add_argument("--open", action="store_true", help="open a browser")
    return made


if __name__ == "__main__":
    sys.exit(enter("dashboard"))
