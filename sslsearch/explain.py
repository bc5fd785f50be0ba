"""`python -m sslsearch.explain SPACE.yaml`: what a space asks, what it costs, three samples."""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.syntax import Syntax
from rich.text import Text
from rich.tree import Tree

from sslsearch import registry
from sslsearch.space import Space, SpaceError, grammar, literature, load
from sslsearch.space.cost import expected_samples, search_samples
from sslsearch.space.nodes import Choice, Fixed, Map, MixOf, Node, OneOf, Real, SequenceOf, Whole
from sslsearch.values import Recipe

WIDTH = 100  # columns, when the output is piped
SAMPLES = 3
SHOWN = ("encoder", "pretext", "augment", "optim")


def main(argv: list[str] | None = None) -> int:
    args = arguments().parse_args(argv)
    try:
        space = load(args.space, args.set)
    except SpaceError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return show(space)


def show(space: Space) -> int:
    """Print everything about the space; also what `run --dry-run` shows."""
    console = Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False)
    console.print(space_tree(space))
    for line in facts(space):
        console.print(Text(line))
    for i in range(SAMPLES):
        recipe = space.random_recipe(random.Random(space.search.seed + i))
        console.print(Text(f"\nsample {i + 1}: {recipe.family}, recipe {recipe.hash}", "bold"))
        console.print(Syntax(_body(recipe), "yaml", background_color="default", word_wrap=True))
    return 0


def space_tree(space: Space) -> Tree:
    """The whole space: what is open stands out, every default is written."""
    root = Tree(Text(f"{space.name}: {space.goal}", "bold"), guide_style="dim")
    for section, node in space.tree.items():
        _grow(root.add(Text(section, "bold")), node)
    for section in ("data", "probe", "fidelity", "budget", "search", "confirm", "track", "compute"):
        values = getattr(space, section).model_dump(exclude_none=True)
        root.add(Text.assemble((section, "bold"), f": {_line(values)}"))
    return root


def facts(space: Space) -> list[str]:
    """Open questions, rungs, cost and what runs first, one line each."""
    rungs = space.fidelity.rungs()
    total, confirming = search_samples(space)
    lines = [
        "",
        f"open questions   {len(space.questions())}",
        f"rungs            {' → '.join(f'{r:,}' for r in rungs)} samples seen",
        f"expected cost    {space.budget.trials} trials × {expected_samples(space):,.0f} = "
        f"{total:,.0f} samples with {space.search.scheduler}, at most "
        f"{space.budget.minutes:g} minutes",
        f"                 + {confirming:,.0f} samples to confirm: "
        f"({space.confirm.top} finalists + the default) × {space.confirm.seeds} seeds",
        "                 seconds per sample are measured by sslsearch.run",
    ]
    if space.search.start_from == "literature":
        names = ", ".join(recipe.family for recipe in literature(space)) or "none fits"
        lines.append(f"first recipes    {names} (from the literature)")
    return lines + _notes(space)


def _notes(space: Space) -> list[str]:
    """What is legal and still worth a second look."""
    pretext = space.tree["pretext"]
    branches = pretext.branches if isinstance(pretext, OneOf | MixOf) else {}
    comparing = [n for n in branches if "views" in registry.get("pretext", n).needs]
    if comparing and space.tree["augment"] == Map({}):
        return [f"note             without augment the views of {', '.join(comparing)} are alike"]
    return []


def _grow(tree: Tree, node: Node) -> None:
    match node:
        case Map(items):
            for word, item in items.items():
                _branch(tree, word, item)
            if not items:
                tree.add(Text("none", "dim"))
        case OneOf(branches) if len(branches) == 1:
            _grow(tree, Map(branches))
        case OneOf(branches) | MixOf(branches):
            inner = tree.add(Text("one_of" if isinstance(node, OneOf) else "mix_of", "cyan"))
            _grow(inner, Map(branches))
        case Fixed() | Real() | Whole() | Choice():
            raise AssertionError("a scalar has no branches")
        case _:
            word = "sequence_of" if isinstance(node, SequenceOf) else "subset_of"
            _grow(tree.add(Text(word, "cyan")), Map(node.lines))


def _branch(tree: Tree, word: str, node: Node) -> None:
    match node:
        case Fixed():
            tree.add(Text(f"{word}: {grammar.write(node)}", "dim"))
        case Real() | Whole() | Choice():
            tree.add(Text.assemble(f"{word}: ", (grammar.write(node), "green")))
        case Map(items) if not items:
            tree.add(Text(word))
        case _:
            _grow(tree.add(Text(word)), node)


def _line(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{k} {grammar.show(v)}" for k, v in values.items() if v != {})


def _body(recipe: Recipe) -> str:
    return Recipe({section: recipe[section] for section in SHOWN}).to_yaml().rstrip()


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sslsearch explain", description=__doc__)
    parser.add_argument("space", type=Path, help="a search space or a recipe (YAML)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="PATH=VALUE", help="override a path"
    )
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
