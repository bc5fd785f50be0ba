"""How well the replay rules foresee what was recorded, and how well each rung ranks the last.

    python tests/benchmarks/replay/check.py [--table F.parquet]

Rank correlations (Spearman) with the recorded score at the last rung, for each data set and label
budget, means over draws: `nearest` = the score of the nearest other recipe of the same family;
`forest` = out-of-bag prediction of the forest that the simulator uses; `rung_R` = the score at an
earlier rung; `test` = the test accuracy. `luck` is the deviation over training seeds (recipe and
seed effects taken out) over that between recipes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import simulator as replay
from scipy.stats import spearmanr


def correlations(world: replay.World) -> dict[str, float]:
    whole = np.array([curve.whole for curve in world.curves])
    scores_NR = np.array([curve.scores for curve in world.curves if curve.whole])
    tests_N = np.array([curve.tests[-1] for curve in world.curves if curve.whole])
    points, families = world.points[whole], world.families[whole]
    apart = world.cube.distances(points, points)
    np.fill_diagonal(apart, np.inf)
    apart[families[:, None] != families[None]] += 1e6  # another family only if there is no other
    last, final_N = len(world.rungs) - 1, scores_NR[:, -1]
    rules = {"nearest": final_N[apart.argmin(1)], "forest": world.foreseen_NV[:, last]}
    rules |= {f"rung_{rung}": scores_NR[:, rung] for rung in range(last)}
    rules["test"] = tests_N
    return {name: float(spearmanr(rule, final_N)[0]) for name, rule in rules.items()}


def luck(table: pd.DataFrame, dataset: str, labels: str, draw: int) -> float:
    kept = table[(table.dataset == dataset) & (table.labels == labels) & (table.draw == draw)]
    final = kept[kept.rung == kept.rung.max()].pivot(
        index="recipe", columns="seed", values="loo_r2"
    )
    between = float(final[0].std())
    repeated = final.dropna()
    left = repeated.sub(repeated.mean(axis=1), axis=0).sub(repeated.mean() - repeated.values.mean())
    freedom = (len(repeated) - 1) * (repeated.shape[1] - 1)
    return float(np.sqrt((left.to_numpy() ** 2).sum() / max(1, freedom))) / between


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", type=Path, default=replay.TABLE)
    table, space = pd.read_parquet(parser.parse_args().table), replay.replay_space()
    rows = {}
    for dataset in table.dataset.cat.categories:
        for labels in ("2", "5", "10"):
            draws = sorted(table[table.labels == labels].draw.dropna().unique())
            each = [
                correlations(replay.World(table, space, dataset, labels, int(draw)))
                | {"luck": luck(table, dataset, labels, int(draw))}
                for draw in draws
            ]
            rows[dataset, labels] = pd.DataFrame(each).mean()
    print(pd.DataFrame(rows).T.round(2).to_string())


if __name__ == "__main__":
    main()
