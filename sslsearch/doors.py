"""What all doors share: which there are, and how they end.

Exit codes: 0 done, 2 the user's input is wrong (one line, no traceback), 130 interrupted, 1 a fault
of ours (with its traceback).
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

DOORS = {  # name -> its module, which has main(argv) -> int, and what it is for
    "run": (
        "sslsearch.run",
        "search a space, confirm the best recipes, hand over the best encoder",
    ),
    "explain": ("sslsearch.explain", "what a space asks and what it will cost"),
    "catalog": ("sslsearch.catalog", "the parts there are: their knobs, ranges, units, papers"),
    "export": ("sslsearch.export", "the best recipe and its encoder of a study, also as ONNX …"),
    "pretrain": ("sslsearch.pretrain", "train one recipe at full size, resumable"),
    "embed": ("sslsearch.embed", "embeddings and predictions of a file, as Parquet"),
    "report": ("sslsearch.report.__main__", "the HTML report of a study"),
    "dashboard": ("sslsearch.dashboard.__main__", "studies live in the browser, read-only"),
}


def enter(name: str, argv: Sequence[str] | None = None) -> int:
    """Run a door and return its exit code. `argv` None = the command line's own words."""
    try:
        words = list(sys.argv[1:] if argv is None else argv)
        code: int = importlib.import_module(DOORS[name][0]).main(words)
        return code
    except KeyboardInterrupt:
        sys.stderr.write(f"sslsearch {name}: interrupted\n")
        return 130
    except (ValueError, PermissionError) as fault:
        if isinstance(fault, ValueError) and not _ours(fault.__traceback__):
            raise
        sys.stderr.write(f"sslsearch {name}: {fault}\n")
        return 2


def _ours(traceback: TracebackType | None) -> bool:
    """Whether sslsearch itself raised: a library's ValueError is no word to the user."""
    last = ""
    while traceback is not None:
        last, traceback = traceback.tb_frame.f_code.co_filename, traceback.tb_next
    return Path(last).is_relative_to(Path(__file__).parent)
