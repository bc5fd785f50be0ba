"""Made-up tables for trying things out.

Shapes: N = rows.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

CLASSES = 3
TOWNS = np.array(["Aachen", "Berlin", "Celle", "Dresden", "Essen", "Fulda"])


def made_up(n: int, seed: int) -> pa.Table:
    """Rows of three classes.

    Two hidden numbers, about a centre of their class, shape all columns: six numbers (one skewed),
    two categories, a boolean and a date. So columns tell of one another, and of the class.
    """
    rng = np.random.default_rng(seed)
    label_N = rng.permutation(np.arange(n) % CLASSES)
    turn_N = 2 * np.pi * label_N / CLASSES
    hidden_N2 = 2.0 * np.stack([np.cos(turn_N), np.sin(turn_N)], 1) + rng.standard_normal((n, 2))
    mix = np.array([[1.0, 0.3, -0.7, 0.5, 0.0, 1.2], [0.2, 1.0, 0.6, -0.9, 1.1, 0.0]])
    numbers = hidden_N2 @ mix + 0.5 * rng.standard_normal((n, 6))
    numbers[:, 5] = np.exp(numbers[:, 5])
    town_N = np.clip((hidden_N2[:, 0] + 4).astype(int), 0, len(TOWNS) - 1)
    stray_N = rng.random(n) < 0.2
    town_N[stray_N] = rng.integers(0, len(TOWNS), stray_N.sum())
    size_N = np.where(hidden_N2[:, 1] + rng.standard_normal(n) > 0, "large", "small")
    days_N = np.round(19_000 + 200 * hidden_N2[:, 1] + 50 * rng.standard_normal(n))

    def gaps(values: np.ndarray) -> pa.Array:
        return pa.array(values, mask=rng.random(n) < 0.05)

    columns = {f"number {i}": gaps(numbers[:, i]) for i in range(6)}
    columns |= {"town": gaps(TOWNS[town_N]), "size": gaps(size_N)}
    columns |= {"member": gaps(hidden_N2[:, 0] + rng.standard_normal(n) > 0)}
    columns |= {"since": gaps(days_N.astype("datetime64[D]"))}
    columns |= {"label": pa.array([f"class {c}" for c in label_N])}
    return pa.table(columns)
