"""`python -m sslsearch.export STUDY [--to DIR]`: the best recipe and its encoder as one folder."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from sslsearch.doors import enter

RUNS = Path("runs")  # where studies lie by default: `export NAME` finds them there


def main(argv: Sequence[str] | None = None) -> int:
    args = arguments().parse_args(argv)
    study = study_folder(args.study)
    best = study / "best"
    if not best.is_dir():
        raise ValueError(
            f"{study} has no best/ yet, its search is not finished; go on with: "
            f"python -m sslsearch.run {study / 'space.yaml'} --out {study}"
        )
    to = args.to or Path(f"{study.resolve().name}-best")
    if to.resolve() == best.resolve():
        raise ValueError(f"{to} is where the encoder lies already; choose another folder with --to")
    from sslsearch.train import bundle

    loaded = bundle.copy(best, to)
    print(
        f"{to}: {loaded.recipe.family}, recipe {loaded.recipe.hash}, "
        f"{loaded.width} features; see {to / bundle.CARD}\n"
        f"use it: sslsearch.load({str(to)!r}), or "
        f"python -m sslsearch.embed {to} DATA --to F.parquet"
    )
    return 0


def study_folder(text: str) -> Path:
    """A study by its folder, or by its name under runs/."""
    for folder in (Path(text), RUNS / text):
        if (folder / "space.yaml").is_file():
            return folder
    from sslsearch.registry import did_you_mean

    known = [path.parent.name for path in RUNS.glob("*/space.yaml")]
    hint = did_you_mean(text, known) if known else f"; there are none in {RUNS}/ either"
    raise ValueError(f"{text} is not a study (a folder with a space.yaml){hint}")


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sslsearch export", description=__doc__)
    parser.add_argument("study", metavar="STUDY", help="a study's folder, or its name in runs/")
    parser.add_argument(
        "--to", type=Path, metavar="DIR", help="the folder to write (default ./<study>-best)"
    )
    return parser


if __name__ == "__main__":
    raise SystemExit(enter("export"))
