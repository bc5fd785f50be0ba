"""Tables: a row is a sample, its cells are numbers, categories, booleans and dates, some missing.

Tensors: `number` (float32, scaled, 0 where missing), `code` (int64: 0 = another category than those
kept) and `valid` (uint8; 0 = missing: nothing is put in its place). A batch's x is {"number",
"code"}, and its valid is (B, F): one token for each feature, numbers first.

Shapes: B = samples of a batch, N = rows, F = features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from pydantic import Field
from torch.nn import functional as F

from sslsearch import plots
from sslsearch.modalities.base import Modality, Role
from sslsearch.modalities.columns import place
from sslsearch.modalities.raw_input import RawInput
from sslsearch.modalities.table_cells import KINDS, cell, cells_of, kinds_of, named, present
from sslsearch.modalities.table_files import SCHEMES, as_table, read_table, written
from sslsearch.modalities.table_input import TableInput
from sslsearch.modalities.table_made import made_up
from sslsearch.modalities.table_odd import maybe_codes, odd_columns
from sslsearch.modalities.table_tensors import category, fit_categories, fit_numbers, tensors
from sslsearch.registry import Count, Unit, register
from sslsearch.values import Batch, InputSpec

SHOWN = 12  # names of columns in a note


@register("modality", name="tabular", gives={"columns"})
class Tabular(Modality):
    """Rows of a table: numeric, categorical, boolean and date columns, with missing values.

    normalise: a number becomes the normal score of its quantile among the training rows, its
    z-score, or stays as it is. A category that fewer than min_count training rows have, or that is
    not among the max_categories commonest of its column, or that training has not, is `other`. A
    date becomes its days (a number), and its month, weekday and hour (categories), of those that
    vary. What counts or names the rows is left out (`table_odd`).
    """

    default_encoder = "table_resnet"
    floors = ("majority", "logistic", "boosting", "untrained", "supervised")
    roles: ClassVar[Mapping[str, Role]] = {
        **{kind: Role(f"columns that are {kind}", many=True) for kind in KINDS},
        "ignore": Role("columns that are left out", many=True),
    }

    def __init__(
        self,
        *,
        normalise: Annotated[
            Literal["quantile", "standard", "none"],
            Field(description="how numbers are scaled, by the training rows"),
        ] = "quantile",
        max_categories: Annotated[int, Field(ge=2, le=254), Unit("categories of a column")] = 100,
        min_count: Annotated[Count, Unit("training rows")] = 1,
    ) -> None:
        self.rules = {
            "normalise": normalise,
            "max_categories": max_categories,
            "min_count": min_count,
        }

    def read(
        self, source: str, columns: Mapping[str, Any], root: Path, *, unlabelled: bool = False
    ) -> pa.Table:
        """parquet:FILE, csv:FILE, arrow:FILE (also feather) or sklearn:NAME -> `cells`."""
        scheme, rest = place(source, SCHEMES)
        table = read_table(scheme, rest, root)
        return cells_of(table, columns, source, unlabelled)

    def of_table(
        self, table: pa.Table, columns: Mapping[str, Any], where: str, *, unlabelled: bool = False
    ) -> pa.Table:
        return cells_of(table, columns, where, unlabelled)

    def in_parts(self, columns: Mapping[str, Any]) -> bool:
        return True

    def raw_input(self, state: Mapping[str, Any]) -> RawInput:
        return TableInput(state)

    def write(self, arrays: Any, labels: Sequence[str | None] | None, folder: Path) -> str:
        """As `from_arrays`, or (N, columns) numbers."""
        return written(arrays, labels, folder)

    def from_arrays(self, arrays: Any, state: Mapping[str, Any]) -> pa.Table:
        """A pandas DataFrame, a mapping of column names to values, or a list of such, row by row.

        Raises:
            ValueError: a column that training had is not there, or holds something else.
        """
        table = as_table(arrays)
        if table is None:
            return super().from_arrays(arrays, state)
        table = named(table, "these rows")
        said: dict[str, list[str]] = {}
        for name, kind in state["kinds"].items():
            said.setdefault(kind, []).append(name)
        missing = [name for name in state["kinds"] if name not in table.column_names]
        if missing:
            raise ValueError(f"these rows have no column {missing[0]!r}, which training had")
        return cells_of(table.select(list(state["kinds"])), said, "these rows")

    def to_arrays(self, raw: pa.Table, state: Mapping[str, Any]) -> pd.DataFrame:
        """The columns that training had: numbers as float64; NaN or None is missing."""
        cells = pa.table({name: cell(raw, name) for name in state["kinds"]})
        frame: pd.DataFrame = cells.to_pandas()
        return frame

    def usable(self, raw: pa.Table) -> np.ndarray:
        return np.asarray(present(raw).any(axis=1))

    def fit(self, train: pa.Table, others: Sequence[pa.Table] = ()) -> dict[str, Any]:
        """Kinds of the columns, how numbers are scaled, levels of categories, and notes.

        Raises:
            ValueError: no column is of any use.
        """
        rules, kinds = self.rules, kinds_of(train)
        odd = odd_columns(train, kinds)
        kinds = {name: kind for name, kind in kinds.items() if name not in odd}
        numbers, flat = fit_numbers(train, kinds, str(rules["normalise"]))
        categories, single, notes = fit_categories(
            train, kinds, int(rules["max_categories"]), int(rules["min_count"])
        )
        notes += _odd_notes(odd, maybe_codes(train, kinds))
        if not numbers and not categories:
            raise ValueError(
                "data: every column holds one value only, or counts or names the rows; there is "
                "nothing to learn"
            )
        left_out = sorted({*flat, *single} - {f["column"] for f in (*numbers, *categories)})
        if left_out:
            notes.append(
                f"Columns with one value only in training are left out: {_names(left_out)}."
            )
        used = {f["column"] for f in (*numbers, *categories)}
        return {
            "modality": "tabular",
            "rules": rules,
            "kinds": {name: kind for name, kind in kinds.items() if name in used},
            "numbers": numbers,
            "categories": categories,
            "notes": notes,
        }

    def preprocess(self, raw: pa.Table, state: Mapping[str, Any]) -> pa.Table:
        """Raw rows -> `number`, `code` and `valid`, a list of fixed length for each row.

        Raises:
            ValueError: a column that training had is not there, or holds something else.
        """
        made = tensors(raw, state)
        return pa.table(
            {
                name: pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), x.shape[1])
                for name, x in made.items()
            }
        )

    def describe(self, raw: pa.Table, state: Mapping[str, Any]) -> list[str]:
        of_kind = {kind: [n for n, k in state["kinds"].items() if k == kind] for kind in KINDS}
        said = [
            f"{len(names)} {kind} ({_names(names)})" for kind, names in of_kind.items() if names
        ]
        notes = [f"Columns: {', '.join(said)}; data.columns says otherwise where this is wrong."]
        notes += state["notes"]
        there = present(raw)
        if not there.all():
            names = np.array([field.name for field in raw.schema.field("cells").type])
            gaps = list(names[~there.all(axis=0)])
            notes.append(
                f"{int((~there).sum())} cells are missing, in {len(gaps)} columns "
                f"({_names(gaps)}): they are not filled but marked, and encoders see that they "
                "are missing."
            )
        return notes + self._unseen(raw, state)

    def _unseen(self, raw: pa.Table, state: Mapping[str, Any]) -> list[str]:
        if state["rules"]["min_count"] > 1:  # then rare ones are told already
            return []
        notes = []
        for feature in state["categories"]:
            name, levels = feature["column"], feature["levels"]
            if feature["part"] != "value" or len(levels) >= state["rules"]["max_categories"]:
                continue
            kind = state["kinds"][name]
            found = set(category(raw, name, "value", kind).drop_null().to_pylist())
            new = sorted(found.difference(levels))
            if new:
                notes.append(f"Column {name!r}: {_names(new)} not in training, counted as `other`.")
        return notes

    def spec(self, state: Mapping[str, Any]) -> InputSpec:
        levels = [1 + len(feature["levels"]) for feature in state["categories"]]  # 0 = other
        return InputSpec("tabular", {"numbers": len(state["numbers"]), "levels": levels})

    def collate(self, columns: Mapping[str, torch.Tensor], index_B: torch.Tensor) -> Batch:
        valid_BF = columns["valid"].index_select(0, index_B).view(torch.bool)
        kinds = {"number": torch.float32, "code": torch.int64}
        x = {
            name: columns[name].index_select(0, index_B)
            if name in columns
            else torch.empty((len(index_B), 0), dtype=dtype, device=valid_BF.device)
            for name, dtype in kinds.items()
        }
        return Batch(x=x, valid=valid_BF, index=index_B)

    def flat(self, batch: Batch, spec: InputSpec) -> torch.Tensor:
        """Numbers, categories one-hot (`other` is none of them), and which cells are there."""
        there = torch.split(batch.valid, [spec.sizes["numbers"], len(spec.sizes["levels"])], dim=1)
        number_BK = torch.where(there[0], batch.x["number"], 0.0)
        code_BS = torch.where(there[1], batch.x["code"], 0)
        levels = zip(code_BS.unbind(1), spec.sizes["levels"], strict=True)
        hot = [F.one_hot(code_B, count)[:, 1:].float() for code_B, count in levels]
        return torch.cat([number_BK, *hot, batch.valid.float()], 1)

    def pictured(self, batch: Batch, original: Batch, spec: InputSpec) -> list[np.ndarray]:
        """A row of cells in -1 … 1: numbers by their scale (2 is far out), codes by their place."""
        far = (torch.tensor(spec.sizes["levels"]) - 1).clamp(min=1)
        cells = [(batch.x["number"] / 2).clamp(-1, 1), 2 * batch.x["code"] / far - 1]
        return list(torch.cat(cells, 1).masked_fill(~batch.valid, float("nan"))[:, None].numpy())

    def panel(self, axes: Any, x: np.ndarray, original: np.ndarray) -> None:
        plots.cells(axes, x)

    def synthetic(self, n: int, seed: int) -> pa.Table:
        """Rows of three classes: numbers, categories, a boolean and a date, with gaps."""
        return cells_of(made_up(n, seed), {}, "synthetic")


def _odd_notes(odd: Mapping[str, str], codes: Sequence[str]) -> list[str]:
    notes = []
    for why, what in (("counts", "count"), ("names", "name")):
        names = [name for name, reason in odd.items() if reason == why]
        if names:
            kind = "numeric" if why == "counts" else "categorical"
            notes.append(
                f"Columns that {what} the rows are left out: {_names(names)}; data.columns.{kind} "
                "takes them in."
            )
    if codes:
        notes.append(
            f"Whole numbers of few values are taken as numbers: {_names(codes)}; if they are "
            "codes, name them in data.columns.categorical."
        )
    return notes


def _names(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")
