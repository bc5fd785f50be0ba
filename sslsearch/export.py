"""`python -m sslsearch.export STUDY [--to DIR] [--format FORMAT …]`: the best encoder of a study.

One format is one folder: DIR, or ./STUDY-FORMAT. Of several each is a folder of its own:
DIR/FORMAT, or ./STUDY-FORMAT. Which format serves whom: docs/export.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sslsearch.doors import enter

if TYPE_CHECKING:
    from sslsearch.formats.base import Format

BEST, LOADS = "best", ("best", "huggingface")  # the default; what sslsearch.load reads
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
    places = places_of(args.to, study.resolve().name, args.format or [BEST])
    for to in places.values():
        if to.resolve() == best.resolve():
            raise ValueError(f"{to} is where the encoder lies already; choose another with --to")
    from sslsearch import registry

    formats = {name: registry.get("format", name).make() for name in places}
    for made in formats.values():
        made.ready()
    for name, made in formats.items():
        hand_over(name, made, best, places[name])
    return 0


def places_of(to: Path | None, study: str, formats: Sequence[str]) -> dict[str, Path]:
    """Format -> the folder that it is written to."""
    names = list(dict.fromkeys(formats))
    if to is None:
        return {name: Path(f"{study}-{name}") for name in names}
    return {name: to if len(names) == 1 else to / name for name in names}


def hand_over(name: str, made: Format, best: Path, to: Path) -> None:
    """Write one format of the encoder in `best`, and say so."""
    from sslsearch.train import bundle
    from sslsearch.train.folder import swapped

    if name == BEST:
        loaded, said = bundle.copy(best, to), []
    else:
        loaded = bundle.load(best)
        said = list[str]()
        swapped(
            to, lambda folder: said.extend(made.write(loaded, folder)), made.files, made.files[0]
        )
    print(
        f"{to}: {loaded.recipe.family}, recipe {loaded.recipe.hash}, "
        f"{loaded.width} features; see {to / bundle.CARD}"
    )
    for line in said:
        print(f"  {line}")
    if name in LOADS:
        print(
            f"use it: sslsearch.load({str(to)!r}), or "
            f"python -m sslsearch.embed {to} DATA --to F.parquet"
        )


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
    parser = argparse.ArgumentParser(
        prog="sslsearch export",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("study", metavar="STUDY", help="a study's folder, or its name in runs/")
    parser.add_argument(
        "--to", type=Path, metavar="DIR", help="the folder to write (default ./STUDY-FORMAT)"
    )
    parser.add_argument(
        "--format",
        nargs="+",
        action="extend",
        metavar="FORMAT",
        help=f"what to write (default {BEST}); `sslsearch catalog format` lists what there is",
    )
    return parser


if __name__ == "__main__":
    raise SystemExit(enter("export"))
