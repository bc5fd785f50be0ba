"""`python -m sslsearch.pretrain RECIPE.yaml`: one recipe at full size on Ray Train, resumable.

The same command again goes on from where the training was saved, exactly: it takes the steps that
it would have taken. It is saved at every look of the probe, every few minutes, and when the process
is asked to end (SIGTERM, Ctrl-C). With several nodes the folder must be on storage that all share.

`compute.workers_per_trial: 2..8` (or --workers 2..8) trains with as many workers as the cluster has
room for, and follows it. docs/pretrain.md says what to expect.
"""

from __future__ import annotations

import argparse
import signal
from collections.abc import Sequence
from pathlib import Path

from sslsearch.doors import enter
from sslsearch.space import Space, load
from sslsearch.values import Recipe


def main(argv: Sequence[str] | None = None) -> int:
    args = arguments().parse_args(argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sets = [*args.sets]
    sets += [] if args.samples is None else [f"fidelity.last={args.samples}"]
    sets += [] if args.workers is None else [f"compute.workers_per_trial={args.workers}"]
    space = load(args.recipe, sets)
    recipe = recipe_of(space, args.recipe)
    _refuse(args)
    from sslsearch.search.job import Job

    out = (args.out or default_out(space)).resolve()
    job = Job(
        space,
        recipe,
        out,
        probes=args.probes,
        save_minutes=args.save_minutes,
        own=_own(args, recipe),
    )
    if job.finished():
        print(f"{out / 'best'} is this very recipe, trained and tested: nothing to do")
        return 0
    try:
        job.run(args.address)
    except KeyboardInterrupt:
        print(f"Interrupted. Run the same command again to go on; all is in {out}.")
        return 130
    return 0


def recipe_of(space: Space, file: str) -> Recipe:
    """The one recipe of a space without open questions."""
    names = [question.name for question in space.questions()]
    if names:
        raise ValueError(
            f"{file} is no recipe, {len(names)} values are open: {', '.join(names)}; write one "
            "value for each, or take the best/recipe.yaml of a study"
        )
    return space.default()


def default_out(space: Space) -> Path:
    """Not the folder of a study of the same name, whose best/ is another."""
    return Path("runs") / f"{space.name}-pretrained"


def _own(args: argparse.Namespace, recipe: Recipe) -> Recipe | None:
    """The recipe as the file has it, where another encoder is trained."""
    others = [assignment for assignment in args.sets if not assignment.startswith("encoder")]
    if len(others) == len(args.sets):
        return None
    space = load(args.recipe, others)
    return None if space.questions() else space.default()


def _refuse(args: argparse.Namespace) -> None:
    if args.probes < 1:
        raise ValueError(f"--probes {args.probes}: at least 1, at the end")
    if not args.save_minutes > 0:
        raise ValueError(f"--save-minutes {args.save_minutes:g}: must be > 0, as in 0.5")


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sslsearch pretrain",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("recipe", metavar="RECIPE.yaml", help="a space with nothing left open")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="PATH=VALUE",
        dest="sets",
        help="override a path of the YAML, as in encoder.conv1d.width=256",
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="folder (default runs/<name>-pretrained)"
    )
    parser.add_argument("--samples", type=int, metavar="N", help="samples to see: fidelity.last")
    parser.add_argument(
        "--workers", metavar="N", help="compute.workers_per_trial: 4, or 2..8 for as many as fit"
    )
    parser.add_argument(
        "--probes",
        type=int,
        default=10,
        metavar="N",
        help="looks of the probe at even distances (default 10; 1 = the recipe's own rungs)",
    )
    parser.add_argument(
        "--save-minutes",
        type=float,
        default=10.0,
        metavar="M",
        help="save the training when it has not been saved for so long (default 10)",
    )
    parser.add_argument(
        "--address", metavar="ADDR", help="Ray cluster to join (default: start one)"
    )
    return parser


if __name__ == "__main__":
    raise SystemExit(enter("pretrain"))
