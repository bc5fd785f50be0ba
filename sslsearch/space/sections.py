"""The sections of a space that say how to judge, how long and where: their fields and defaults.

`optim` is the only section whose fields may be open.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, TypeVar, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, create_model, model_validator

from sslsearch import registry
from sslsearch.registry import Count, NonNegative, Positive, Ratio, Unit


@dataclass(frozen=True)
class PartName:
    """Marks a field that holds the name of a part (or a list of them)."""

    kind: str


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


S = TypeVar("S", bound=Section)


def _law(pattern: str, law: str) -> AfterValidator:
    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(law)
        return text

    return AfterValidator(check)


Source = Annotated[
    str,
    _law(r"[a-z][a-z0-9_]*:\S.*", "kind:place, as in parquet:my.parquet or aeon:OSULeaf"),
]
Labels = Annotated[
    str,
    _law(
        r"all|[1-9]\d* per class|(100|[1-9]?\d(\.\d+)?) ?%",
        "all, N per class or P%, as in 10 per class",
    ),
]
Name = Annotated[
    str,
    _law(r"[A-Za-z0-9][\w.-]*", "a name for a folder: letters, digits and . _ -"),
]
GoalText = Annotated[  # metrics that are means over samples, so that two recipes can be paired
    str,
    _law(
        r"maximize probe/(accuracy|balanced_accuracy)|minimize probe/log_loss",
        "maximize probe/accuracy, maximize probe/balanced_accuracy or minimize probe/log_loss",
    ),
]
AUTO = Literal["auto"]


class Columns(Section):
    """Which columns of a table hold what; what is left out is guessed from the schema."""

    label: str | None = Field(default=None, description="column that holds the label")
    group: str | None = Field(default=None, description="column whose samples stay in one split")
    split: str | None = Field(default=None, description="column that says train or test")
    id: str | None = Field(default=None, description="column that names the sample")


class Data(Section):
    """What to learn from."""

    modality: Annotated[str, PartName("modality")] = Field(description="the kind of data")
    source: Source = Field(description="kind:place, as in parquet:my.parquet or aeon:OSULeaf")
    labels: Labels = Field(default="all", description="labels used: all, N per class, or P%")
    columns: Columns = Field(default=Columns(), description="which columns hold what")
    group: str | None = Field(default=None, description="column whose samples stay in one split")
    pool: Source | None = Field(
        default=None, description="a second, unlabelled source to pretrain on"
    )
    test: Annotated[float, Field(gt=0, lt=1), Unit("share of samples")] = Field(
        default=0.3, description="test split, where the source has none"
    )
    seed: Annotated[int, Field(ge=0)] = Field(default=0, description="seed of the splits")


@cache
def data_of(modality: str) -> type[Data]:
    """`Data` with what a modality adds: its rules (its knobs) and the roles of its columns."""
    part = registry.get("modality", modality)
    roles = {
        role: (kind | None, Field(default=None, description=said))
        for role, (kind, said) in getattr(part.make, "columns", {}).items()
    }
    columns = _with(Columns, roles, (0, 4))
    rules: dict[str, Any] = {
        word: (info.annotation, info) for word, info in part.knobs.model_fields.items()
    }
    about = Field(default=columns(), description=Data.model_fields["columns"].description)
    return _with(Data, {**rules, "columns": (columns, about)}, (3, 6))


def _with(model: type[S], extra: dict[str, Any], at: tuple[int, int]) -> type[S]:
    """The model and more fields: the first of them at place at[0], the others at at[1].

    The order is the one in which recipes are written.
    """
    own: dict[str, Any] = {w: (i.annotation, i) for w, i in model.model_fields.items()}
    new = [word for word in extra if word not in own]
    words, (first, rest) = list(own), at
    order = [*words[:first], *new[:1], *words[first:rest], *new[1:], *words[rest:]]
    fields: dict[str, Any] = {word: extra.get(word, own.get(word)) for word in order}
    # Not a subclass of the model: that would write its own fields last.
    made = create_model(model.__name__, __base__=Section, __doc__=model.__doc__, **fields)
    return cast(type[S], made)


class Optim(Section):
    """How weights are learnt; the fields may be open."""

    batch_size: Annotated[Count, Unit("samples, over all workers")] = 32
    lr: Annotated[Positive, Unit("at a batch of 32 samples")] = 1e-3
    weight_decay: NonNegative = 1e-4
    warmup: Annotated[Ratio, Unit("share of the horizon")] = 0.05
    lr_scaling: Literal["none", "sqrt", "linear"] = "sqrt"


class Probe(Section):
    """How a representation is judged."""

    name: Annotated[str, PartName("probe")] = Field(
        default="linear", description="the probe that judges"
    )
    watch: Annotated[list[str], PartName("watch")] = Field(
        default=["knn", "rankme"], description="metrics that are logged and judge nothing"
    )
    against: Annotated[list[str], PartName("floor")] = Field(
        default=[], description="floors to beat; where nothing is written, the modality's own"
    )
    judge_by: Literal["r2", "log_loss", "accuracy"] = Field(
        default="r2", description="what ranks trials at a rung; finer than the goal on few labels"
    )


class Fidelity(Section):
    """How long a trial trains, counted in samples seen."""

    first: Annotated[Count, Unit("samples seen")] = Field(
        default=2_000, description="the first rung"
    )
    last: Annotated[Count, Unit("samples seen")] = Field(
        default=54_000, description="the last rung"
    )
    eta: Annotated[int, Field(ge=2)] = Field(
        default=3, description="rungs grow by, and one in eta stays"
    )

    @model_validator(mode="after")
    def _ascending(self) -> Fidelity:
        if self.first > self.last:
            raise ValueError(f"first must be <= last, got {self.first} and {self.last}")
        return self

    def rungs(self) -> list[int]:
        """last, last/eta, … down to first, ascending."""
        rungs = [self.last]
        while (lower := round(self.last / self.eta ** len(rungs))) >= self.first:
            rungs.append(lower)
        return rungs[::-1]


class Budget(Section):
    """When a search ends: whichever comes first."""

    trials: Count = Field(default=60, description="trials")
    minutes: Annotated[Positive, Unit("minutes")] = Field(default=60.0, description="wall clock")
    device_hours: Annotated[Positive, Unit("hours")] | None = Field(
        default=None, description="of slots' devices: GPUs where there are any, else CPU cores"
    )


class Search(Section):
    """How recipes are chosen and stopped."""

    sampler: Literal["tpe", "random", "gp", "qmc"] = Field(default="tpe", description="who chooses")
    scheduler: Literal["asha", "hyperband", "one_epoch_top_k", "none"] = Field(
        default="asha", description="who stops trials early"
    )
    start_from: Literal["literature", "none"] = Field(
        default="literature", description="the recipes that run first"
    )
    seed: Annotated[int, Field(ge=0)] = Field(
        default=0, description="seed of the sampler and the trials"
    )


class Confirm(Section):
    """How the best are run again before anyone believes them."""

    top: Count = Field(default=3, description="finalists, beside the default recipe")
    seeds: Count = Field(default=3, description="fresh seeds for each")


class Track(Section):
    """What is logged and kept."""

    mlflow: str = Field(
        default="sqlite:///mlflow.db", description="an MLflow tracking URI, or none"
    )
    keep: Literal["best", "all", "none"] = Field(
        default="best", description="encoders that are kept"
    )


class Compute(Section):
    """Where trials run."""

    workers_per_trial: Count = Field(default=1, description="workers that train one trial together")
    slots: AUTO | Count = Field(
        default="auto", description="trials at once; auto = what the cluster fits"
    )
    gpus_per_worker: AUTO | NonNegative = Field(
        default="auto", description="auto = one where there is any"
    )
    cpus_per_worker: Positive = Field(default=0.95, description="processor cores of one worker")
    recycle_after: Annotated[Count, Unit("trials")] = Field(
        default=200, description="workers restart after"
    )
    trial_minutes: Annotated[Positive, Unit("minutes")] = Field(
        default=60.0, description="a trial longer than this ends as timeout"
    )


class Head(Section):
    """The two lines on top."""

    name: Name
    goal: GoalText = "maximize probe/accuracy"


# In the order in which a recipe is written.
SECTIONS: dict[str, type[Section]] = {
    "data": Data,
    "optim": Optim,
    "probe": Probe,
    "fidelity": Fidelity,
    "budget": Budget,
    "search": Search,
    "confirm": Confirm,
    "track": Track,
    "compute": Compute,
}
ORDER = ("name", "goal", "data", "encoder", "pretext", "augment", *list(SECTIONS)[1:])
