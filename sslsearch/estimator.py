"""`sslsearch.SSLEncoder`: a search, or one recipe, as a transformer of scikit-learn."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_consistent_length, check_random_state, column_or_1d
from sklearn.utils.validation import _num_samples, check_is_fitted, validate_data

from sslsearch import registry
from sslsearch.space import Space, load, parse
from sslsearch.values import Recipe

if TYPE_CHECKING:
    from sslsearch.train.trained import TrainedEncoder

BY_AXES = {2: "tabular", 3: "timeseries", 4: "image"}  # axes of an array -> what it is taken for
OWN = ("group", "pool")  # of a space's data: they name columns and files of other data
LARGEST_SEED = 2**31 - 1


class SSLEncoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Features that were learnt without labels, from the very samples that `fit` is given.

    What X is: a DataFrame or an array (rows, columns) is a table; (series, channels, steps) or a
    list of (channels, steps) of any lengths are time series; (images, rows, columns, channels) are
    images, uint8 or floats in 0..1. NaN is a missing value. Where `space_or_recipe` names another
    modality that one counts: (series, steps) are series of one channel then, and (images, rows,
    columns) grey images.

    What y is: class labels; None, NaN and -1 stand for no label. The features of a single recipe do
    not depend on y: it only fits the probe of `trained_`. A search is judged by it and needs labels
    of two classes. Numbers that are no classes (a target of regression) are not looked at.

    Args:
        space_or_recipe: what to learn with. None: the default recipe for such data, no search. A
            space with open values (`"timeseries"`, a file, or the YAML as a dict): `fit` runs the
            search, on Ray, and keeps its best encoder. One with nothing open, or the folder best/
            of a study: `fit` trains that recipe from random weights in this process, without Ray.
            (To use weights as they are, take `sslsearch.load` in place of this.)
        minutes, trials: budget of a search; None = the space's own.
        samples: samples that training sees (epochs times rows); None = the recipe's own.
        random_state: seed of weights, order and views, and of a search.
        out: folder of the study, kept; a fit on the same data goes on there. None = a temporary
            one. Without a search the encoder is saved there, as best/.
        set: overrides as of `--set`: `["optim.lr=1e-3"]`, or `{"optim.lr": 1e-3}`.
        verbose: whether a search says how it goes.

    Attributes:
        trained_: the TrainedEncoder, as `sslsearch.load` returns it: `predict_proba`,
            `save_pretrained` and all else. A copy of it is in `out`, where that is given.
        n_features_in_: size of axis 1 of X.
        verdict_: what a search found, in one sentence; "" without one.
    """

    def __init__(
        self,
        space_or_recipe: str | Path | Mapping[str, Any] | None = None,
        *,
        minutes: float | None = None,
        trials: int | None = None,
        samples: int | None = None,
        random_state: int | np.random.RandomState | None = 0,
        out: str | Path | None = None,
        set: Sequence[str] | Mapping[str, Any] | None = None,
        verbose: bool = False,
    ) -> None:
        self.space_or_recipe = space_or_recipe
        self.minutes, self.trials, self.samples = minutes, trials, samples
        self.random_state, self.out, self.set, self.verbose = random_state, out, set, verbose

    def fit(self, X: Any, y: Any = None) -> SSLEncoder:
        """Learn features of X.

        Args:
            X: samples, as the class says: (n, columns), (n, channels, steps) …
            y: (n,) class labels, None for those that have none; or None.
        """
        X = self._checked(X, reset=True)
        labels = labels_of(X, y)
        seed = self.random_state
        if not isinstance(seed, int):
            seed = int(check_random_state(seed).randint(LARGEST_SEED))
        with _folder(self.out) as folder:
            space = self._space(X, labels, folder, seed)
            found = _search if space.questions() else _train
            self.trained_, self.verdict_ = found(space, folder, seed, self.verbose)
            if self.out is not None and not space.questions():
                from sslsearch.train import bundle

                bundle.save(folder / "best", **self.trained_.parts())
        return self

    def transform(self, X: Any) -> np.ndarray:
        """(n, features) float32: the features of samples of the same kind as those of `fit`."""
        check_is_fitted(self, "trained_")
        embedding_ND: np.ndarray = self.trained_.embed(self._checked(X, reset=False))
        return embedding_ND

    @property
    def _n_features_out(self) -> int:
        trained: TrainedEncoder = self.trained_
        return trained.width

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = []
        return tags

    def _checked(self, X: Any, *, reset: bool) -> Any:
        """X as it will be read; a DataFrame as it is, for its columns may hold anything."""
        least = 2 if reset else 1
        if hasattr(X, "columns"):
            validate_data(self, X, reset=reset, skip_check_array=True)
        elif _ragged(X):
            X = [np.asarray(series) for series in X]
        else:
            X = validate_data(
                self,
                X,
                reset=reset,
                dtype="numeric",
                allow_nd=True,
                ensure_all_finite="allow-nan",
                ensure_min_samples=least,
            )
        if _num_samples(X) < least:
            raise ValueError(f"Found {_num_samples(X)} sample(s), while a minimum of 2 is required")
        return X

    def _space(self, X: Any, labels: list[str | None] | None, folder: Path, seed: int) -> Space:
        """The question, with X as its data."""
        given = self.space_or_recipe
        guess = BY_AXES.get(3 if isinstance(X, list) else np.ndim(X))
        if guess is None:
            raise ValueError(f"an array of {np.ndim(X)} axes is no table, no series and no images")
        if given is None:
            body = load(guess).default().body
            given = {key: body[key] for key in ("encoder", "pretext", "augment", "optim", "probe")}
            given["fidelity"] = {**body["fidelity"]}
        sets = self._sets(seed)
        draft = _parsed(given, guess, ["data.source=synthetic:2", *sets])
        rules = draft.data.model_dump()
        part = registry.get("modality", rules["modality"])
        own = {name: value for name, value in rules.items() if name in part.knobs.model_fields}
        data = folder / "data"
        data.mkdir(exist_ok=True)
        source = part.bind(own)().write(X, labels, data)
        about = [f"data.source={source}", "data.labels=all", f"data.columns={_roles(rules, X)}"]
        about += [f"data.{name}=null" for name in OWN if rules[name] is not None]
        return _parsed(given, guess, [*about, *sets])

    def _sets(self, seed: int) -> list[str]:
        said = self.set or []
        if isinstance(said, Mapping):
            said = [f"{path}={_flow(value)}" for path, value in said.items()]
        wanted = {
            "budget.minutes": self.minutes,
            "budget.trials": self.trials,
            "fidelity.last": self.samples,
            "search.seed": seed,
            "track.mlflow": "none",
        }
        return [f"{path}={value}" for path, value in wanted.items() if value is not None] + [*said]


def labels_of(X: Any, y: Any) -> list[str | None] | None:
    """Class labels as text, None where there is none; None where y tells no classes at all.

    -1, NaN and None are no label, as in scikit-learn's semi-supervised estimators.
    """
    if y is None:
        return None
    y_N = column_or_1d(y, warn=True) if not isinstance(y, list) else np.array(y, dtype=object)
    check_consistent_length(X, y_N)
    said: list[str | None] = []
    for value in y_N.tolist():
        if value is None or value != value or value == -1:
            said.append(None)
        elif isinstance(value, float) and not value.is_integer():
            return None
        else:
            said.append(str(int(value) if isinstance(value, float) else value))
    return said if any(label is not None for label in said) else None


def _ragged(X: Any) -> bool:
    """A list of series of unequal lengths, which are no array together."""
    if not isinstance(X, list | tuple) or not len(X) or np.ndim(X[0]) != 2:
        return False
    return len({np.shape(series) for series in X}) > 1


def _parsed(given: Any, modality: str, sets: Sequence[str]) -> Space:
    """A space of whatever names one. Of a dict without a modality X tells which."""
    if isinstance(given, Mapping):
        body = {**given, "data": {"modality": modality, **(given.get("data") or {})}}
        return parse(yaml.safe_dump(body, sort_keys=False), "space_or_recipe", _fitting(body, sets))
    path = Path(given)
    recipe = path / "recipe.yaml"
    return load(recipe if recipe.is_file() else path, sets)


def _fitting(body: Mapping[str, Any], sets: Sequence[str]) -> list[str]:
    """The first rung is no later than the last."""
    last = next((s.partition("=")[2] for s in sets if s.startswith("fidelity.last=")), None)
    first = (body.get("fidelity") or {}).get("first", 2_000)
    return [*sets, f"fidelity.first={last}"] if last and int(first) > int(last) else [*sets]


def _roles(rules: Mapping[str, Any], X: Any) -> str:
    """What the space says of columns that X has; all else is of other data."""
    there = set(map(str, getattr(X, "columns", ())))
    said = {
        role: [name for name in ([names] if isinstance(names, str) else names) if name in there]
        for role, names in (rules["columns"] or {}).items()
        if names is not None
    }
    return _flow({role: names for role, names in said.items() if names})


def _flow(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True, width=10**6).partition("\n")[0]


@contextmanager
def _folder(out: str | Path | None) -> Iterator[Path]:
    if out is None:
        with TemporaryDirectory(prefix="sslsearch-") as place:
            yield Path(place)
        return
    folder = Path(out).expanduser().resolve()
    folder.mkdir(parents=True, exist_ok=True)
    yield folder


def _search(space: Space, folder: Path, seed: int, verbose: bool) -> tuple[TrainedEncoder, str]:
    """Run the study, on Ray; its best encoder and its verdict."""
    from sslsearch.probe.metrics import as_score
    from sslsearch.search.outcome import finish
    from sslsearch.search.study import Study
    from sslsearch.track.console import Console
    from sslsearch.train.bundle import load as loaded

    budget, metric = space.budget, as_score(space.probe.judge_by)
    file = None if verbose else io.StringIO()
    console = Console(space.name, budget.trials, budget.minutes, metric=metric, file=file)
    with console:
        study = Study(space, folder, Path.cwd(), console)
        try:
            if not study.finished:
                finish(study, study.run(None))
        finally:
            study.close()
    result = json.loads((folder / "result.json").read_text())
    return loaded(folder / "best"), str(result["verdict"])


def _train(space: Space, folder: Path, seed: int, verbose: bool) -> tuple[TrainedEncoder, str]:
    """Train the one recipe on all samples, in this process."""
    import torch

    from sslsearch.data.prepare import prepare
    from sslsearch.data.samples import Samples
    from sslsearch.probe.base import build, final_probe
    from sslsearch.train.embed import features
    from sslsearch.train.loop import Trial
    from sslsearch.train.trained import TrainedEncoder

    body = json.loads(json.dumps(space.default().body))
    prepared = prepare({**body["data"], "test": 0.0}, Path.cwd())  # nothing is held back
    samples = Samples.from_table(prepared.train)
    body["optim"]["batch_size"] = min(body["optim"]["batch_size"], len(samples.pool))
    recipe, device = Recipe(body), torch.device("cuda" if torch.cuda.is_available() else "cpu")
    trial = Trial(recipe, samples.to(device), seed, device, [body["fidelity"]["last"]])
    if trial.trains and not trial.train_to(trial.steps):
        raise ValueError("the loss is not finite: lower optim.lr, or look for extreme values in X")
    encoder, fitted = trial.objective.encoder.eval(), None
    known = torch.unique(samples.labels_N[samples.labelled])
    if "labels" in registry.get("probe", recipe["probe"]["name"]).gives and len(known) > 1:
        probe = build(recipe["probe"])
        seen_ND = features(encoder, samples, samples.labelled, device, probe)
        truth = probe.truth(samples, samples.labelled, samples)
        fitted = final_probe(probe, seen_ND, truth, samples.judging)
    about = (prepared.spec, prepared.preprocess, fitted)
    return TrainedEncoder(encoder, recipe, prepared.classes, {}, *about), ""
