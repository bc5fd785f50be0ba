"""`python -m sslsearch.pretrain RECIPE.yaml`: one recipe at full size on Ray Train, resumable.

The same command again goes on from the last rung, exactly: it takes the steps that it would have
taken. With several nodes the folder must be on storage that all of them share.

<out>/recipe.yaml        what is trained
<out>/rung.safetensors   where the training stands
<out>/best/              the encoder with its probe, when the training is over
"""

from __future__ import annotations

import argparse
import math
import shutil
import signal
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sslsearch.doors import enter
from sslsearch.space import Space, load
from sslsearch.values import Recipe, Report

if TYPE_CHECKING:
    from ray.train.torch import TorchTrainer

    from sslsearch.data import Prepared

RUNG = "rung.safetensors"
LOOK_SECONDS = 0.3  # between looks at whether a rung was reached
CURES = {
    "nan": "lower optim.lr",
    "collapsed": "lower optim.lr, or take another pretext",
}


def main(argv: Sequence[str] | None = None) -> int:
    args = arguments().parse_args(argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sets = args.sets if args.samples is None else [*args.sets, f"fidelity.last={args.samples}"]
    space = load(args.recipe, sets)
    job = Job(space, recipe_of(space, args.recipe), (args.out or default_out(space)).resolve())
    if job.finished():
        print(f"{job.out / 'best'} is this very recipe, trained and tested: nothing to do")
        return 0
    try:
        job.run(args.address)
    except KeyboardInterrupt:
        print(f"Interrupted. Run the same command again to go on from the last rung ({job.out}).")
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


@dataclass(frozen=True)
class Job:
    """One training: what, and the folder that holds all there is of it."""

    space: Space
    recipe: Recipe
    out: Path

    @property
    def seed(self) -> int:
        return self.space.search.seed

    def finished(self) -> bool:
        from sslsearch.train import bundle

        there = bundle.recipe_hash(self.out / "best")
        if there not in (None, self.recipe.hash):
            raise self._another(f"{self.out / 'best'} holds the encoder of recipe {there}")
        return there is not None

    def run(self, address: str | None) -> None:
        """Train what is left, then write best/."""
        done, prepared = self.reports(), self.prepare()
        self._note_workers(len(done))
        self.out.mkdir(parents=True, exist_ok=True)
        self.recipe.save(self.out / "recipe.yaml")
        rungs = self.space.fidelity.rungs()
        print(f"{self.recipe.family}, recipe {self.recipe.hash}: {len(rungs)} rungs in {self.out}")
        if done:
            print(f"going on after rung {len(done)} ({done[-1].samples_seen:,} samples)")
        from sslsearch.search.cluster import cluster, nodes
        from sslsearch.search.pretraining import trainer
        from sslsearch.search.resources import fit

        compute = self.space.compute.model_copy(update={"slots": 1})
        with cluster(address):
            fitted, tables = fit(compute, nodes()), (prepared.train, prepared.test)
            shutil.rmtree(self.out / ".ray", ignore_errors=True)  # of a run that was killed
            made = trainer(self.recipe, self.seed, rungs, *tables, fitted, self.out / RUNG)
            last = self._train(made, len(done))
        if last.status != "ok":
            raise ValueError(
                f"the training ended as {last.status} after {last.samples_seen:,} samples: "
                f"{last.message}; {CURES.get(last.status, 'see the message')}"
            )
        self.write_best(prepared, last)

    def reports(self) -> list[Report]:
        """The rungs reached so far. ValueError if another recipe was trained here."""
        from sslsearch.train import checkpoint
        from sslsearch.values import Report

        path = self.out / RUNG
        if not path.exists():
            return []
        meta = checkpoint.peek(path)
        if (meta["recipe_hash"], meta["seed"]) != (self.recipe.hash, self.seed):
            raise self._another(
                f"{self.out} holds recipe {meta['recipe_hash']} (seed {meta['seed']}) in training"
            )
        return [Report.from_dict(values) for values in meta["reports"]]

    def _another(self, found: str) -> ValueError:
        return ValueError(
            f"{found}, this is {self.recipe.hash} (seed {self.seed}; the number of samples "
            "belongs to a recipe); choose another --out"
        )

    def prepare(self) -> Prepared:
        """The data, after all checks that need no cluster."""
        from sslsearch import registry
        from sslsearch.data import prepare
        from sslsearch.data.samples import Samples

        prepared = prepare(self.space.data.model_dump(), Path.cwd(), self.out)
        for note in prepared.notes:
            print(f"data: {note}")
        batch, workers = self.recipe["optim"]["batch_size"], self.space.compute.workers_per_trial
        train = Samples.from_table(prepared.train)
        if train.batch_size(batch) > len(train.pool):
            raise ValueError(
                f"optim.batch_size {batch} exceeds the pool of {len(train.pool)} samples"
            )
        if batch % workers:
            raise ValueError(
                f"optim.batch_size {batch} must be divisible by compute.workers_per_trial {workers}"
            )
        told = sum(count > 0 for count in prepared.summary["per_class"].values())
        if told < 2 and "labels" in registry.get("probe", self.space.probe.name).gives:
            raise ValueError("data: the probe needs labelled samples of at least 2 classes")
        return prepared

    def _note_workers(self, done: int) -> None:
        import yaml

        path, now = self.out / "recipe.yaml", self.space.compute.workers_per_trial
        if done and path.exists():
            before = yaml.safe_load(path.read_text())["compute"]["workers_per_trial"]
            if before != now:
                print(f"note: {before} workers so far, now {now}: views and masks will be others")

    def _train(self, made: TorchTrainer, told: int) -> Report:
        """Fit in a thread and tell of each rung as it is reached; the last report."""
        ended: dict[str, Any] = {}

        def fit() -> None:
            try:
                ended["result"] = made.fit()
            except BaseException as fault:  # noqa: BLE001 - raised again in the main thread
                ended["fault"] = fault

        thread = threading.Thread(target=fit, daemon=True)
        thread.start()
        while thread.is_alive():
            thread.join(LOOK_SECONDS)
            told = self._tell(told)
        shutil.rmtree(self.out / ".ray", ignore_errors=True)
        if "fault" in ended:
            raise RuntimeError(
                f"the workers failed again and again; what was reached is kept in {self.out}"
            ) from ended["fault"]
        from sslsearch.values import Report

        return Report.from_dict(ended["result"].return_value)

    def _tell(self, told: int) -> int:
        reports, rungs = self.reports(), self.space.fidelity.rungs()
        judge = self.space.probe.judge_by
        for number, report in enumerate(reports[told:], told + 1):
            accuracy = report.scores.get("accuracy", math.nan)
            print(
                f"rung {number}/{len(rungs)}  {report.samples_seen:,} samples  {judge} "
                f"{report.score:.3f} [{report.low:.3f}, {report.high:.3f}]  accuracy "
                f"{accuracy:.3f}  {sum(report.seconds.values()):.1f} s",
                flush=True,
            )
        return len(reports)

    def write_best(self, prepared: Prepared, last: Report) -> None:
        """Fit the final probe, open the test split for its one score, and save the bundle."""
        import torch
        from safetensors.torch import load_file

        from sslsearch.data.samples import Samples
        from sslsearch.probe.base import build
        from sslsearch.train import bundle, remains

        train, test = (Samples.from_table(t) for t in (prepared.train, prepared.test))
        probe = build(self.recipe["probe"])
        fitted = remains.fitted_probe(self.out / remains.FEATURES, probe, train)
        scores: dict[str, Any] = {
            "metric": self.space.goal.metric,
            "judge_by": self.space.probe.judge_by,
            "seeds": [self.seed],
            "run_score": last.score,
            "run_score_low": last.low,
            "run_score_high": last.high,
        }
        if len(test):
            metric = self.space.goal.metric.removeprefix("probe/")
            truth = probe.truth(test, torch.arange(len(test)), train)
            seen = fitted.score(load_file(self.out / remains.FEATURES)["test"], truth)
            sides = {"": seen.values, "_low": seen.low, "_high": seen.high}
            scores |= {f"run_test{end}": side.get(metric) for end, side in sides.items()}
            print(f"test {metric} {seen.values[metric]:.3f}, opened once")
        bundle.save(
            self.out / "best",
            recipe=self.recipe,
            weights=self.out / remains.ENCODER,
            probe=fitted,
            spec=prepared.spec,
            preprocess=prepared.preprocess,
            classes=prepared.classes,
            scores=scores,
        )
        for name in remains.FILES:
            (self.out / name).unlink(missing_ok=True)
        print(f"{self.out / 'best'}: use it with sslsearch.load({str(self.out / 'best')!r})")


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
        help="override a path of the YAML, as in data.source=parquet:my.parquet",
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="folder (default runs/<name>-pretrained)"
    )
    parser.add_argument("--samples", type=int, metavar="N", help="samples to see: fidelity.last")
    parser.add_argument(
        "--address", metavar="ADDR", help="Ray cluster to join (default: start one)"
    )
    return parser


if __name__ == "__main__":
    raise SystemExit(enter("pretrain"))
