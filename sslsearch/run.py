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
    args = arguments().parse_args(argv)
    space = load(args.space, overrides(args))
    if args.dry_run:
        return explain.show(space)
    folder = Path(args.out or f"runs/{space.name}")
    return search(space, folder, args.address, Path(args.source) if args.source else None)


def arguments() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="sslsearch run", description=__doc__)
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
    made.add_argument(
        "--from",
        metavar="STUDY",
        dest="source",
        help="run the best recipes of another study first, also one of other data",
    )
    made.add_argument("--dry-run", action="store_true", help="check and explain, run nothing")
    return made


def overrides(args: argparse.Namespace) -> list[str]:
    """--trials and --minutes are short for --set."""
    sets = list(args.sets)
    sets += [] if args.trials is None else [f"budget.trials={args.trials}"]
    sets += [] if args.minutes is None else [f"budget.minutes={args.minutes}"]
    return sets


def search(space: Space, folder: Path, address: str | None, source: Path | None = None) -> int:
    """Run the study in `folder`, telling the terminal; returns the exit code."""
    from sslsearch.probe.metrics import as_score
    from sslsearch.search.outcome import finish, recall
    from sslsearch.search.study import Study
    from sslsearch.track.console import Console
    from sslsearch.train.checkpoint import no_room

    signal.signal(signal.SIGTERM, _interrupt)
    budget, metric = space.budget, as_score(space.probe.judge_by)
    console = Console(space.name, budget.trials, budget.minutes, metric=metric)
    with console:
        try:
            study = Study(space, folder, Path.cwd(), console, source)
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
        except Exception as fault:
            if not no_room(fault, folder if folder.exists() else Path.cwd()):
                raise
            console.error(
                f"No room is left on the disk of {folder}. Make room and run the same command "
                "again: it goes on, and nothing that was finished is lost."
            )
            return 1
        console.summary(summary)
    return 0


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(enter("run"))
