"""The main door: `python -m sslsearch.run SPACE.yaml` searches, confirms and hands over the best.

Exit codes: 0 done, 2 the input is wrong, 130 interrupted (the same command goes on), 1 our fault.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from sslsearch import explain
from sslsearch.doors import enter
from sslsearch.space import Space, load


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    space = load(args.space, overrides(args))
    if args.dry_run:
        return explain.show(space)
    return search(space, Path(args.out or f"runs/{space.name}"), args.address)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m sslsearch.run", description=__doc__)
    made.add_argument("space", metavar="SPACE.yaml", help="what to search")
    made.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="PATH=VALUE",
        dest="sets",
        help="override a path of the YAML, as in data.source=parquet:my.parquet",
    )
    made.add_argument("--out", metavar="DIR", help="study folder (default runs/<name>)")
    made.add_argument("--trials", type=int, metavar="N", help="budget.trials")
    made.add_argument("--minutes", type=float, metavar="M", help="budget.minutes")
    made.add_argument("--address", metavar="ADDR", help="Ray cluster to join (default: start one)")
    made.add_argument("--dry-run", action="store_true", help="check and explain, run nothing")
    return made


def overrides(args: argparse.Namespace) -> list[str]:
    """--trials and --minutes are short for --set."""
    sets = list(args.sets)
    sets += [] if args.trials is None else [f"budget.trials={args.trials}"]
    sets += [] if args.minutes is None else [f"budget.minutes={args.minutes}"]
    return sets


def search(space: Space, folder: Path, address: str | None) -> int:
    """Run the study in `folder`, telling the terminal; returns the exit code."""
    from sslsearch.search.outcome import finish, recall
    from sslsearch.search.study import Study
    from sslsearch.track.console import Console

    signal.signal(signal.SIGTERM, _interrupt)
    console = Console(
        space.name, space.budget.trials, space.budget.minutes, metric=space.probe.judge_by
    )
    with console:
        try:
            study = Study(space, folder, Path.cwd(), console)
            try:
                over = study.finished
                summary = recall(study) if over else finish(study, study.run(address))
            finally:
                study.close()
            if over:
                console.note("This study is finished; a larger --trials or --minutes extends it.")
        except KeyboardInterrupt:
            console.error(f"Interrupted. Run the same command again to go on; all is in {folder}.")
            return 130
        console.summary(summary)
    return 0


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(enter("run"))
