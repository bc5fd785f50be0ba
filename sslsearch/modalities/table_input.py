"""Raw rows of a table in an exported graph: numbers as they stand, categories as their places.

`numbers` are the numeric columns and, of dates, the days since 1970; `codes` the places of the
categories among those kept: 0 = another one, -1 = missing. Text has no place in a graph.

Shapes: B = rows of a batch, K = numbers, S = categories, Q = quantiles kept. NaN = missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from sslsearch.modalities.raw_input import Port, RawInput
from sslsearch.modalities.table_cells import cells_of
from sslsearch.modalities.table_tensors import DAY, code, number

CENTRE, TAIL = 0.425, 1.6
# Wichura 1988, Algorithm AS 241: The Percentage Points of the Normal Distribution (PPND16):
# numerator and denominator, highest power first, in the middle and in the tails down to exp(-25)
MIDDLE = (
    (2509.0809287301226727, 33430.575583588128105, 67265.770927008700853, 45921.953931549871457,
     13731.693765509461125, 1971.5909503065514427, 133.14166789178437745, 3.387132872796366608),
    (5226.495278852854561, 28729.085735721942674, 39307.89580009271061, 21213.794301586595867,
     5394.1960214247511077, 687.1870074920579083, 42.313330701600911252, 1.0),
)  # fmt: skip
TAILS = (
    (7.7454501427834140764e-4, 0.0227238449892691845833, 0.24178072517745061177,
     1.27045825245236838258, 3.64784832476320460504, 5.7694972214606914055,
     4.6303378461565452959, 1.42343711074968357734),
    (1.05075007164441684324e-9, 5.475938084995344946e-4, 0.0151986665636164571966,
     0.14810397642748007459, 0.68976733498510000455, 1.6763848301838038494,
     2.05319162663775882187, 1.0),
)  # fmt: skip


class TableInput(RawInput):
    """(B, K) float64 and (B, S) int64 -> {"number", "code"} and valid_BF, numbers first."""

    quantile_KQ: torch.Tensor
    share_KQ: torch.Tensor
    edge_K: torch.Tensor
    mean_K: torch.Tensor
    std_K: torch.Tensor

    def __init__(self, state: Mapping[str, Any]) -> None:
        super().__init__()
        self.state = state
        self.numbers, self.categories = state["numbers"], state["categories"]
        self.by_quantile = state["rules"]["normalise"] == "quantile"
        self._remember(**(self._quantiles() if self.by_quantile else self._scales()))
        self.ports = {}
        if self.numbers:
            named = ", ".join(_name(feature) for feature in self.numbers)
            self.ports["numbers"] = Port(
                form=f"float64 (batch, {len(self.numbers)}): {named}; NaN = missing",
                example=f"rng.standard_normal((5, {len(self.numbers)}))",
            )
        if self.categories:
            named = ", ".join(_levels(feature) for feature in self.categories)
            self.ports["codes"] = Port(
                form=f"int64 (batch, {len(self.categories)}): {named}; 0 = another, -1 = missing",
                example=f"rng.integers(-1, 2, (5, {len(self.categories)}))",
            )

    def _remember(self, **buffers: Any) -> None:
        for name, values in buffers.items():
            tensor = torch.tensor(np.array(values), dtype=torch.float64)
            self.register_buffer(name, tensor, persistent=False)

    def _quantiles(self) -> dict[str, Any]:
        """All in one table: beyond a column's own quantiles there is infinity, at share 1."""
        every = [feature["quantiles"] for feature in self.numbers]
        most = max((len(values) for values in every), default=1)
        quantile_KQ = np.full((len(every), most + 1), np.inf)
        share_KQ = np.ones_like(quantile_KQ)
        for row, values in enumerate(every):
            quantile_KQ[row, : len(values)] = values
            share_KQ[row, : len(values)] = np.linspace(0, 1, len(values))
        edge_K = [0.5 / len(values) for values in every]
        return {"quantile_KQ": quantile_KQ, "share_KQ": share_KQ, "edge_K": edge_K}

    def _scales(self) -> dict[str, Any]:
        return {f"{key}_K": [f[key] for f in self.numbers] for key in ("mean", "std")}

    def forward(self, *raw: torch.Tensor) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        given = dict(zip(self.ports, raw, strict=True))
        B, device = raw[0].shape[0], raw[0].device
        value_BK = given.get("numbers", torch.zeros(B, 0, dtype=torch.float64, device=device))
        code_BS = given.get("codes", torch.zeros(B, 0, dtype=torch.int64, device=device))
        there_BK, seen_BS = ~torch.isnan(value_BK), code_BS >= 0
        value_BK = torch.where(there_BK, value_BK, torch.zeros_like(value_BK))
        scaled_BK = self._scaled(value_BK) if self.numbers else value_BK
        scaled_BK = torch.where(there_BK, scaled_BK, torch.zeros_like(scaled_BK))
        x = {"number": scaled_BK.float(), "code": code_BS.clamp(min=0)}
        return x, torch.cat([there_BK, seen_BS], 1)

    def _scaled(self, value_BK: torch.Tensor) -> torch.Tensor:
        if not self.by_quantile:
            return (value_BK - self.mean_K) / self.std_K
        share_BK = self._share(value_BK)
        return normal_score(torch.minimum(torch.maximum(share_BK, self.edge_K), 1 - self.edge_K))

    def _share(self, value_BK: torch.Tensor) -> torch.Tensor:
        """The share of training values below; where values repeat, the middle of their places."""
        quantile_KQ = self.quantile_KQ
        last_K = torch.where(quantile_KQ.isinf(), float("-inf"), quantile_KQ).amax(1)
        below_BK, above_BK = value_BK < quantile_KQ[:, 0], value_BK > last_K
        value_BK = torch.minimum(torch.maximum(value_BK, quantile_KQ[:, 0]), last_K)
        value_BK1 = value_BK[..., None]
        upper_BK = (quantile_KQ <= value_BK1).sum(-1) - 1  # the last that is no larger
        lower_BK = (quantile_KQ < value_BK1).sum(-1)  # the first that is no smaller
        up_BK = self._between(value_BK, upper_BK, 1)
        middle_BK = 0.5 * (up_BK + self._between(value_BK, lower_BK, -1))
        middle_BK = torch.where(below_BK, torch.zeros_like(middle_BK), middle_BK)
        return torch.where(above_BK, torch.ones_like(middle_BK), middle_BK)

    def _between(self, value_BK: torch.Tensor, at_BK: torch.Tensor, way: int) -> torch.Tensor:
        """On the line from the quantile `at` to its neighbour."""
        width = self.quantile_KQ.shape[1]
        first_K = torch.arange(len(self.numbers), device=value_BK.device) * width
        next_BK = (at_BK + way).clamp(0, width - 1) + first_K
        at_BK = at_BK + first_K
        quantile, share = self.quantile_KQ.flatten(), self.share_KQ.flatten()
        gap_BK = quantile[next_BK] - quantile[at_BK]
        gap_BK = torch.where(gap_BK == 0, torch.ones_like(gap_BK), gap_BK)
        along_BK = (value_BK - quantile[at_BK]) / gap_BK
        return share[at_BK] + along_BK * (share[next_BK] - share[at_BK])

    def arrays(self, raw: pa.Table) -> tuple[np.ndarray, ...]:
        kinds = self.state["kinds"]
        made = []
        if self.numbers:
            columns = [number(raw, f["column"], f["part"]) for f in self.numbers]
            made.append(np.stack(columns, 1))
        if self.categories:
            codes = [code(raw, feature, kinds[feature["column"]]) for feature in self.categories]
            made.append(np.stack(codes, 1))
        return tuple(made)

    def made_up(self, n: int, rng: np.random.Generator, *, smaller: bool = False) -> pa.Table:
        said: dict[str, list[str]] = {}
        for name, kind in self.state["kinds"].items():
            said.setdefault(kind, []).append(name)
        columns = {name: self._column(name, n, rng) for name in self.state["kinds"]}
        return cells_of(pa.table(columns), said, "made-up rows")

    def _column(self, name: str, n: int, rng: np.random.Generator) -> pa.Array:
        """Values of training, others, and gaps (never in all columns of a row: those come last)."""
        gap_N = (np.arange(n) + len(name)) % 5 == 0 if len(self.state["kinds"]) > 1 else None
        (feature, *_) = [
            f for f in (*self.numbers, *self.categories) if f["column"] == name
        ]  # fmt: skip
        kind = self.state["kinds"][name]
        if kind == "categorical":
            known = [*feature["levels"], "a new one"]
            return pa.array([known[k] for k in rng.integers(0, len(known), n)], mask=gap_N)
        if kind == "boolean":
            return pa.array(rng.integers(0, 2, n).astype(bool), mask=gap_N)
        if kind == "date":
            moments = pa.array(rng.integers(0, 20_000 * int(DAY), n), mask=gap_N)
            return moments.cast(pa.timestamp("us"))
        return pa.array(_like(feature, n, rng), mask=gap_N)


def _like(feature: Mapping[str, Any], n: int, rng: np.random.Generator) -> np.ndarray:
    """Numbers of training, some between them and some beyond."""
    if "quantiles" not in feature:
        return np.asarray(feature["mean"] + 2 * feature["std"] * rng.standard_normal(n))
    values_Q = np.array(feature["quantiles"])
    reach = np.ptp(values_Q)
    other_N = rng.uniform(values_Q[0] - 0.1 * reach, values_Q[-1] + 0.1 * reach, n)
    return np.where(rng.random(n) < 0.5, rng.choice(values_Q, n), other_N)


def normal_score(share: torch.Tensor) -> torch.Tensor:
    """The inverse of the normal distribution, for shares from exp(-25) to 1 - exp(-25)."""
    off = share - 0.5
    middle = 0.180625 - off * off
    centre = off * _power(MIDDLE[0], middle) / _power(MIDDLE[1], middle)
    tail = torch.minimum(share, 1 - share).log().neg().sqrt() - TAIL
    far = torch.sign(off) * _power(TAILS[0], tail) / _power(TAILS[1], tail)
    return torch.where(off.abs() <= CENTRE, centre, far)


def _power(factors: Sequence[float], x: torch.Tensor) -> torch.Tensor:
    total = torch.full_like(x, factors[0])
    for factor in factors[1:]:
        total = total * x + factor
    return total


def _name(feature: Mapping[str, Any]) -> str:
    return (
        f"{feature['column']} (days since 1970)"
        if feature["part"] == "days"
        else str(feature["column"])
    )


def _levels(feature: Mapping[str, Any]) -> str:
    part = "" if feature["part"] == "value" else f", {feature['part']}"
    shown = [f"{place} = {level}" for place, level in enumerate(feature["levels"][:4], 1)]
    more = ", …" if len(feature["levels"]) > 4 else ""
    return f"{feature['column']}{part} ({', '.join(shown)}{more})"
