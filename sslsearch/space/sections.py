"""The sections of a space that say how to judge, how long and where: their fields and defaults.

`optim` is the only section whose fields may be open.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, create_model, model_validator
from pydantic.fields import FieldInfo

from sslsearch import registry
from sslsearch.registry import Count, NonNegative, Part, Positive, Ratio, Unit


@dataclass(frozen=True)
class PartName:
    """Marks a field that holds the name of a part (or a list of them)."""

    kind: str


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


def _law(pattern: str, law: str) -> AfterValidator:
    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(law)
        return text

    return AfterValidator(check)


def _workers(said: int | str) -> int | str:
    """A whole number, or a range as the grammar writes it."""
    low, _, high = str(said).partition("..")
    whole = low.isdecimal() and (high or low).isdecimal()
    if not whole or not 1 <= int(low) <= int(high or low):
        raise ValueError("a whole number >= 1, or a range as in 2..8")
    return said


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
Place = Annotated[
    str,
    _law(
        r"(s3|gs)://[^\s@/][^\s@]*|(file://)?[^\s@:]+",
        "s3://bucket/prefix, gs://bucket/prefix or a path; credentials are the environment's",
    ),
]
Objective = Annotated[
    str,
    _law(
        r"(maximize|minimize) (probe|cost)/[a-z0-9_]+",
        "maximize or minimize, and a metric: maximize probe/accuracy, minimize probe/mse",
    ),
]
Workers = Annotated[int | str, AfterValidator(_workers)]
GoalText = Objective | list[Objective]
COSTS = ("params", "features", "seconds")  # of the encoder, an embedding, a trial
AUTO = Literal["auto"]


class Columns(Section):
    """Which columns of a table hold what; what is left out is guessed from the schema.

    These every modality knows; `data_section` adds the roles of one.
    """

    label: str | None = Field(default=None, description="column that holds the label")
    group: str | None = Field(default=None, description="column whose samples stay in one split")
    split: str | None = Field(default=None, description="column that says train or test")
    id: str | None = Field(default=None, description="column that names the sample")


class Data(Section):
    """What to learn from. These every modality knows; `data_section` adds the rules of one."""

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


def columns_model(info: FieldInfo) -> type[Columns] | None:
    """The model of a field that holds column roles, None for any other field."""
    kind = info.annotation
    return kind if isinstance(kind, type) and issubclass(kind, Columns) else None


def data_section(modality: str | None) -> type[Data]:
    """`Data` with the rules (knobs) of a modality and the roles of its columns.

    None: of all modalities, where it is not known which is meant; of two rules of one name the
    first counts.
    """
    known = registry.parts("modality")
    return _data_of((known[modality],) if modality in known else tuple(known.values()))


@cache
def _data_of(parts: tuple[Part, ...]) -> type[Data]:
    rules: dict[str, Any] = {}
    roles: dict[str, Any] = {}
    for part in reversed(parts):
        rules |= {name: (info.annotation, info) for name, info in part.knobs.model_fields.items()}
        roles |= {
            name: (role.annotation, Field(default=None, description=role.description))
            for name, role in getattr(part.make, "roles", {}).items()
        }
    columns: Any = create_model("Columns", __base__=Columns, __doc__=Columns.__doc__, **roles)
    rules["columns"] = (columns, Field(default=columns(), description="which columns hold what"))
    made: type[Data] = create_model("Data", __base__=Data, __doc__=Data.__doc__, **rules)
    return made


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
    knobs: dict[str, Any] = Field(default={}, description="the probe's own: {k: 5}")
    watch: Annotated[list[str], PartName("watch")] = Field(
        default=["knn", "rankme"], description="metrics that are logged and judge nothing"
    )
    against: Annotated[list[str], PartName("floor")] = Field(
        default=[], description="floors to beat; where nothing is written, the modality's own"
    )
    judge_by: str = Field(
        default="", description="what ranks trials at a rung: a metric of the probe, by default r2"
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
    registry: bool = Field(
        default=True, description="the answer becomes a model version in MLflow's registry"
    )


class Compute(Section):
    """Where trials run."""

    workers_per_trial: Workers = Field(
        default=1,
        description="workers that train one trial together; 2..8 = as many as fit (pretrain alone)",
    )
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
    storage: Place | None = Field(
        default=None,
        description="where nodes without a shared study folder keep their files, and a copy of it",
    )

    @property
    def workers(self) -> tuple[int, int]:
        """The fewest and the most workers that train together."""
        low, _, high = str(self.workers_per_trial).partition("..")
        return int(low), int(high or low)


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
